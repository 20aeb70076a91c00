"""Options of the fixture for testing a limit, and what becomes of them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from rateproof.hunt import TestSettings
    from rateproof.options.kinds import Option
    from rateproof.policy import Policy

__all__ = ["ITERATIONS", "Options", "settings_of", "settings_of_endpoint", "taken"]

ITERATIONS = 3


class Options(TypedDict, total=False):
    """The way in which a limit is tested; each may be left out.

    They are the options of `rateproof test`, with values of Python; docs/reference/pytest.md
    has what each means and what holds without it.
    """

    key: str
    keys: str
    query: Mapping[str, str]
    claim: str
    admitted: Collection[int]
    iterations: int | None
    duration: str
    max_requests: int
    outer_time: str
    shrink: bool
    shrink_time: str
    worst_time: str
    method: str
    headers: Mapping[str, str]
    body: str | bytes
    rejected: Collection[int]
    max_rate: float
    ca_file: str
    insecure: bool
    transport: str
    on: str
    timeout: str
    tolerance_ppm: int
    granularity: str
    count_denied: bool
    allow_untested: bool
    seed: int
    yes: bool
    allow_inconclusive: bool


def taken() -> "dict[str, Option]":
    """The options of `rateproof test` that the fixture takes, by name."""
    from rateproof.options.declared import JUDGING, LENGTH, PROMISE, REQUEST, VERBS

    groups = VERBS["test"].groups
    options = (each for name in (PROMISE, REQUEST, LENGTH, JUDGING) for each in groups[name])
    return {
        each.in_file: each
        for each in options
        if each.name not in {"url", "limit", "fail_fast", "fresh_keys"}
    }


def _read(name: str, option: "Option", value: Any) -> Any:
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument, told_by
    from rateproof.options.kinds import Leaf, Series

    kind = option.kind
    if value is None and option.value() is None:
        return None
    if isinstance(kind, Leaf):
        fits = isinstance(value, kind.types) and (bool in kind.types or not isinstance(value, bool))
    elif isinstance(kind, Series):
        fits = isinstance(value, Collection) and not isinstance(value, str | bytes)
    else:
        fits = isinstance(value, Mapping)
    if not fits:  # the value of a header or a body may be a secret
        raise InvalidArgument(f"{name} is of type {type(value).__name__}", kind.form)
    with told_by(name):
        return kind.parse(value) if isinstance(kind, Leaf) else kind.read(value)


def _told(options: Options) -> dict[str, Any]:
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument

    known, given = taken(), dict(options)
    loose = given.pop("allow_inconclusive", False)
    if not isinstance(loose, bool):
        raise InvalidArgument(f"allow_inconclusive {loose!r}", "True or False")
    if strange := given.keys() - Options.__annotations__.keys():
        names = ", ".join([*Options.__annotations__])
        raise TypeError(f"the fixture has no option {strange.pop()!r}; it has {names}")
    return {known[name].inside: _read(name, known[name], given[name]) for name in given}


def settings_of(url: str, policy: str, folder: Path, options: Options) -> "TestSettings":
    """Settings for `run_test`; raises as `RateproofFixture.assert_holds` does."""
    __tracebackhide__ = True
    values = _told(options) | {"policy": _read("policy", taken()["policy"], policy), "url": url}
    return _settings({"iterations": _enough(values["policy"])} | values, folder)


def settings_of_endpoint(
    name: str, url: str | None, root: Path, folder: Path, options: Options
) -> "TestSettings":
    """The same for an endpoint of the settings file, as `RateproofFixture.assert_endpoint` says."""
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument
    from rateproof.options.declared import VERBS
    from rateproof.options.forms import merged
    from rateproof.options.settings_file import find_settings
    from rateproof.options.shared import SETTINGS_FILES
    from rateproof.options.sources import Sources

    file = find_settings(root)
    if file is None:
        hint = f"{SETTINGS_FILES[0]}, or {SETTINGS_FILES[1]} with [tool.rateproof]"
        raise InvalidArgument(f"no settings file for endpoint {name!r} in {str(root)!r}", hint)
    flags: dict[str, str | list[str]] = {"endpoint": [name]}
    flags |= {} if url is None else {"url": url}
    flags |= {} if find_settings(Path.cwd()) == file else {"config": str(file)}
    (run,) = Sources(VERBS["test"], flags).runs()
    told = _told(options)
    told["headers"] = merged(run.values["headers"], told.get("headers", ()))
    values = {**run.values, **told, "endpoint": name, "known": run.known}
    if values["iterations"] is None and values["duration_ns"] is None:
        values["iterations"] = _enough(values["policy"])
    return _settings(values, folder)


def _enough(policy: "Policy") -> int:
    """The iterations in which every known attack is tried."""
    from rateproof.hunt.exploration.draw import book_length

    return max(ITERATIONS, book_length(policy))


def _settings(values: dict[str, Any], folder: Path) -> "TestSettings":
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument
    from rateproof.hunt import TestSettings

    if values["iterations"] is None and values.get("duration_ns") is None:
        raise InvalidArgument("iterations=None and no duration", "at least one of them")
    settings = TestSettings.told(
        **{**values, "yes": True, "may_start": False, "fail_fast": True, "out": folder}
    )
    if not (values.get("yes") or settings.target.is_loopback):
        raise InvalidArgument(
            f"{settings.target.host} is not this machine", "yes=True to send load there"
        )
    return settings
