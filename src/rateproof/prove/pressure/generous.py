"""Limiters that keep other quotas than promised: what an excess would have looked like.

One plain limiter for each algorithm, to ask whether a log would have shown it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from rateproof.policy import Quota
from rateproof.prove.admissions.feasible import Interval
from rateproof.prove.models import Bounds, Stair

__all__ = ["PHASES", "admissions"]

PHASES = tuple(range(8))
"""Eighths of a window by which windows on the epoch may begin earlier than the clock."""


def admissions(requests: Sequence[Interval], quotas: Sequence[Quota], phase: int) -> list[Interval]:
    """Those of the requests that limiters of all quotas admit, each decided in its middle.

    Args:
        requests: intervals of one key, in the order of their middles.
        quotas: what is kept.
        phase: from `PHASES`; no matter but for windows on the epoch.
    """
    limiters = [_limiter(quota, phase, len(requests)) for quota in quotas]
    admitted = []
    for request in requests:
        instant_ns = sum(request) // 2
        if all(limiter.has_room(instant_ns) for limiter in limiters):
            for limiter in limiters:
                limiter.admit(instant_ns)
            admitted.append(request)
    return admitted


class _Limiter(Protocol):
    def has_room(self, instant_ns: int) -> bool:
        """Whether one more may be admitted; instants never go back."""

    def admit(self, instant_ns: int) -> None:
        """Count one that was."""


def _limiter(quota: Quota, phase: int, requests: int) -> _Limiter:
    if quota.algorithm == "first-hit-window":
        return _FirstHitWindow(quota)
    if quota.algorithm in {"fixed-window", "sliding-counter"}:
        return _EpochWindow(quota, phase)
    return _Gaps(quota, requests)


class _Gaps:
    """A sliding log, bucket or queue: its gap says everything."""

    def __init__(self, quota: Quota, requests: int) -> None:
        self._bounds = Bounds(Stair.of(quota), requests)
        self._admitted = 0

    def has_room(self, instant_ns: int) -> bool:
        return self._bounds.earliest(self._admitted, instant_ns) == instant_ns

    def admit(self, instant_ns: int) -> None:
        self._bounds.record(self._admitted, instant_ns)
        self._admitted += 1


class _FirstHitWindow:
    """A window that opens with the first admission after the one before has ended."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._ends_ns: int | None = None
        self._admitted = 0

    def has_room(self, instant_ns: int) -> bool:
        return self._is_over(instant_ns) or self._admitted < self._quota.limit

    def admit(self, instant_ns: int) -> None:
        if self._is_over(instant_ns):
            self._ends_ns = instant_ns + self._quota.window_ns
            self._admitted = 0
        self._admitted += 1

    def _is_over(self, instant_ns: int) -> bool:
        return self._ends_ns is None or instant_ns >= self._ends_ns


class _EpochWindow:
    """Windows one after the other; a sliding counter adds a share of the one before, rounded down."""

    def __init__(self, quota: Quota, phase: int) -> None:
        self._quota = quota
        self._shift_ns = quota.window_ns * phase // len(PHASES)
        self._weighs = quota.algorithm == "sliding-counter"
        self._admitted: Counter[int] = Counter()

    def has_room(self, instant_ns: int) -> bool:
        window, into_ns = divmod(instant_ns + self._shift_ns, self._quota.window_ns)
        used = self._admitted[window]
        if self._weighs:
            left_ns = self._quota.window_ns - into_ns
            used += self._admitted[window - 1] * left_ns // self._quota.window_ns
        return used < self._quota.limit

    def admit(self, instant_ns: int) -> None:
        self._admitted[(instant_ns + self._shift_ns) // self._quota.window_ns] += 1
