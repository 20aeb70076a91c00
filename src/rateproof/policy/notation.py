"""Quotas and policies: their text form, and the envelope that they declare.

The text form contains the notation of the `limits` library, so that strings
written for Flask-Limiter mean the same here, but for limits and windows of 0
and windows of 73 years and more, which are refused:

    policy    = quota *( (";" / "," / "|") quota )       all must pass
    quota     = [algorithm] limit ("per" / "/") [multiple] unit ["burst" number] [parameter number]
    algorithm = "sliding-log" / "sliding-blocks" / "token-bucket" / "fixed-window"
              / "first-hit-window" / "sliding-counter" / "leaky-queue"
    parameter = "blocks"                                 of the algorithm that has it
    unit      = ns us ms s m h d, or second, minute, hour, day, month, year (s)
"""

import re
from dataclasses import dataclass
from typing import Self, TypeAlias

from rateproof.errors import InvalidArgument, InvalidPolicy
from rateproof.policy.record import MAX_LIMIT, Algorithm
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.registry import modules_in
from rateproof.units import MAX_DURATION_NS, UNIT_NS, format_duration, unit_ns

# As in `limits`: a month is 30 days and a year is 12 such months.
_CALENDAR_NS = {"month": 30 * UNIT_NS["d"], "year": 360 * UNIT_NS["d"]}

_SEPARATORS = re.compile(r"[;,|]")
_FORM = "a policy reads like '5 per 5s', '100/minute' or '5 per 5s; 1000 per hour'"


ALGORITHMS: dict[str, Algorithm] = {
    name: getattr(module, name.replace("-", "_").upper())
    for name, module in modules_in("rateproof.policy").items()
    if name not in {"notation", "record"}
}
"""The known algorithms by name. All are judged; those that do not delay are enforced."""

