"""The pressure of a log on each quota: without pressure, a consistent log says nothing."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from heapq import nsmallest
from itertools import chain, zip_longest
from typing import Any, Final, TypeVar

from rateproof.policy import Policy
from rateproof.prove.evidence.wording import key_to_json, plain_quota, readable_key, spaced
from rateproof.prove.keys import KeyLog
from rateproof.prove.over_admission.gaps import Stair
from rateproof.prove.over_admission.windows import (
    most_nested,
    most_touching,
    tightest_nests,
)
from rateproof.units import counted

# Steps of a staircase beyond the first are tried too: for a sliding log the
# first decides, for the others it nearly always does.
_STEPS = 16


@dataclass(frozen=True, slots=True)
class Pressure:
    """The most that any one key asked of one quota.

    Args:
        quota: the quota's text.
        allowed: admissions that may lie in less than `window_ns`.
        window_ns: its window; for a bucket, the time it takes to refill one.
        attempts: most requests, however answered, that may lie in it.
        possible: most admissions that may lie in it.
        provable: most admissions that certainly lie in it.
        margin_ns: how much longer than the window the tightest `allowed + 1`
            admissions took, from the first sent to the last answered: at 0 or
            more they prove nothing alone. None if no key has so many.
        key: the key with that margin, or else with the most attempts.
        stressed: whether any key may ever have asked for more than was
            allowed, so that a rejection was called for.
    """

    quota: str
    allowed: int
    window_ns: int
    attempts: int = 0
    possible: int = 0
    provable: int = 0
    margin_ns: int | None = None
    key: bytes = b""
    stressed: bool = False

    def sentence(self) -> str:
        """The figures in one line."""
        margin = ""
        if self.margin_ns is not None:
            took_ns = self.window_ns + self.margin_ns
            margin = f"; the tightest {self.allowed + 1} admissions took {took_ns / 1e9:.6f} s"
        admitted = counted(self.provable, "admission")
        if self.possible != self.provable:
            admitted = f"between {self.provable} and {self.possible} admissions"
        return (
            f"{plain_quota(self.quota)}: at most {counted(self.attempts, 'request')} of one client "
            f"in any {spaced(self.window_ns)}, {admitted}{margin}"
        )

    def unfilled(self) -> str:
        """A sentence that no window was seen full; nothing if one was."""
        if self.provable >= self.allowed:
            return ""
        what = (
            f"at most {self.provable} of {self.allowed} admissions certainly fell into one window"
        )
        return f"{plain_quota(self.quota)} was never seen full: {what}"


def unpressed(policy: Policy) -> list[Pressure]:
    """Of which nothing was asked, one for each quota in policy order."""
    stairs = map(Stair.of, policy.quotas)
    return [
        Pressure(str(quota), stair.size(1) - 1, stair.span_ns(1))
        for quota, stair in zip(policy.quotas, stairs, strict=True)
    ]


def measure(keys: Iterable[KeyLog], policy: Policy) -> tuple[Pressure, ...]:
    """The pressure on each quota, in policy order."""
    stairs = [Stair.of(quota) for quota in policy.quotas]
    totals = unpressed(policy)
    for key in keys:
        attempts = key.attempts()
        totals = [
            harder(total, _of_key(key, attempts, stair, total))
            for stair, total in zip(stairs, totals, strict=True)
        ]
    return tuple(totals)


Figures = tuple[int, int, int]
"""The most attempts, the most that may and the most that certainly were admitted in a window."""


def of_few(key: KeyLog, blank: Sequence[Pressure]) -> tuple[Figures, ...]:
    """Return what `measure` finds of a key that has too few requests for more than any quota allows."""
    admitted, attempts = key.admitted, key.attempts()
    span_ns = max(end for _, end in attempts) - min(sent for sent, _ in attempts)
    return tuple(
        (len(attempts), len(admitted), len(admitted))
        if span_ns < of.window_ns
        else (
            most_touching(attempts, of.window_ns),
            most_touching(admitted, of.window_ns),
            most_nested(admitted, of.window_ns),
        )
        for of in blank
    )


def _of_key(
    key: KeyLog, attempts: Sequence[tuple[int, int]], stair: Stair, total: Pressure
) -> Pressure:
    window_ns, allowed = total.window_ns, total.allowed
    # Figures that cannot exceed the total's are not worth counting.
    asked = most_touching(attempts, window_ns) if len(attempts) > total.attempts else 0
    stressed = total.stressed or asked > allowed or _may_climb(attempts, stair, total)
    admitted = key.admitted
    possible = most_touching(admitted, window_ns) if len(admitted) > total.possible else 0
    provable = most_nested(admitted, window_ns) if len(admitted) > total.provable else 0
    nests = tightest_nests(admitted, stair, 1)
    return replace(
        total,
        attempts=asked,
        possible=possible,
        provable=provable,
        margin_ns=nests[0].span_ns - window_ns if nests else None,
        key=key.key,
        stressed=stressed,
    )


def _may_climb(attempts: Sequence[tuple[int, int]], stair: Stair, total: Pressure) -> bool:
    """Tell whether the attempts may break the stair at any of its first steps."""
    first = 1 if len(attempts) <= total.attempts else 2
    return any(
        stair.size(steps) <= len(attempts)
        and most_touching(attempts, stair.span_ns(steps)) >= stair.size(steps)
        for steps in range(first, (_STEPS if stair.lag else 1) + 1)
    )


def harder(one: Pressure, other: Pressure) -> Pressure:
    """The most of each figure, and the key that leads, of two keys or runs."""
    if (one.margin_ns is None) != (other.margin_ns is None):
        lead = one if other.margin_ns is None else other
    elif one.margin_ns is not None and other.margin_ns is not None:
        lead = one if one.margin_ns <= other.margin_ns else other
    else:
        lead = one if one.attempts >= other.attempts else other
    return replace(
        lead,
        attempts=max(one.attempts, other.attempts),
        possible=max(one.possible, other.possible),
        provable=max(one.provable, other.provable),
        stressed=one.stressed or other.stressed,
    )


MOST_CALLS: Final = 5
"""Closest calls that are named."""

MOST_PRESSED: Final = 4
"""Keys of which it is asked what they could have shown."""

H = TypeVar("H", bound=Hashable)
Rank = tuple[int, int, int]
"""Rank of a key, its number, and the index of the quota that gave the rank."""


@dataclass(frozen=True, slots=True)
class ClosestCall:
    """The distance of one key from more admissions than a quota allows.

    Args:
        key: the client's identity.
        quota: the quota's text, of several the one that it came closest to breaking.
        allowed: admissions that may lie in less than `window_ns`.
        window_ns: see `Pressure`.
        margin_ns: how much longer than the window its tightest `allowed + 1`
            admissions took, from the first sent to the last answered. Below 0
            they break the quota, but for the tolerance.
    """

    key: bytes
    quota: str
    allowed: int
    window_ns: int
    margin_ns: int

    @classmethod
    def of(cls, key: bytes, policy: Policy, quota: int, margin_ns: int) -> "ClosestCall":
        """That of a key, to the quota with this index."""
        stair = Stair.of(policy.quotas[quota])
        return cls(key, str(policy.quotas[quota]), stair.size(1) - 1, stair.span_ns(1), margin_ns)

    def sentence(self) -> str:
        """The key, and what took how long."""
        took_ns = self.window_ns + self.margin_ns
        return f"{readable_key(self.key)} {self.allowed + 1} in {took_ns / 1e9:.6f} s"

    def to_json(self) -> dict[str, Any]:
        """Plain data; the key in base64 (exact) and as readable text (escaped, cut)."""
        return asdict(self) | key_to_json(self.key)


def closest_of(calls: Iterable[ClosestCall]) -> tuple[ClosestCall, ...]:
    """The closest of many, the closest first; of equal ones those that come first."""
    return tuple(nsmallest(MOST_CALLS, calls, key=lambda call: call.margin_ns))


def rank(
    keys: Sequence[KeyLog], policy: Policy
) -> tuple[tuple[ClosestCall, ...], list[Callable[[], KeyLog]]]:
    """The closest calls, and the keys that pressed hardest."""
    stairs = [Stair.of(quota) for quota in policy.quotas]
    closest = nsmallest(MOST_CALLS, _ranks(keys, stairs, _got_ns))
    densest = nsmallest(MOST_PRESSED, _ranks(keys, stairs, _asked_ns))
    busiest = nsmallest(
        MOST_PRESSED, ((-len(key.attempts()), number) for number, key in enumerate(keys))
    )
    calls = (
        ClosestCall.of(keys[number].key, policy, quota, margin_ns)
        for margin_ns, number, quota in closest
    )
    pressed = first_of_each(
        *([number for _, number, *_ in order] for order in (densest, closest, busiest))
    )
    return tuple(calls), [partial(keys.__getitem__, number) for number in pressed]


def first_of_each(*orders: Iterable[H]) -> list[H]:
    """The first of each order, then the second, and so on: `MOST_PRESSED` different ones."""
    in_turn = chain.from_iterable(zip_longest(*([(one,) for one in order] for order in orders)))
    seen = dict.fromkeys(one for (one,) in filter(None, in_turn))
    return list(seen)[:MOST_PRESSED]


def _ranks(
    keys: Sequence[KeyLog], stairs: Sequence[Stair], took_ns: Callable[[KeyLog, Stair], int | None]
) -> Iterable[Rank]:
    for number, key in enumerate(keys):
        spans = [took_ns(key, stair) for stair in stairs]
        margins = [
            (span - stair.span_ns(1), number, quota)
            for quota, (span, stair) in enumerate(zip(spans, stairs, strict=True))
            if span is not None
        ]
        if margins:
            yield min(margins)


def _got_ns(key: KeyLog, stair: Stair) -> int | None:
    """The least time in which more were admitted than may be in one window."""
    nests = tightest_nests(key.admitted, stair, 1)
    return nests[0].span_ns if nests else None


def _asked_ns(key: KeyLog, stair: Stair) -> int | None:
    """The least time from one request sent to as many later one that had ended."""
    attempts = key.attempts()
    starts = sorted(sent_ns for sent_ns, _ in attempts)
    ends = sorted(end_ns for _, end_ns in attempts)
    spans = zip(starts, ends[stair.size(1) - 1 :], strict=False)
    return min((end_ns - sent_ns for sent_ns, end_ns in spans), default=None)
