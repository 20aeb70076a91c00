"""A scenario file: read whole, then turned into scenarios."""

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.options.lines import Path as Place
from rateproof.options.lines import line_of, lines_of, write_path
from rateproof.options.reader import BAD, Reader
from rateproof.simulate.checks import check_rate
from rateproof.simulate.identities import check_place
from rateproof.simulate.request import check_headers
from rateproof.simulate.scenario import DEFAULT_KEY, MAX_CLIENTS, Scenario
from rateproof.simulate.scenario_file.fields import SCENARIO
from rateproof.simulate.scenario_file.groups import GroupPlan
from rateproof.simulate.target import Target, check_trust

__all__ = ["DEFAULT_URL", "ScenarioFile", "load"]

DEFAULT_URL = "http://127.0.0.1:8080"

_MAX_BYTES = 1 << 22
_GUIDE = "the format: docs/simulate/scenarios.md, and scenario.schema.json for editors"
_GROUP_FLAGS = ("clients", "connections", "behaviour", "rate_per_s")


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """What a scenario file says.

    Args:
        path: where it was read.
        groups: who sends, in the order of the file; one or more.
        values: everything else that it says, by the name of `Scenario`'s argument.
    """

    path: Path
    groups: tuple[GroupPlan, ...]
    values: dict[str, Any]

    def scenario(self, **overrides: Any) -> Scenario:
        """The scenario, with what was told otherwise.

        Args:
            overrides: any argument of `Scenario` but `groups`; `url` for its
                target; and, where the file has one group alone, `clients`,
                `connections`, `behaviour` and `rate_per_s` (of the whole
                group; another behaviour starts from its own defaults).
                `key` may be a KeySpec. `headers` replace the file's by name.
                None means not told.

        Raises:
            InvalidArgument: a value out of bounds, values that do not fit
                together, or a group's values for a file of several groups.
            TypeError: an override that there is not.
        """
        told = {name: value for name, value in overrides.items() if value is not None}
        plans = self._plans({name: told.pop(name) for name in _GROUP_FLAGS if name in told})
        values = self.values | told
        if "url" in values:
            values["target"] = Target.parse(values.pop("url"))
        values.setdefault("target", Target.parse(DEFAULT_URL))
        if isinstance(values.get("key"), KeySpec):
            values["key"] = values["key"].writable
        if "headers" in told:
            values["headers"] = _merged(self.values.get("headers", ()), told["headers"])
        groups = tuple(plan.group(values.get("policy")) for plan in plans)
        return Scenario(groups=groups, **values)

    def _plans(self, told: dict[str, Any]) -> tuple[GroupPlan, ...]:
        if not told:
            return self.groups
        if len(self.groups) > 1:
            names = ", ".join("rate" if name == "rate_per_s" else name for name in told)
            raise InvalidArgument(
                f"{names} with {str(self.path)!r}, which has {len(self.groups)} groups of clients",
                "change the groups in the file",
            )
        return (self.groups[0].changed(**told),)


def load(path: str | Path) -> ScenarioFile:
    """Read a scenario file.

    Raises:
        InvalidArgument: the file cannot be read or is not TOML, or something
            in it cannot be accepted; then everything that is wrong is named,
            each with its line and its path such as `clients[1].pause.mean`.
    """
    path = Path(path)
    text = _text(path)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        what = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise InvalidArgument(f"scenario {str(path)!r} is not TOML: {what}", _GUIDE) from None
    reader = Reader()
    found = reader.arguments(SCENARIO, data, ())
    values = {name: value for name, value in found.items() if value is not BAD}
    if "ca_file" in values:
        values["ca_file"] = str(path.parent / values["ca_file"])
    _check_together(values, reader)
    if reader.errors:
        raise InvalidArgument(_listed(path, reader.errors, text), _GUIDE)
    return ScenarioFile(path, values.pop("groups"), values)


def _text(path: Path) -> str:
    name = str(path)
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait
            raise InvalidArgument(f"scenario {name!r} is not a regular file", _GUIDE)
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidArgument(f"scenario {name!r} is above 4 MiB", _GUIDE)
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            f"scenario {name!r} is not UTF-8: byte {error.start}", _GUIDE
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidArgument(f"cannot read scenario {name!r}: {reason}", _GUIDE) from None


def _check_together(values: dict[str, Any], reader: Reader) -> None:
    """Find the values that are good each for itself and bad together."""
    target = values.get("target", Target.parse(DEFAULT_URL))
    key = values.get("key", DEFAULT_KEY)
    read = reader.items.get(("clients",), [])
    plans = {number: plan for number, plan in enumerate(read) if plan is not BAD}

    def check(place: Place, accept: Callable[[], object]) -> None:
        try:
            accept()
        except InvalidArgument as error:
            reader.add(place, error)

    check(("key",) if "key" in values else ("url",), lambda: check_place(target, key))
    check(("headers",), lambda: check_headers(values.get("headers", ()), key))
    insecure = values.get("insecure", False)
    check(
        ("ca_file",) if "ca_file" in values else ("insecure",),
        lambda: check_trust(target, ca_file=values.get("ca_file"), insecure=insecure),
    )
    if "max_rate" in values:
        check(("max_rate",), lambda: check_rate("max_rate", values["max_rate"]))
    if not any(path == ("policy",) for path, _ in reader.errors):  # what attackers aim at
        for number, plan in plans.items():
            check(("clients", number), lambda plan=plan: plan.group(values.get("policy")))  # type: ignore[misc]
    check(("clients",), lambda: _check_total(plans.values()))


def _check_total(groups: Iterable[GroupPlan]) -> None:
    total = sum(plan.count * plan.connections for plan in groups)
    if total > MAX_CLIENTS:
        raise InvalidArgument(f"{total} connections in all", f"at most {MAX_CLIENTS}")


def _merged(
    headers: tuple[tuple[str, str], ...], told: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    replaced = {name.lower() for name, _ in told}
    return (*(pair for pair in headers if pair[0].lower() not in replaced), *told)


def _listed(path: Path, errors: list[tuple[Place, str]], text: str) -> str:
    """Every error on a line of its own, in the order of the file."""
    lines = lines_of(text)
    placed = sorted(
        ((line_of(lines, place), write_path(place), what) for place, what in errors),
        key=lambda found: found[0] or 0,
    )
    noun = "an error" if len(errors) == 1 else f"{len(errors)} errors"
    found = (
        f"  {'' if line is None else f'line {line}: '}{place}: {what}"
        for line, place, what in placed
    )
    return "\n".join([f"scenario {str(path)!r} has {noun}", *found])
