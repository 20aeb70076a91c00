"""A scenario file: read whole, then turned into scenarios."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec, Part
from rateproof.options.declared import VERBS
from rateproof.options.forms import merged
from rateproof.options.kinds import Option, Section, Series
from rateproof.options.reader import BAD, Reader
from rateproof.options.shared import DEFAULT_URL
from rateproof.simulate.identities import check_place
from rateproof.simulate.request import check_headers
from rateproof.simulate.scenario import CLIENTS as COUNT
from rateproof.simulate.scenario import DEFAULT_KEY, LAG_TOLERANCE, Scenario
from rateproof.simulate.scenario_file.groups import CLIENTS, GroupPlan
from rateproof.simulate.target import Target, check_trust
from rateproof.simulate.tokens import Tokens
from rateproof.units import counted

_GUIDE = "the format: docs/simulate/scenarios.md, and scenario.schema.json for editors"
_GROUP_FLAGS = ("clients", "connections", "behaviour", "rate_per_s")
_ANY_KEY = Part("query", "")
_VERB = VERBS["simulate"]
_ONLY_HERE = (
    Option(
        "lag_tolerance",
        LAG_TOLERANCE,
        "a run whose generator lags more carries a warning",
        "10ms",
    ),
    Option(
        "clients",
        Series(CLIENTS, 1, tuple, "groups of clients, one or more"),
        "who sends",
        argument="groups",
        required=True,
    ),
)

SCENARIO: Final = Section(
    {each.in_file: each for each in (*filter(_VERB.filed, _VERB.options), *_ONLY_HERE)}
)
"""Contents of a file: the options of `rateproof simulate` that are not of one run, and who sends."""


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """The contents of a scenario file.

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
        values = {"url": DEFAULT_URL} | self.values | told
        values["target"] = Target.parse(values.pop("url")).asking(values.pop("query", ()))
        keys = values.pop("keys", None)
        if isinstance(values.get("key"), KeySpec):
            values["key"] = values["key"].writable
        if "data" in values:
            values["body"] = values.pop("data").body
        if "headers" in told:
            values["headers"] = merged(self.values.get("headers", ()), told["headers"])
        groups = tuple(plan.group(values.get("policy")) for plan in plans)
        if keys is not None:
            clients = sum(group.clients for group in groups)
            if clients > len(keys.keys):
                raise InvalidArgument(
                    f"{counted(clients, 'client')}, and {keys}", "a key for each client"
                )
            values["tokens"] = Tokens(keys.keys, own=clients)
        return Scenario(groups=groups, **values)

    def _plans(self, told: dict[str, Any]) -> tuple[GroupPlan, ...]:
        if not told:
            return self.groups
        for name in told.keys() & {"clients", "connections"}:
            COUNT.hold(name, told[name])
        if len(self.groups) > 1:
            names = ["--rate" if name == "rate_per_s" else f"--{name}" for name in told]
            need = "needs" if len(names) == 1 else "need"
            raise InvalidArgument(
                f"{', '.join(names)} {need} a file of one group: {str(self.path)!r} has "
                f"{len(self.groups)} groups",
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
    reader = Reader(path, "scenario", _GUIDE)
    values = reader.values(SCENARIO)
    _check_what_only_this_room_knows(values, reader)
    reader.finish()
    return ScenarioFile(path, values.pop("groups"), values)


def _check_what_only_this_room_knows(values: dict[str, Any], reader: Reader) -> None:
    """Find the values that are bad by rules of a request, or good each for itself and bad together."""
    check, key = reader.check, values["key"].writable if "key" in values else DEFAULT_KEY
    read = reader.items.get(("clients",), [])
    plans = {number: plan for number, plan in enumerate(read) if plan is not BAD}
    target = Target.parse(DEFAULT_URL)
    if "url" in values:
        check(("url",), lambda: Target.parse(values["url"]))
        if not reader.wrong(("url",)):
            target = Target.parse(values["url"])
    headers = values.get("headers", ())
    for pair in headers:
        check(("headers", pair[0]), partial(check_headers, (pair,), _ANY_KEY))
    if not any(reader.wrong(("headers", name)) for name, _ in headers):
        check(("headers",), lambda: check_headers(headers, key))
    check(("key",) if "key" in values else ("url",), lambda: check_place(target, key))
    check(
        ("ca_file",) if "ca_file" in values else ("insecure",),
        lambda: check_trust(
            target, ca_file=values.get("ca_file"), insecure=values.get("insecure", False)
        ),
    )
    if not reader.wrong(("policy",)):  # what attackers aim at
        for number, plan in plans.items():
            check(("clients", number), partial(plan.group, values.get("policy")))
    total = sum(plan.clients * plan.connections for plan in plans.values())
    check(("clients",), lambda: COUNT.hold("connections in all", max(1, total)))
