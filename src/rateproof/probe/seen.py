"""Answers that a probe saw, and boxes of limiters that are still possible."""

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple, Self, TypeAlias

GRANULARITY_NS = 1_500_000
"""The coarsest clock of a limiter: intervals are taken for so much longer at both ends."""


class Seen(NamedTuple):
    """Answered requests: the limiter decided each at an instant in [sent_ns, received_ns].

    Both ends are further out than was seen, by `GRANULARITY_NS`: see `widened`. Of several
    the order is unknown.

    Args:
        sent_ns: the earliest instant of the first of them.
        received_ns: the latest of the last.
        admitted: how many were admitted.
        denied: how many were not.
    """

    sent_ns: int
    received_ns: int
    admitted: int
    denied: int


def widened(sent_ns: int, received_ns: int, *, admitted: bool) -> Seen:
    """Widen the interval of one request by the granularity of the limiter's clock."""
    early_ns, late_ns = sent_ns - GRANULARITY_NS, received_ns + GRANULARITY_NS
    return Seen(early_ns, late_ns, int(admitted), int(not admitted))


History: TypeAlias = Sequence[Seen]
"""The answers to one key, in the order in which they were decided."""

Steps: TypeAlias = tuple[tuple[int, int], ...]
"""(at_ns, requests) on one key, fresh unless they are `Onward`, in ns of the round that sends them."""


class Onward(Steps):
    """Steps that go on with a key of an earlier round; equal to no others, as the key is another.

    Args:
        steps: what is asked.
        before: all that was seen of the key.
    """

    before: History

    def __new__(cls, steps: Steps, before: History) -> Self:
        """Tie the steps to a key."""
        self = super().__new__(cls, steps)
        self.before = before
        return self

    def __eq__(self, other: object) -> bool:
        """Equal to nothing but itself."""
        return self is other

    def __ne__(self, other: object) -> bool:
        """Unlike all but itself."""
        return self is not other

    __hash__ = object.__hash__


def seen_before(steps: Steps) -> History:
    """All that was seen of a key before the steps; nothing of a fresh one."""
    return steps.before if isinstance(steps, Onward) else ()


class Box(NamedTuple):
    """A set of limiters of one family: every parameter between two bounds, both included.

    Args:
        limit: N of a window or log, the burst of a bucket.
        low_ns: the least window; of a bucket the least time in which a token comes back.
        high_ns: the largest.
        other_low_ns: the least of the other parameter, where a family has one: an instant
            of some boundary of its clock, the time for which a denial blocks, or a second window.
        other_high_ns: the most.
        second_low: the least limit of that window; 0 where there is none.
        second_high: the largest.
    """

    limit: int
    low_ns: int
    high_ns: int
    other_low_ns: int = 0
    other_high_ns: int = 0
    second_low: int = 0
    second_high: int = 0

    @property
    def middle_ns(self) -> int:
        """The window in the middle, as ratios go."""
        return isqrt(self.low_ns * self.high_ns)

    def point(self) -> "Box":
        """One limiter of the set: the one in the middle."""
        window_ns = self.middle_ns
        other_ns = (self.other_low_ns + self.other_high_ns) // 2
        second = (self.second_low + self.second_high) // 2
        return Box(self.limit, window_ns, window_ns, other_ns, other_ns, second, second)

    def halves(self, times: int = 1) -> tuple["Box", "Box"]:
        """Cut in two across the longer side, measured in windows; `times`: how much more the window counts."""
        if self.second_high:
            return self._cut_second()
        if self.other_high_ns - self.other_low_ns > 4 * times * (self.high_ns - self.low_ns):
            middle = (self.other_low_ns + self.other_high_ns) // 2
            return self._replace(other_high_ns=middle), self._replace(other_low_ns=middle)
        middle = self.middle_ns
        return self._replace(high_ns=middle), self._replace(low_ns=middle)

    def _cut_second(self) -> tuple["Box", "Box"]:
        """Cut in two across the side that is the longest by ratio."""
        second = self.second_high / self.second_low
        window, token = self.other_high_ns / self.other_low_ns, self.high_ns / self.low_ns
        if second >= max(window, token):
            between = (self.second_low + self.second_high) // 2
            return self._replace(second_high=between), self._replace(second_low=between + 1)
        if window > token:
            middle = isqrt(self.other_low_ns * self.other_high_ns)
            return self._replace(other_high_ns=middle), self._replace(other_low_ns=middle)
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


def _joined(one: Seen, other: Seen) -> Seen:
    """Two that are counted as one, begun when the first was sent."""
    return Seen(
        one.sent_ns,
        max(one.received_ns, other.received_ns),
        one.admitted + other.admitted,
        one.denied + other.denied,
    )


def volleys(seen: History) -> list[Seen]:
    """Requests whose true intervals overlap, in any order, as one: nobody knows their order."""
    found: list[Seen] = []
    for each in sorted(seen):
        last = found[-1] if found else None
        if last and each.sent_ns < last.received_ns - 2 * GRANULARITY_NS:
            found[-1] = _joined(last, each)
        else:
            found.append(each)
    return found


def condensed(seen: Sequence[Seen], most: int) -> list[Seen]:
    """Join answers that follow each other and are alike, so that at most about so many are left."""
    found: list[Seen] = []
    span_ns = (seen[-1].received_ns - seen[0].sent_ns) // most if seen else 0
    for each in seen:
        last = found[-1] if found else each
        same = not (last.admitted and each.denied) and not (last.denied and each.admitted)
        if found and same and each.received_ns - last.sent_ns <= span_ns:
            found[-1] = _joined(last, each)
        else:
            found.append(each)
    return found
