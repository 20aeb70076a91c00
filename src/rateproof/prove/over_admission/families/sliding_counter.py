"""Sliding counters at a known phase: the count of one window delays the admissions of the next.

The weakest of their rules is judged: at `x` of a window, floor(previous*(1 - x))
and what the window has must be below N. The `limits` library rounds down like
this; where the weight is exact, as in this package, less is admitted. So in a window after
one with `previous` the k-th admission has an earliest instant, and later is
never worse: but for jobs that may wait for the next window, each is decided as
late as its interval allows, and of those that may wait the most urgent are taken
first. How many, only trying can tell, since they then count against the next.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rateproof.clock import Interval
from rateproof.prove.over_admission.phases import (
    ClockLimiter,
    Family,
    Found,
    Readings,
    Stuck,
    Work,
    each_piece,
    overfull,
)

Waiting = tuple[tuple[int, int], ...]
"""(latest reading, job) of the jobs left to the next window, the most urgent first."""


def search(jobs: list[Interval], family: Family, budget: int) -> Iterator[Found]:
    """Look for jobs, by sending time, that fit no windows of any phase.

    Instants between two ns need not be tried where a window has more ns than it takes
    jobs: what suits later than its last whole ns suits then.
    """
    if family.window_ns <= family.limit:
        return iter(())
    return each_piece(jobs, family, budget, _fits, restarts=True)


def harmless(family: Family, _span_ns: int) -> int:
    """So many jobs always fit."""
    return family.limit


def earliest(limit: int, window_ns: int, previous: int, k: int) -> int:
    """The least e with floor(previous*(W - e)/W) + k - 1 < N, for k up to N; W if there is none."""
    room = limit - k + 1
    return 0 if previous < room else window_ns + 1 - -(-room * window_ns // previous)


def _fits(readings: Readings, family: Family, phase: int, work: Work) -> Stuck | None:
    """Jobs of consecutive windows that do not all fit into them; None if all jobs fit."""
    limit, window_ns = family.limit, family.window_ns
    stuck = overfull(readings, limit, window_ns, phase)
    if stuck is not None:
        return stuck
    grid = _Grid(readings, limit, window_ns, phase)
    crisis = grid.fill(range(len(readings.low)), work)
    if crisis is None:
        return None
    # What began long before, or may wait for later windows, is seldom to blame.
    slots = 1
    while True:
        core = [
            job
            for job in range(len(readings.low))
            if crisis - slots <= grid.opens(job) <= crisis and grid.closes(job) <= crisis
        ]
        if grid.opens(0) >= crisis - slots or grid.fill(core, work) is not None:
            # As long as no job touches an earlier window, no more of them fit.
            return core, min((readings.low[job] - phase) % window_ns for job in core)
        slots *= 2


@dataclass(frozen=True, slots=True)
class _Grid:
    readings: Readings
    limit: int
    window_ns: int
    phase: int

    def opens(self, job: int) -> int:
        """The first window in which a job may lie."""
        return (self.readings.low[job] - self.phase) // self.window_ns

    def closes(self, job: int) -> int:
        """The last."""
        return (self.readings.high[job] - self.phase) // self.window_ns

    def fill(self, jobs: Sequence[int], work: Work) -> int | None:
        """The first window in which they do not fit, None if they fit.

        Of all ways to leave the same jobs waiting, the one that takes the
        fewest in the last window is at least as good as the others.
        """
        states: dict[Waiting, int] = {(): 0}
        slot, at = self.opens(jobs[0]) if jobs else 0, 0
        while at < len(jobs) or any(states):
            if not any(states) and self.opens(jobs[at]) > slot:
                states, slot = {(): 0}, self.opens(jobs[at])
            new = []
            while at < len(jobs) and self.opens(jobs[at]) <= slot:
                new.append((self.readings.high[jobs[at]], jobs[at]))
                at += 1
            after: dict[Waiting, int] = {}
            for waiting, previous in sorted(states.items()):
                together = _merged(waiting, new)
                work.add(1 + len(together))
                for left, count in self._window(slot, together, previous):
                    work.add(len(left))
                    after[left] = min(count, after.get(left, count))
            if not after:
                return slot
            states = after
            slot += 1
        return None

    def _window(self, slot: int, jobs: Waiting, previous: int) -> Iterable[tuple[Waiting, int]]:
        """Return what may be left waiting after a window, and how many it took then."""
        ends_ns = self.phase + (slot + 1) * self.window_ns
        room = self.limit
        while room and earliest(self.limit, self.window_ns, previous, room) >= self.window_ns:
            room -= 1
        begins_ns = ends_ns - self.window_ns
        due = sum(high < ends_ns for high, _ in jobs)
        in_time = due <= room and all(
            high >= begins_ns + earliest(self.limit, self.window_ns, previous, k)
            for k, (high, _) in enumerate(jobs[:due], 1)
        )
        if in_time:
            for count in range(due, min(len(jobs), room) + 1):
                yield jobs[count:], count


def _merged(waiting: Waiting, new: Iterable[tuple[int, int]]) -> Waiting:
    jobs = list(waiting)
    for entry in new:
        insort(jobs, entry)
    return tuple(jobs)


limiter = ClockLimiter
