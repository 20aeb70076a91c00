"""How hard a log pressed on each quota: without pressure, a consistent log says nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rateproof.policy import Policy
from rateproof.prove.admissions.windows import most_nested, most_touching, tightest_nests
from rateproof.prove.models import Stair
from rateproof.prove.observed import KeyLog
from rateproof.units import format_duration

__all__ = ["Pressure", "hardest", "measure", "unpressed"]

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
        return (
            f"{self.quota}: of one key in any {format_duration(self.window_ns)} at most "
            f"{self.attempts} requests, {self.provable} admissions for certain and "
            f"{self.possible} possible{margin}"
        )


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
            _harder(total, _of_key(key, attempts, stair, total))
            for stair, total in zip(stairs, totals, strict=True)
        ]
    return tuple(totals)


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
    """Whether the attempts may break the stair at any of its first steps."""
    first = 1 if len(attempts) <= total.attempts else 2
    return any(
        stair.size(steps) <= len(attempts)
        and most_touching(attempts, stair.span_ns(steps)) >= stair.size(steps)
        for steps in range(first, (_STEPS if stair.lag else 1) + 1)
    )


def _harder(one: Pressure, other: Pressure) -> Pressure:
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


def hardest(runs: Iterable[tuple[Pressure, ...]]) -> tuple[Pressure, ...]:
    """Quota by quota, the most of each figure over runs under one policy."""
    totals: tuple[Pressure, ...] = ()
    for run in runs:
        totals = tuple(map(_harder, totals, run)) if totals else run
    return totals
