"""Can all of these have been decided so, admissions and rejections alike? A search with a budget.

For one order of decisions everything is a bound of one instant by another, for
sliding logs of N per W (`docs/theory.md`, section 3.5):

    the next in order is no earlier
    the k-th admission comes at least `low_ns` after the (k-N)-th
    a rejection comes at most `high_ns` after the N-th last that counted before it

so the least instants that keep all bounds are found by raising them until
nothing changes, and the order is possible if none exceeds the end of its
interval. Orders are searched depth first, as checkers of linearizability do:
next is any request that was sent before the first of the others must have been
decided. Two requests of one kind of which one was sent and answered no later
than the other are tried in that order only, for they can change places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rateproof.clock import EXACT, Interval, Tolerance
from rateproof.policy import Policy
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.prove.over_admission.gaps import (
    Exhausted,
    Feasible,
    Infeasible,
    Stair,
)


@dataclass(frozen=True, slots=True)
class Log:
    """A sliding log, as far as clocks may disagree.

    Args:
        limit: how many it holds.
        low_ns: the least time after which there is room again.
        high_ns: the most time until there must be.
    """

    limit: int
    low_ns: int
    high_ns: int


@dataclass(frozen=True, slots=True)
class Episode:
    """Requests of one key, to be explained together; closed intervals in any order."""

    admissions: Sequence[Interval]
    rejections: Sequence[Interval]  # each needs a full log
    others: Sequence[Interval] = ()  # rejections that need none
    denied_count: bool = False  # all of these fill a log, not only admissions


_NONE = -1

# Whether it raises an earlier instant, its own, the request, the log that is its reason.
_Step = tuple[bool, int, int, int]


class OrderSearch:
    """The order so far, with the least instant of each place in it."""

    def __init__(self, episode: Episode, logs: Sequence[Log]) -> None:
        self._logs = logs
        self._all_count = episode.denied_count
        kinds = (episode.admissions, episode.rejections, episode.others)
        given = [interval for intervals in kinds for interval in intervals]
        self._count = len(given)
        self._given: list[int] = []  # by kind, and by sending time in each
        self._kind: list[int] = []
        # Pending requests of each kind: a ring from a head behind all requests and back to it.
        self._next = [0] * (self._count + len(kinds))
        self._previous = self._next.copy()
        for kind, intervals in enumerate(kinds):
            base, head = len(self._given), self._count + kind
            self._given += [base + i for i in _by_time(intervals)]
            self._kind += [kind] * len(intervals)
            for before, after in pairwise((head, *range(base, len(self._given)), head)):
                self._next[before], self._previous[after] = after, before
        self._sent = [given[i][0] for i in self._given]
        self._due = [given[i][1] for i in self._given]
        self._order: list[int] = []
        self._instant: list[int] = []
        self._filler: list[int] = []  # the place that must not lie too far back
        self._reach: list[int] = []  # how far back it may lie
        self._rank: list[int] = []  # how many admissions came before
        self._admitted: list[int] = []  # the places of admissions
        self._trail: list[tuple[int, int]] = []  # instants that were raised, as they were
        self._marks: list[int] = []
        self.spent = 0

    def complete(self) -> bool:
        """Tell whether every request has its place."""
        return len(self._order) == self._count

    def witness(self) -> tuple[int, ...]:
        """The instant of each request, in the order given."""
        instants = [0] * len(self._order)
        for request, instant in zip(self._order, self._instant, strict=True):
            instants[self._given[request]] = instant
        return tuple(instants)

    def steps(self) -> list[_Step]:
        """Return what may come next, the best last."""
        candidates: list[int] = []
        least: int | None = None
        for head in range(self._count, len(self._next)):
            least_of_kind: int | None = None
            request = self._next[head]
            while request < self._count:
                self.spent += 1
                if least_of_kind is None:
                    least_of_kind = self._due[request]
                    candidates.append(request)
                elif self._sent[request] > least_of_kind:
                    break
                elif self._due[request] < least_of_kind:
                    least_of_kind = self._due[request]
                    candidates.append(request)
                request = self._next[request]
            if least_of_kind is not None and (least is None or least_of_kind < least):
                least = least_of_kind
        steps: list[_Step] = []
        if least is not None:
            for request in candidates:
                self._add_steps(request, least, steps)
        steps.sort(reverse=True)
        return steps

    def _add_steps(self, request: int, least_due: int, steps: list[_Step]) -> None:
        """The ways to decide it next, so that nothing pending is late for certain."""
        t = self._sent[request]
        if self._instant:
            t = max(t, self._instant[-1])
        kind = self._kind[request]
        if kind == 0:
            t = self._spaced(len(self._admitted), t)
        if t > least_due:
            return
        if kind != 1:
            steps.append((False, t, request, _NONE))
            return
        for number, log in enumerate(self._logs):
            filler = self._filler_of(log)
            if filler != _NONE:
                push = t - log.high_ns
                if push <= self._due[self._order[filler]]:
                    steps.append((push > self._instant[filler], t, request, number))

    def _spaced(self, rank: int, t: int) -> int:
        """The least instant of the admission of this rank, if it is not before `t`."""
        for log in self._logs:
            if rank >= log.limit:
                t = max(t, self._instant[self._admitted[rank - log.limit]] + log.low_ns)
        return t

    def _filler_of(self, log: Log) -> int:
        """The place of the N-th last that counts; none if there are too few."""
        if self._all_count:
            return max(_NONE, len(self._order) - log.limit)
        rank = len(self._admitted) - log.limit
        return self._admitted[rank] if rank >= 0 else _NONE

    def take(self, step: _Step) -> bool:
        """Decide a request next; False if that is not possible, and then it is to be undone."""
        _, t, request, number = step
        self._marks.append(len(self._trail))
        place = len(self._order)
        log = None if number == _NONE else self._logs[number]
        self._filler.append(_NONE if log is None else self._filler_of(log))
        self._reach.append(0 if log is None else log.high_ns)
        self._rank.append(len(self._admitted))
        self._order.append(request)
        self._instant.append(t)
        if self._kind[request] == 0:
            self._admitted.append(place)
        before, after = self._previous[request], self._next[request]
        self._next[before], self._previous[after] = after, before
        return self._settle(place)

    def undo(self) -> None:
        """Take back the last decision."""
        mark = self._marks.pop()
        while len(self._trail) > mark:
            place, instant = self._trail.pop()
            self._instant[place] = instant
        request = self._order.pop()
        for column in (self._instant, self._filler, self._reach, self._rank):
            column.pop()
        if self._kind[request] == 0:
            self._admitted.pop()
        self._next[self._previous[request]] = self._previous[self._next[request]] = request

    def _settle(self, first: int) -> bool:
        """Raise instants from this place on until all bounds hold; False if one is too late.

        Without a circle of bounds that gains time, every sweep settles one more
        place of the longest chain for good.
        """
        sweeps = 0
        while first < len(self._order):
            if sweeps > len(self._order):
                return False
            sweeps += 1
            again = len(self._order)
            for place in range(first, len(self._order)):
                self.spent += 1
                request = self._order[place]
                t = self._instant[place]
                if place:
                    t = max(t, self._instant[place - 1])
                if self._kind[request] == 0:
                    t = self._spaced(self._rank[place], t)
                if not self._raise(place, t):
                    return False
                filler = self._filler[place]
                if filler != _NONE and self._instant[filler] < t - self._reach[place]:
                    if not self._raise(filler, t - self._reach[place]):
                        return False
                    again = min(again, filler)
            first = again
        return True

    def _raise(self, place: int, t: int) -> bool:
        if t > self._due[self._order[place]]:
            return False
        if t > self._instant[place]:
            self._trail.append((place, self._instant[place]))
            self._instant[place] = t
        return True


def _by_time(intervals: Sequence[Interval]) -> list[int]:
    return sorted(range(len(intervals)), key=lambda i: (*intervals[i], i))


def logs_of(policy: Policy, tolerance: Tolerance = EXACT) -> tuple[Log, ...]:
    """The quotas of a policy, if all are sliding logs; else none."""
    if any(quota.record is not SLIDING_LOG for quota in policy.quotas):
        return ()
    return tuple(
        Log(
            quota.limit,
            Stair.of(quota, tolerance).span_ns(1),
            tolerance.at_most_ns(quota.window_ns),
        )
        for quota in policy.quotas
    )


def explain(
    episode: Episode, logs: Sequence[Log], budget: int
) -> Feasible | Infeasible | Exhausted:
    """Search for instants that keep every log and give every rejection a reason."""
    search = OrderSearch(episode, logs)
    levels = [search.steps()]
    while levels:
        if search.complete():
            return Feasible(search.witness(), search.spent)
        if search.spent > budget:
            return Exhausted(search.spent)
        if not levels[-1]:
            levels.pop()
            if levels:
                search.undo()
            continue
        if search.take(levels[-1].pop()):
            levels.append(search.steps())
        else:
            search.undo()
    return Infeasible((), search.spent)