_WORDS = {record.parameter.word for record in ALGORITHMS.values() if record.parameter.most}
_QUOTA = re.compile(
    r"\s*(?:(?P<algorithm>[a-z][a-z-]*)\s+)?(?P<limit>\d{1,20})\s*(?:/|per)\s*"
    r"(?P<multiple>\d{1,20})?\s*(?P<unit>[a-z]+)(?:\s+burst\s+(?P<burst>\d{1,20}))?"
    rf"(?:\s+(?P<word>{'|'.join(sorted(_WORDS))})\s+(?P<parameter>\d{{1,20}}))?\s*",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Quota:
    """One limit over one window, kept by one algorithm.

    Args:
        limit: how many admissions, 1 to 10**9.
        window_ns: the window in nanoseconds, above 0 and below 2**61. Windows
            are half-open: exactly `window_ns` later is a new window.
        algorithm: a name from `ALGORITHMS`. Only `sliding-log` promises at
            most `limit` in *any* window.
        burst: the size of a token bucket, or how many a leaky queue holds;
            `limit` if not given, and always `limit` for the other algorithms.
        parameter: the algorithm's own number, such as the blocks of `sliding-blocks`; what
            its record says if not given. Always 0 for those that have none.

    Raises:
        InvalidPolicy: a value out of these bounds.
    """

    limit: int
    window_ns: int
    algorithm: str = SLIDING_LOG.name
    burst: int = 0
    parameter: int = 0

    def __post_init__(self) -> None:
        for name in ("limit", "window_ns", "burst", "parameter"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} is {type(value).__name__}, not int")
        if not isinstance(self.algorithm, str):
            raise TypeError(f"algorithm is {type(self.algorithm).__name__}, not str")
        if self.algorithm not in ALGORITHMS:
            raise InvalidPolicy(
                f"unknown algorithm {self.algorithm!r}", f"one of {', '.join(ALGORITHMS)}"
            )
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidPolicy(
                f"limit {self.limit} is out of range", f"a limit is 1 to {MAX_LIMIT}"
            )
        if not 1 <= self.window_ns < MAX_DURATION_NS:
            raise InvalidPolicy(
                f"window {self.window_ns} ns is out of range",
                "a window is above 0 and below 73 years",
            )
        own = self.record.parameter
        if self.burst not in {0, self.limit} and not self.record.has_burst:
            names = " and a ".join(each.name for each in ALGORITHMS.values() if each.has_burst)
            raise InvalidPolicy(
                f"burst {self.burst} with {self.algorithm}", f"burst of a {names} only"
            )
        self._settle("burst", "burst", self.limit, MAX_LIMIT)
        self._settle("parameter", own.word, own.default, own.most)

    def _settle(self, name: str, word: str, default: int, most: int) -> None:
        """Check a number that not all algorithms have, and set it where it was not given."""
        value = getattr(self, name)
        if not 0 <= value <= most:
            hint = f"{word} is 1 to {most}" if most else f"a {self.algorithm} has none"
            raise InvalidPolicy(f"{word} {value} with {self.algorithm}", hint)
        if value == 0:
            object.__setattr__(self, name, default)

    @property
    def record(self) -> Algorithm:
        """The record of the algorithm."""
        return ALGORITHMS[self.algorithm]

    @property
    def stair(self) -> tuple[int, int, int]:
        """The figures (width, lag, parts) of its gap; see `Algorithm`."""
        return self.record.stair(self.limit, self.burst)

    @property
    def memory_ns(self) -> int:
        """Time for which an admission can matter to a later decision; see `Algorithm`."""
        return self.record.memory_ns(self.limit, self.window_ns, self.burst, self.parameter)

    def gap(self, m: int) -> int:
        """The least time in ns that `m` consecutive admissions may span.

        Non-decreasing in `m`, and `gap(1) == 0`. For a sliding log of N per W
        it is W*floor((m-1)/N): from the (k+N)-th admission to the k-th is W.

        Raises:
            InvalidArgument: `m` is below 1.
        """
        if m < 1:
            raise InvalidArgument(f"gap of {m} admissions", "m is 1 or more")
        width, lag, parts = self.stair
        return -(-max(0, (m - 1 - lag) // width) * self.window_ns // parts)

    def __str__(self) -> str:
        prefix = "" if self.record is SLIDING_LOG else f"{self.algorithm} "
        burst = "" if self.burst == self.limit else f" burst {self.burst}"
        own = self.record.parameter
        named = "" if self.parameter == own.default else f" {own.word} {self.parameter}"
        return f"{prefix}{self.limit} per {format_duration(self.window_ns)}{burst}{named}"


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything promised for one key: one quota, or several that must all pass.

    >>> policy = Policy.parse("5 per 5s; 1000 per hour")
    >>> [quota.limit for quota in policy.quotas]
    [5, 1000]
    >>> policy.worst_case(5_000_000_000)
    5
    """

    quotas: tuple[Quota, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.quotas, tuple) or not all(isinstance(q, Quota) for q in self.quotas):
            raise TypeError("quotas is not a tuple of Quota: Policy.parse reads text")
        if not self.quotas:
            raise InvalidPolicy("a policy without quotas", _FORM)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form (grammar at the top of this module).

        Raises:
            InvalidPolicy: naming the part that could not be read.
        """
        return cls(tuple(_parse_quota(part, text) for part in _SEPARATORS.split(text)))

    def gap(self, m: int) -> int:
        """The least time in ns that `m` consecutive admissions may span: the declared envelope.

        The maximum over the quotas. Every quota holds for every stretch of a
        run, so a stretch may be longer than this where two quotas add up: a
        checker applies all stretches and so needs no closure.
        """
        return max(quota.gap(m) for quota in self.quotas)

    def worst_case(self, window_ns: int) -> int:
        """The most admissions that any half-open window of `window_ns` may hold.

        The largest m with gap(m) < window_ns: m admissions that span exactly
        the window do not fit into it.

        Raises:
            InvalidArgument: `window_ns` is not positive.
        """
        if window_ns <= 0:
            raise InvalidArgument(f"window {window_ns} ns is out of range", "a window is above 0")
        high = 2
        while self.gap(high) < window_ns:
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.gap(middle) < window_ns else (low, middle)
        return low

    def __str__(self) -> str:
        return "; ".join(map(str, self.quotas))


PolicyLike: TypeAlias = str | Quota | Policy


def policy_of(policy: PolicyLike) -> Policy:
    """The policy that is meant.

    Raises:
        InvalidPolicy: it is text that cannot be read.
        TypeError: it is of another type.
    """
    if isinstance(policy, str):
        return Policy.parse(policy)
    if isinstance(policy, Quota):
        return Policy((policy,))
    if isinstance(policy, Policy):
        return policy
    raise TypeError(f"policy is {type(policy).__name__}, not str, Quota or Policy")


def _parse_quota(part: str, text: str) -> Quota:
    match = _QUOTA.fullmatch(part)
    if match is None:
        named = f"{part.strip()!r} in {text!r}" if part != text else repr(text)
        raise InvalidPolicy(f"{named} is not a policy", _FORM)
    unit = match["unit"].lower()
    unit_length = unit_ns(unit) or _CALENDAR_NS.get(unit.removesuffix("s"))
    if unit_length is None:
        raise InvalidPolicy(
            f"{match['unit']!r} in {text!r} is not a unit of time",
            "ns, us, ms, s, m, h, d, or second, minute, hour, day, month, year",
        )
    algorithm = (match["algorithm"] or SLIDING_LOG.name).lower()
    word = (match["word"] or "").lower()
    if word and algorithm in ALGORITHMS and word != ALGORITHMS[algorithm].parameter.word:
        raise InvalidPolicy(f"{word} with {algorithm} in {text!r}", f"a {algorithm} has none")
    for name, number in (("burst", match["burst"]), (word, match["parameter"])):
        if number is not None and int(number) == 0:
            raise InvalidPolicy(f"{name} 0 in {text!r}", "1 or more, or leave it out")
    try:
        return Quota(
            limit=int(match["limit"]),
            window_ns=int(match["multiple"] or 1) * unit_length,
            algorithm=algorithm,
            burst=int(match["burst"] or 0),
            parameter=int(match["parameter"] or 0),
        )
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{error.message} in {text!r}", error.hint) from None
