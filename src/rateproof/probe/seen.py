"""Answers that a probe saw, and boxes of limiters that are still possible."""

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple, TypeAlias

__all__ = ["GRANULARITY_NS", "Box", "History", "Seen", "Steps", "decided", "widened"]


GRANULARITY_NS = 1_500_000
"""The coarsest clock of a limiter: intervals are taken for so much longer at both ends."""


class Seen(NamedTuple):
    """One answered request: the limiter decided at an instant in [sent_ns, received_ns].

    Both ends are further out than was seen, by `GRANULARITY_NS`: see `widened`.
    """

    sent_ns: int
    received_ns: int
    admitted: bool


def widened(sent_ns: int, received_ns: int, *, admitted: bool) -> Seen:
    """Widen an interval by the granularity of the limiter's clock."""
    return Seen(sent_ns - GRANULARITY_NS, received_ns + GRANULARITY_NS, admitted)


History: TypeAlias = Sequence[Seen]
"""The answers to one key, in the order in which they were decided."""

Steps: TypeAlias = tuple[tuple[int, int], ...]
"""(at_ns, requests) on one fresh key, in ns of the round that sends them."""


class Box(NamedTuple):
    """A set of limiters of one family: every parameter between two bounds, both included.

    Args:
        limit: N of a window or log, the burst of a bucket.
        low_ns: the least window; of a bucket the least time in which a token comes back.
        high_ns: the largest.
        phase_low_ns: the earliest instant of some boundary, where the family has a phase.
        phase_high_ns: the latest.
    """

    limit: int
    low_ns: int
    high_ns: int
    phase_low_ns: int = 0
    phase_high_ns: int = 0

    @property
    def middle_ns(self) -> int:
        """The window in the middle, as ratios go."""
        return isqrt(self.low_ns * self.high_ns)

    def point(self) -> "Box":
        """One limiter of the set: the one in the middle."""
        window_ns = self.middle_ns
        phase_ns = (self.phase_low_ns + self.phase_high_ns) // 2
        return Box(self.limit, window_ns, window_ns, phase_ns, phase_ns)

    def halves(self, *, phased: bool) -> tuple["Box", "Box"]:
        """Cut in two across the longer side, measured in windows."""
        if phased and self.phase_high_ns - self.phase_low_ns > 4 * (self.high_ns - self.low_ns):
            middle = (self.phase_low_ns + self.phase_high_ns) // 2
            return self._replace(phase_high_ns=middle), self._replace(phase_low_ns=middle)
        middle = self.middle_ns
        return self._replace(high_ns=middle), self._replace(low_ns=middle)


def decided(seen: History) -> list[Seen]:
    """An order in which all of it can have been decided: admissions first where they overlap.

    Only true intervals order anything, without what was added to them at both ends.
    """
    return sorted(
        seen,
        key=lambda each: (
            each.sent_ns + GRANULARITY_NS if each.admitted else each.received_ns - GRANULARITY_NS
        ),
    )
