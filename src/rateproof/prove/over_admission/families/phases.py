"""Where may the windows begin? Every phase of a grid, tried a piece of a log at a time.

On the limiter's clock the windows of an epoch begin at `phase + k*W`. The phase
is not known and the clocks drift, so a log is cut into pieces, each with a phase
of its own and with intervals widened by what the clocks may have drifted apart
since it began. `docs/theory.md`, section 2.7, proves that this is sound.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rateproof.prove.over_admission.gaps import (
    Family,
)
from rateproof.prove.terms import MILLION

__all__ = ["Explained", "Piece", "Spent", "Stuck", "Work", "pieces", "sweep"]

MOST_JOBS: Final = 1024
"""In a piece. Each of them may make the phases be tried once more, so this bounds the work."""

MOST_NS: Final = 2**61
"""That a piece lasts, and that anything is later than its begin."""

_WIDENED_PARTS: Final = 16
"""A piece ends where drift has widened its intervals by this part of a window."""

Stuck = tuple[list[int], int]
"""The jobs that do not fit at a phase, and how many ns later a phase may be for that to stay so."""


@dataclass(frozen=True, slots=True)
class Explained:
    """No phase search found a contradiction: for each piece it searched, some phase fits."""

    spent: int = 0


class Spent(Exception):
    """The budget of a search is spent."""


_FREE_LOOKS = 16


class Work:
    """Counts the jobs that a search looks at; the first 16 looks at each are free.

    Args:
        jobs: how many are searched.
        budget: looks that may be made beyond the free ones.
    """

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


@dataclass(frozen=True, slots=True)
class Piece:
    """Jobs on the limiter's clock, in ns from their first; by sending time.

    Args:
        low: the earliest reading at which each may have been decided.
        high: the latest.
    """

    low: list[int]
    high: list[int]

    @classmethod
    def of(cls, jobs: Sequence[tuple[int, int]], family: Family) -> "Piece":
        """Widen jobs by what the clocks may have drifted apart since the first was sent."""
        rate, first_ns = MILLION - family.tolerance.ppm, jobs[0][0]
        return cls(
            [(sent - first_ns) * rate // MILLION - family.widening_ns for sent, _ in jobs],
            [min(MOST_NS * 2, -((first_ns - due) * MILLION // rate)) for _, due in jobs],
        )


def pieces(jobs: Sequence[tuple[int, int]], family: Family) -> Iterator[tuple[int, int]]:
    """Begin and end of runs of jobs short enough for one phase, each begun amidst the last.

    Args:
        jobs: by sending time.
        family: its tolerance bounds how long a piece may last.
    """
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


def sweep(
    at: Callable[[int], Stuck | None], window_ns: int, phase: int, work: Work
) -> tuple[set[int] | None, int]:
    """Try every phase, beginning with the one given, until one fits.

    Args:
        at: what does not fit at a phase, None if all does.
        window_ns: how many phases there are.
        phase: the first to try.
        work: looked at every job for each phase that is tried.

    Returns:
        The jobs that left no phase, or None; and the phase that fits.
    """
    left, phase = set[int](), phase % window_ns
    last = phase + window_ns
    while phase < last:
        work.add(work.jobs)
        stuck = at(phase)
        if stuck is None:
            return None, phase
        left.update(stuck[0])
        phase += stuck[1] + 1
    return left, phase
