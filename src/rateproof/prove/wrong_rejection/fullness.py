"""Fullness of a quota: the most that any choice of instants allows.

A *rule* says of one quota what fills it. Its *occupancy* over the requests of a
key answers for every instant; `docs/theory.md`, section 3, proves both rules.

    window   full at t only if `limit` were decided in [t - lasts, t]; one seen
             as [s, r] may be one of them only if s <= t <= r + lasts
    bucket   each takes a token; the level at t is lowest if each possible one
             is decided as late as it can be, at r, or at t where r is later
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from rateproof.clock import EXACT, MILLION, Tolerance
from rateproof.policy import Policy, Quota

Taken = Sequence[tuple[int, int | None]]


class Maxima:
    """A tree of maxima: a node has the greater of the two below it."""

    def __init__(self, values: Sequence[int]) -> None:
        self._count = len(values)
        # Negated places, so that of equal values the first is the greatest.
        leaves = [(value, -at) for at, value in enumerate(values)]
        self._tree = [*leaves, *leaves]
        for node in range(self._count - 1, 0, -1):
            self._tree[node] = max(self._tree[2 * node], self._tree[2 * node + 1])

    def first(self, low: int, high: int) -> tuple[int, int]:
        """The greatest value from place `low` to before `high`, and its first place.

        Raises:
            ValueError: there is none.
        """
        found = []
        low, high = low + self._count, high + self._count
        while low < high:
            if low % 2:
                found.append(self._tree[low])
                low += 1
            if high % 2:
                high -= 1
                found.append(self._tree[high])
            low, high = low // 2, high // 2
        value, place = max(found)
        return value, -place


class Occupancy(ABC):
    """The most that a quota may have held, by the instant."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._starts = sorted(sent_ns for sent_ns, _ in taken)
        self._ends = sorted(end for _, end in taken if end is not None)

    def _note_full_starts(self) -> None:
        """It becomes full only at a start: note the next such start, for each."""
        starts = self._starts
        self._next_full = [len(starts)] * (len(starts) + 1)
        for i in range(len(starts) - 1, -1, -1):
            self._next_full[i] = i if self.full_at(starts[i]) else self._next_full[i + 1]

    @abstractmethod
    def full_at(self, instant_ns: int) -> bool:
        """Tell whether the quota may have been full at this instant."""

    @abstractmethod
    def used_at(self, instant_ns: int) -> int:
        """Return how much of it may have been in use at this instant."""

    @abstractmethod
    def counted(self, first_ns: int, last_ns: int) -> tuple[int, ...]:
        """The requests in use where most of it is, over [first_ns, last_ns], as indices."""

    def may_be_full(self, first_ns: int, last_ns: int) -> bool:
        """Tell whether it may have been full at some instant of [first_ns, last_ns]."""
        if self.full_at(first_ns):
            return True
        start = self._next_full[bisect_right(self._starts, first_ns)]
        return start < len(self._starts) and self._starts[start] <= last_ns

    def most(self, first_ns: int, last_ns: int) -> int:
        """The most of it that may have been in use over [first_ns, last_ns]."""
        return self.used_at(self._busiest(first_ns, last_ns))

    def _busiest(self, first_ns: int, last_ns: int) -> int:
        """The first instant of [first_ns, last_ns] at which most of it may have been in use."""
        low = bisect_right(self._starts, first_ns)
        high = bisect_right(self._starts, last_ns)
        if low == high:
            return first_ns
        used, start = self._peaks.first(low, high)
        return self._starts[start] if used > self.used_at(first_ns) else first_ns

    @cached_property
    def _peaks(self) -> Maxima:
        return Maxima([self.used_at(start_ns) for start_ns in self._starts])

    def _since(self, earliest_ns: int, instant_ns: int) -> tuple[int, ...]:
        return tuple(
            i
            for i, (sent_ns, end) in enumerate(self._taken)
            if sent_ns <= instant_ns and (end is None or end >= earliest_ns)
        )


@dataclass(frozen=True, slots=True)
class WindowRule:
    """The rule by which a window fills."""

    limit: int
    lasts_ns: int

    @property
    def horizon_ns(self) -> int:
        """After how long nothing matters any more."""
        return self.lasts_ns

    def occupancy(self, taken: Taken, empty_ns: int | None = None) -> "_WindowOccupancy":
        """Over these requests; `empty_ns` makes no difference a horizon later."""
        del empty_ns
        return _WindowOccupancy(self, taken)


