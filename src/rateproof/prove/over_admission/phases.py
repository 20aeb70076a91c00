"""Phases of windows: every one of a grid, tried a piece of a log at a time.

On the limiter's clock the windows of an epoch begin at `phase + k*W`. The phase
is not known and the clocks drift, so a log is cut into pieces, each with a phase
of its own and with intervals widened by what the clocks may have drifted apart
since it began. `docs/theory.md`, section 2.7, proves that this is sound.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from rateproof.clock import EXACT, MILLION, Interval, Tolerance
from rateproof.policy import ALGORITHMS, Quota

MOST_JOBS: Final = 1024
"""In a piece. Each of them may make the phases be tried once more, so this bounds the work."""

MOST_NS: Final = 2**61
"""That a piece lasts, and that anything is later than its begin."""

_WIDENED_PARTS: Final = 16
"""A piece ends where drift has widened its intervals by this part of a window."""

Stuck = tuple[list[int], int]
"""The jobs that do not fit at a phase, and how many ns later a phase may be for that to stay so."""

_FREE_LOOKS: Final = 16


@dataclass(frozen=True, slots=True)
class Family:
    """The windows of one quota, for a search over where they may begin."""

    algorithm: str
    limit: int
    window_ns: int
    tolerance: Tolerance

    @property
    def monotone(self) -> bool:
        """Tell whether leaving out admissions never breaks what kept the limit.

        An opening by a hit is not: a hit that is left out may have opened the
        window that the others need. It is searched only where every request
        of a key is known.
        """
        return ALGORITHMS[self.algorithm].windows != "hit"

    @property
    def least_ns(self) -> int:
        """The shortest that a window can last on the log's clock, rounded down."""
        shortest_ns = self.window_ns * (MILLION - self.tolerance.ppm) // MILLION
        return shortest_ns - self.tolerance.granularity_ns

    @property
    def widening_ns(self) -> int:
        """The lag of the limiter's reading at most: its step, and the part of a ns between clocks.

        On one clock a phase between two ns is like the next whole one, but where the
        window before weighs: then an instant that suits may lie between two ns, too.
        """
        exact = self.tolerance == EXACT and not ALGORITHMS[self.algorithm].weighs
        return 0 if exact else self.tolerance.granularity_ns + 1


class Spent(Exception):
    """The budget of a search is spent."""


class Work:
    """Counts the jobs that a search looks at; the first 16 looks at each are free."""

    __slots__ = ("_free", "_looks", "_most", "jobs")

    def __init__(self, jobs: int, budget: int) -> None:
        self.jobs = jobs
        self._free = _FREE_LOOKS * jobs
        self._most = self._free + max(0, budget)
        self._looks = 0

    @property
    def spent(self) -> int:
        """Looks beyond the free ones."""
        return max(0, self._looks - self._free)

    def add(self, looks: int) -> None:
        """So many more.

        Raises:
            Spent: more than the budget.
        """
        self._looks += looks
        if self._looks > self._most:
            raise Spent


