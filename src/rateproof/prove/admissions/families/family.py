"""What a phase search is asked, what it may spend, and what it answers."""

from dataclasses import dataclass
from typing import Final

from rateproof.policy import Quota
from rateproof.prove.tolerance import EXACT, MILLION, Tolerance

__all__ = ["Explained", "Family", "Spent", "Work"]

SEARCHED: Final = frozenset({"fixed-window", "sliding-counter", "first-hit-window"})
"""The algorithms whose gap is only necessary; the gap of all others says everything."""

MOST_PPM: Final = 100_000
"""Beyond a tenth, a window may have any phase against the next: nothing to search."""

_FREE_LOOKS = 16


@dataclass(frozen=True, slots=True)
class Explained:
    """No phase search found a contradiction: for each piece it searched, some phase fits."""

    spent: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """The windows of one quota, for a search over where they may begin.

    Args:
        algorithm: a name from `SEARCHED`.
        limit: N.
        window_ns: W.
        tolerance: what the clocks may disagree on.
    """

    algorithm: str
    limit: int
    window_ns: int
    tolerance: Tolerance

    @classmethod
    def of(cls, quota: Quota, tolerance: Tolerance) -> "Family | None":
        """The family of a quota, None where its gap says all, or nothing more can be said."""
        if quota.algorithm not in SEARCHED or tolerance.ppm > MOST_PPM:
            return None
        return cls(quota.algorithm, quota.limit, quota.window_ns, tolerance)

    def figures(self) -> tuple[str, int, int, int, int]:
        """The family as the native core takes it."""
        tolerance = self.tolerance
        return self.algorithm, self.limit, self.window_ns, tolerance.ppm, tolerance.granularity_ns

    @property
    def monotone(self) -> bool:
        """Whether leaving out admissions never breaks what kept the limit.

        An opening by a first hit is not: a hit that is left out may have opened
        the window that the others need. It is searched only where every request
        of a key is known.
        """
        return self.algorithm != "first-hit-window"

    @property
    def least_ns(self) -> int:
        """The shortest that a window can last on the log's clock, rounded down."""
        shortest_ns = self.window_ns * (MILLION - self.tolerance.ppm) // MILLION
        return shortest_ns - self.tolerance.granularity_ns

    @property
    def widening_ns(self) -> int:
        """What the limiter's reading may lag by: its step, and the part of a ns between clocks."""
        return 0 if self.tolerance == EXACT else self.tolerance.granularity_ns + 1


class Spent(Exception):
    """The budget of a search is spent."""


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