@dataclass(frozen=True, slots=True)
class BucketRule:
    """The rule by which a bucket empties. A token is `cost` units; of d ns, d*gain - slack flow in.

    Args:
        limit: tokens that it holds.
        gain: units that flow in each ns, at the least.
        cost: units of a token.
        slack: units lost to rounding over any time, however long.
    """

    limit: int
    gain: int
    cost: int
    slack: int

    @property
    def horizon_ns(self) -> int:
        """Return how long an empty bucket needs to be full again."""
        return -(-(self.limit * self.cost + self.slack) // self.gain)

    def occupancy(self, taken: Taken, empty_ns: int | None = None) -> "_BucketOccupancy":
        """Over these requests; it may have been empty at `empty_ns`, if not None, but not below."""
        return _BucketOccupancy(self, taken, empty_ns)


Rule = WindowRule | BucketRule


class _WindowOccupancy(Occupancy):
    def __init__(self, rule: WindowRule, taken: Taken) -> None:
        super().__init__(taken)
        self._rule = rule
        self._note_full_starts()

    def full_at(self, instant_ns: int) -> bool:
        return self.used_at(instant_ns) >= self._rule.limit

    def used_at(self, instant_ns: int) -> int:
        gone = bisect_left(self._ends, instant_ns - self._rule.lasts_ns)
        return bisect_right(self._starts, instant_ns) - gone

    def counted(self, first_ns: int, last_ns: int) -> tuple[int, ...]:
        instant_ns = self._busiest(first_ns, last_ns)
        return self._since(instant_ns - self._rule.lasts_ns, instant_ns)


class _BucketOccupancy(Occupancy):
    """Ends e[0] <= e[1] <= ...; S requests were sent by t, K of them ended by then.

    Since e[k] at least S - k were taken, the last S - K at t itself, and the
    bucket had been full at best. So it holds less than a token at t if

        S - K >= limit, or for some k <= S - limit
        (t - e[k])*gain - slack < (S - k - limit + 1)*cost

    (for later k, fewer than `limit` were taken, whatever flowed in). The left
    sides are t*gain less a term of k alone, so one running maximum answers.
    """

    def __init__(self, rule: BucketRule, taken: Taken, empty_ns: int | None) -> None:
        super().__init__(taken)
        self._rule = rule
        self._empty_ns = empty_ns
        self._ended_when_empty = 0 if empty_ns is None else bisect_right(self._ends, empty_ns)
        self._drained: list[int] = []
        for k, end in enumerate(self._ends):
            units = end * rule.gain - k * rule.cost
            self._drained.append(max(units, self._drained[-1]) if k else units)
        self._note_full_starts()

    def full_at(self, instant_ns: int) -> bool:
        rule = self._rule
        sent = bisect_right(self._starts, instant_ns)
        over = sent - rule.limit
        flowed = instant_ns * rule.gain - rule.slack
        if self._empty_ns is not None:
            since = sent - self._ended_when_empty
            if flowed - self._empty_ns * rule.gain < (since + 1) * rule.cost:
                return True
        if over < 0:
            return False
        ended = bisect_right(self._ends, instant_ns)
        if sent - ended >= rule.limit:
            return True
        return flowed - (over + 1) * rule.cost < self._drained[over]

    def used_at(self, instant_ns: int) -> int:
        """Tokens that may have been missing; below `limit` where it held one for certain."""
        rule = self._rule
        sent = bisect_right(self._starts, instant_ns)
        ended = bisect_right(self._ends, instant_ns)
        missing = sent - ended
        flowed = instant_ns * rule.gain - rule.slack
        if ended:
            missing = max(missing, -((flowed - self._drained[ended - 1]) // rule.cost) + sent)
        if self._empty_ns is not None:
            refilled = (flowed - self._empty_ns * rule.gain) // rule.cost
            missing = max(missing, rule.limit + sent - self._ended_when_empty - refilled)
        return missing if self.full_at(instant_ns) else min(missing, rule.limit - 1)

    def counted(self, first_ns: int, last_ns: int) -> tuple[int, ...]:
        instant_ns = self._busiest(first_ns, last_ns)
        ended = bisect_right(self._ends, instant_ns)
        k = ended
        if ended:
            k = bisect_left(self._drained, self._drained[ended - 1])
        return self._since(self._ends[k] if k < ended else instant_ns, instant_ns)


@lru_cache
def rules_of(
    policy: Policy, tolerance: Tolerance = EXACT, *, denied_count: bool = False
) -> tuple[Rule, ...]:
    """Return what fills each quota of a policy, at the longest that the tolerance allows.

    Returns:
        One for each quota; none at all if there is no rule for one of them. A
        rejection is right when *any* quota was full, so that one could excuse all.
    """
    rules = [_rule(quota, tolerance, int(denied_count)) for quota in policy.quotas]
    return () if None in rules else tuple(rule for rule in rules if rule is not None)


def _rule(quota: Quota, tolerance: Tolerance, more: int) -> Rule | None:
    if quota.record.delays:
        return None
    if quota.record.has_burst:
        # A limiter that rounds to whole ns, or wants more than a token, is excused by 1 ns.
        return BucketRule(
            limit=quota.burst + more,
            gain=quota.limit * (MILLION - tolerance.ppm),
            cost=quota.window_ns * MILLION,
            slack=quota.limit * MILLION * (tolerance.granularity_ns + 1),
        )
    return WindowRule(quota.limit + more, tolerance.at_most_ns(quota.memory_ns))