Found = tuple[Sequence[int] | Spent | None, int]
"""Of a part of the jobs: those that fit no windows, or that the budget was spent; and the cost."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Jobs on the limiter's clock, in ns from their first; by sending time.

    Args:
        low: the earliest reading at which each may have been decided.
        high: the latest.
    """

    low: list[int]
    high: list[int]

    @classmethod
    def of(cls, jobs: Sequence[Interval], family: Family) -> "Readings":
        """Widen jobs by what the clocks may have drifted apart since the first was sent."""
        rate, first_ns = MILLION - family.tolerance.ppm, jobs[0][0]
        return cls(
            [(sent - first_ns) * rate // MILLION - family.widening_ns for sent, _ in jobs],
            [min(MOST_NS * 2, -((first_ns - due) * MILLION // rate)) for _, due in jobs],
        )


Fits = Callable[[Readings, Family, int, Work], Stuck | None]
"""Says of readings, a family and a phase which jobs do not fit; None if all do."""


def each_piece(
    jobs: list[Interval], family: Family, budget: int, fits: Fits, *, restarts: bool
) -> Iterator[Found]:
    """Search one piece of a log after the other; with `restarts`, phases may change in pauses."""
    phase_ns = jobs[0][0] if jobs else 0
    for run in _runs(jobs, family) if restarts else [range(len(jobs))]:
        of_run = [jobs[job] for job in run]
        for begin, end in _pieces(of_run, family):
            if end - begin <= family.limit:
                continue
            first_ns, work = of_run[begin][0], Work(end - begin, budget)
            readings = Readings.of(of_run[begin:end], family)
            try:
                stuck, phase = _sweep(readings, family, phase_ns - first_ns, fits, work)
            except Spent as spent:
                yield spent, work.spent
            else:
                phase_ns = first_ns + phase
                found = None if stuck is None else [run[begin + job] for job in stuck]
                yield found, work.spent
            budget -= work.spent


def _runs(jobs: list[Interval], family: Family) -> Iterator[Sequence[int]]:
    """Jobs among which the phase cannot have changed, by index.

    Some sliding counters begin anew, at any phase, when nothing was asked for a
    window. So a run ends where two admissions may be a window apart. A job that
    may itself be is left out: it may lie on either side of such a pause.
    """
    run: list[int] = []
    for job, (sent, due) in enumerate(jobs):
        if due - sent >= family.least_ns:
            continue
        if run and due - jobs[run[-1]][0] >= family.least_ns:
            yield run
            run = []
        run.append(job)
    yield run


def _pieces(jobs: Sequence[Interval], family: Family) -> Iterator[tuple[int, int]]:
    """Begin and end of runs of jobs short enough for one phase, each begun amidst the last."""
    longest_ns = MOST_NS
    if family.tolerance.ppm:
        drift = _WIDENED_PARTS * family.tolerance.ppm
        longest_ns = min(longest_ns, family.window_ns * MILLION // drift)
    begin = end = 0
    while end < len(jobs):
        most = min(len(jobs), begin + MOST_JOBS)
        end = bisect_left(jobs, jobs[begin][0] + longest_ns, begin + 1, most, key=lambda j: j[0])
        yield begin, end
        begin += max(1, (end - begin) // 2)


def _sweep(
    readings: Readings, family: Family, phase: int, fits: Fits, work: Work
) -> tuple[set[int] | None, int]:
    """Try every phase, beginning with the one given, until one fits.

    Returns:
        The jobs that left no phase, or None; and the phase that fits.
    """
    left, phase = set[int](), phase % family.window_ns
    last = phase + family.window_ns
    while phase < last:
        work.add(work.jobs)
        stuck = fits(readings, family, phase, work)
        if stuck is None:
            return None, phase
        left.update(stuck[0])
        phase += stuck[1] + 1
    return left, phase


def overfull(readings: Readings, limit: int, window_ns: int, phase: int) -> Stuck | None:
    """Jobs that touch d windows only and are more than N*d; None if all fit.

    Earliest deadline first into slots of capacity N: a job may lie in any of the
    slots that its interval touches. That is the same question as in `feasible`, for
    jobs that occupy one slot on N machines, and there are no crises that a barrier
    could resolve: slots do not shift.

    When a job is late, every slot before it was filled by more urgent ones, back
    to one that was not full or took a job due later: all of those since, and the
    late one, touch no other slots. Let the phase grow by no more than the first
    of them lie behind the begin of their slots: they touch no more slots.
    """
    low, high = readings.low, readings.high
    ready: list[tuple[int, int]] = []
    placed: list[int] = []
    slots: list[int] = []  # where in `placed` each slot since the last that was not full begins
    slot = job = 0
    while job < len(low) or ready:
        if not ready:
            slot = (low[job] - phase) // window_ns
            placed.clear()
            slots.clear()
        while job < len(low) and (low[job] - phase) // window_ns <= slot:
            heappush(ready, (high[job], job))
            job += 1
        slots.append(len(placed))
        for _ in range(min(limit, len(ready))):
            due, urgent = heappop(ready)
            if (due - phase) // window_ns < slot:
                first = len(slots) - 1
                while first > 0 and all(
                    (high[other] - phase) // window_ns < slot
                    for other in placed[slots[first - 1] : slots[first]]
                ):
                    first -= 1
                opens = slot - (len(slots) - 1 - first)
                block = [*placed[slots[first] :], urgent]
                behind = ((low[other] - phase) // window_ns == opens for other in block)
                return block, min(
                    (low[other] - phase) % window_ns
                    for other, opening in zip(block, behind, strict=True)
                    if opening
                )
            placed.append(urgent)
        slot += 1
    return None


class ClockLimiter:
    """A plain one, of windows of a clock; those that weigh the one before do so exactly.

    Where their share is rounded down more is admitted: what shows of this one shows of that.
    """

    def __init__(self, quota: Quota, shift_ns: int) -> None:
        self._quota = quota
        self._shift_ns = shift_ns
        self._weighs = quota.record.weighs
        self._admitted: Counter[int] = Counter()

    def has_room(self, instant_ns: int) -> bool:
        """True if one more may be admitted; instants never go back."""
        window_ns = self._quota.window_ns
        window, into_ns = divmod(instant_ns + self._shift_ns, window_ns)
        used = self._admitted[window] * window_ns
        if self._weighs:
            used += self._admitted[window - 1] * (window_ns - into_ns)
        return used <= (self._quota.limit - 1) * window_ns

    def admit(self, instant_ns: int) -> None:
        """Count one that was."""
        self._admitted[(instant_ns + self._shift_ns) // self._quota.window_ns] += 1
