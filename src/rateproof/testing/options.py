"""How a limit is tested, as the fixture takes it: the options, their types, what becomes of them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from rateproof.hunt import TestSettings

__all__ = ["Options", "settings_of"]


class Options(TypedDict, total=False):
    """How a limit is tested. Each may be left out; forms are those of the command line.

    Args:
        key: where each client's identity is put, such as `header:X-Api-Key`;
            default: `query:clientId`.
        claim: `over-admission`, `wrong-rejection`, `headers`, `all` or, by default, `limit`: the
            first two.
        iterations: how many; each presses a quota for about two of its windows,
            2 to 30 s. Default: 3; None: as many as fit into `duration`.
        duration: stop after it, such as `30s`.
        shrink: look for the shortest schedule that repeats a violation, which takes up
            to a minute more; on by default.
        method: of every request; default: GET.
        headers: of every request.
        body: of every request.
        rejected: the status codes by which the limiter says no; default: 429 and 503.
        max_rate: requests a second at most.
        timeout: for one answer; default: `10s`.
        tolerance_ppm: how far the server's clock may drift from ours; default: 500.
        granularity: the step of the server's clock, such as `1ms`; default: none.
        count_denied: whether denied requests use up the limit too.
        seed: of the traffic; random by default, and told on failure.
        yes: the URL may be another machine's.
        allow_inconclusive: pass where it could not be told whether the limit holds.
    """

    key: str
    claim: str
    iterations: int | None
    duration: str
    shrink: bool
    method: str
    headers: Mapping[str, str]
    body: str | bytes
    rejected: Collection[int]
    max_rate: float
    timeout: str
    tolerance_ppm: int
    granularity: str
    count_denied: bool
    seed: int
    yes: bool
    allow_inconclusive: bool


_TEXT = (str,), "a text"
_SWITCH = (bool,), "True or False"
_FORMS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "url": _TEXT,
    "policy": _TEXT,
    "key": _TEXT,
    "claim": _TEXT,
    "duration": ((str, NoneType), "a text, such as '30s'"),
    "shrink": _SWITCH,
    "method": _TEXT,
    "headers": ((Mapping,), "a mapping of names to values"),
    "body": ((str, bytes), "text or bytes"),
    "rejected": ((list, tuple, set, frozenset), "status codes, such as [403]"),
    "timeout": ((str,), "a text, such as '10s'"),
    "granularity": ((str,), "a text, such as '1ms'"),
    "count_denied": _SWITCH,
    "yes": _SWITCH,
    "allow_inconclusive": _SWITCH,
}
"""The types of what is no number: numbers are checked with their range."""


def _check_types(url: str, policy: str, options: Options) -> None:
    """Accept values of the types that `Options` says.

    Raises:
        TypeError: an option that there is not.
        InvalidArgument: a value of another type.
    """
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument

    unknown = [name for name in options if name not in Options.__annotations__]
    if unknown:
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"assert_holds has no option {unknown[0]!r}; it has {known}")
    given: dict[str, object] = {"url": url, "policy": policy, **options}
    for name, (types, form) in _FORMS.items():
        if name in given and not isinstance(given[name], types):
            # The value of a header or a body may be a secret.
            raise InvalidArgument(f"{name} is of type {type(given[name]).__name__}", form)


def settings_of(url: str, policy: str, folder: Path, options: Options) -> "TestSettings":
    """What `run_test` takes; see `RateproofFixture.assert_holds`.

    Raises:
        TypeError: an option that there is not.
        InvalidArgument: a value that cannot be accepted.
    """
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument
    from rateproof.events import REJECTED_STATUSES
    from rateproof.hunt import TestSettings
    from rateproof.keyspec import KeySpec
    from rateproof.policy import Policy
    from rateproof.prove.terms import CLAIM_SETS
    from rateproof.simulate.checks import check_count, check_rate
    from rateproof.simulate.scenario import fresh_seed
    from rateproof.simulate.target import Target
    from rateproof.units import parse_duration

    _check_types(url, policy, options)
    claim, duration = options.get("claim", "limit"), options.get("duration")
    if claim not in CLAIM_SETS:
        raise InvalidArgument(f"claim {claim!r}", f"one of {', '.join(CLAIM_SETS)}")
    iterations = options.get("iterations", 3)
    if iterations is None and duration is None:
        raise InvalidArgument("iterations=None and no duration", "at least one of them")
    if iterations is not None:
        check_count("iterations", iterations, 1, 10**9)
    body, seed = options.get("body", b""), options.get("seed")
    tolerance_ppm = options.get("tolerance_ppm", 500)
    check_count("tolerance_ppm", tolerance_ppm, 0, 100_000)
    if (max_rate := options.get("max_rate")) is not None:
        check_rate("max_rate", max_rate)
    rejected = options.get("rejected", REJECTED_STATUSES)
    if not rejected:
        raise InvalidArgument("rejected names no status", "status codes, such as [403]")
    for status in rejected:
        check_count("rejected status", status, 100, 999)
    if seed is None:
        seed = fresh_seed()
    check_count("seed", seed, 0, 2**63 - 1)
    target = Target.parse(url)
    if not (options.get("yes", False) or target.is_loopback):
        raise InvalidArgument(f"{target.host} is not this machine", "yes=True to send load there")
    return TestSettings(
        target=target,
        policy=Policy.parse(policy),
        key=KeySpec.parse(options.get("key", "query:clientId")),
        seed=seed,
        claims=CLAIM_SETS[claim],
        tolerance_ppm=tolerance_ppm,
        granularity_ns=parse_duration(options.get("granularity", "0s")),
        denied_count=options.get("count_denied", False),
        timeout_ns=parse_duration(options.get("timeout", "10s")),
        max_rate=max_rate,
        rejected_statuses=frozenset(rejected),
        yes=True,
        may_start=False,
        iterations=iterations,
        duration_ns=None if duration is None else parse_duration(duration),
        fail_fast=True,
        shrink=options.get("shrink", True),
        out=folder,
        json_lines=False,
        method=options.get("method", "GET"),
        headers=tuple(options.get("headers", {}).items()),
        body=_encoded(body) if isinstance(body, str) else body,
    )


def _encoded(body: str) -> bytes:
    __tracebackhide__ = True
    from rateproof.errors import InvalidArgument

    try:
        return body.encode()
    except UnicodeEncodeError:
        raise InvalidArgument("body is no text that UTF-8 has", "bytes, or other text") from None
