"""Windows opened by their first hit: which hits may have opened them?

An admission while no window is open opens one. What a hit that is left out
would have opened is not known, so this is asked only where every request of a
key is known, and nothing may be left out of the answer.

A state is which of the jobs sent so far are still to be decided, and the
earliest instant at which they, and what follows, may be. The next window opens
at the first of these decisions and ends `least` to `most` later. Jobs due before
its end are in it, those sent before its end and due later may be.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

from rateproof.clock import Interval
from rateproof.policy import Quota
from rateproof.prove.over_admission.phases import Family, Found, Spent, Work

State = tuple[int, int, tuple[int, ...]]
"""Number decided, number sent by then, and those of these that are not decided."""


def search(jobs: list[Interval], family: Family, budget: int) -> Iterator[Found]:
    """Look for jobs, by sending time, that no hits can have opened windows for."""
    most_ns = family.tolerance.at_most_ns(family.window_ns)
    begin = 0
    latest = jobs[0][1] if jobs else 0
    for end in range(1, len(jobs) + 1):
        if end < len(jobs) and jobs[end][0] < latest + most_ns:
            latest = max(latest, jobs[end][1])
            continue
        # No window is open after such a pause.
        if end - begin > family.limit:
            work = Work(end - begin, budget)
            try:
                looked = _unopened(jobs[begin:end], family, work)
                yield None if looked is None else range(begin, begin + looked), work.spent
            except Spent as spent:
                yield spent, work.spent
            budget -= work.spent
        begin = end
        latest = jobs[end][1] if end < len(jobs) else latest


def _unopened(jobs: Sequence[Interval], family: Family, work: Work) -> int | None:
    """Return how many of the jobs, by sending time, already fit no windows; None if all fit."""
    search = _Search(jobs, family)
    earliest: dict[State, int] = {(0, 0, ()): jobs[0][0]}
    states: list[State] = [(0, 0, ())]
    while states:
        state = heappop(states)
        for after, ends_ns in search.windows(state, earliest.pop(state), work):
            if after[0] == len(jobs):
                return None
            if after not in earliest:
                heappush(states, after)
            earliest[after] = min(ends_ns, earliest.get(after, ends_ns))
    return search.looked


class _Search:
    """All ways to go on from a state. Each decides a job, so those with fewer go first."""

    def __init__(self, jobs: Sequence[Interval], family: Family) -> None:
        self._limit = family.limit
        self._least = max(1, family.least_ns)
        self._most = family.tolerance.at_most_ns(family.window_ns)
        self._sent = [sent for sent, _ in jobs]
        self._due = [due for _, due in jobs]
        # The earliest due of the jobs from each on.
        self._soonest = [*self._due, 2**63]
        for job in range(len(jobs) - 1, -1, -1):
            self._soonest[job] = min(self._soonest[job], self._soonest[job + 1])
        self.looked = 0

    def windows(self, state: State, earliest: int, work: Work) -> Iterator[tuple[State, int]]:
        """The states after the next window, and when that ends."""
        _, sent, left = state
        if not left:
            earliest = max(earliest, self._sent[sent])
        latest = min([self._soonest[sent], *(self._due[job] for job in left)])
        for ends_ns in self._ends(sent, left, earliest, latest):
            by_then = bisect_left(self._sent, ends_ns, sent)
            self.looked = max(self.looked, by_then)
            jobs = sorted([*left, *range(sent, by_then)], key=lambda job: (self._due[job], job))
            work.add(1 + len(jobs))
            choices = self._choices(jobs, ends_ns)
            if choices is None:
                return
            may, count = choices
            # All are paid before any is there: what is held in memory is bounded by the budget.
            work.add(count * len(may) - count * (count - 1) // 2)
            for taken in range(count):
                waiting = may[taken:]
                after = (by_then - len(waiting), by_then, tuple(sorted(waiting)))
                yield after, ends_ns

    def _ends(self, sent: int, left: Sequence[int], earliest: int, latest: int) -> list[int]:
        """The instants at which the window may end, the first of all between which nothing changes."""
        first, last = earliest + self._least, latest + self._most
        future = range(sent, bisect_left(self._sent, last, sent))
        changes = {first}
        for job in (*left, *future):
            changes |= {self._due[job] + 1, self._sent[job] + 1, self._sent[job] + self._least}
        return sorted(instant for instant in changes if first <= instant <= last)

    def _choices(self, jobs: list[int], ends_ns: int) -> tuple[list[int], int] | None:
        """Ways in which jobs may wait: each leaves one fewer of them undecided, from the first on.

        None if the window must take too many, as any longer one.

        Some job of the window is decided as it opens: at the latest `least` before
        its end, or else as the most urgent of all is due, which then must be in it.
        Of those that may wait the most urgent are taken, but for one that opens it.
        """
        opens_ns = ends_ns - self._least
        must = [job for job in jobs if self._due[job] < ends_ns]
        may = jobs[len(must) :]
        if len(must) > self._limit:
            return None
        if not any(self._sent[job] <= opens_ns for job in must):
            opener = next((job for job in may if self._sent[job] <= opens_ns), None)
            if opener is None:
                return [], 0
            may.remove(opener)
            must.append(opener)
        return may, min(len(may), self._limit - len(must)) + 1


class OpenedLimiter:
    """A plain one, whose window opens with the first admission after the one before has ended."""

    def __init__(self, quota: Quota, _shift_ns: int) -> None:
        self._quota = quota
        self._ends_ns: int | None = None
        self._admitted = 0

    def has_room(self, instant_ns: int) -> bool:
        """True if one more may be admitted; instants never go back."""
        return self._is_over(instant_ns) or self._admitted < self._quota.limit

    def admit(self, instant_ns: int) -> None:
        """Count one that was."""
        if self._is_over(instant_ns):
            self._ends_ns = instant_ns + self._quota.window_ns
            self._admitted = 0
        self._admitted += 1

    def _is_over(self, instant_ns: int) -> bool:
        return self._ends_ns is None or instant_ns >= self._ends_ns


limiter = OpenedLimiter
