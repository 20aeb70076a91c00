"""Of jobs that are impossible together: some of which no single one can be left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rateproof.prove.admissions.feasible import Exhausted, Infeasible, Interval

__all__ = ["Asked", "Core", "minimal_core"]


class Asked(Protocol):
    """What came of a question about jobs; `Infeasible` if they are that."""

    @property
    def spent(self) -> int:
        """Its cost."""
        ...


@dataclass(frozen=True, slots=True)
class Core:
    """Jobs that are impossible together.

    Args:
        jobs: their indices, by sending time.
        minimal: whether each of them is needed; False where that was not found out.
    """

    jobs: tuple[int, ...]
    minimal: bool


def minimal_core(
    jobs: Sequence[Interval],
    core: Sequence[int],
    ask: Callable[[Sequence[Interval], int], Asked],
    budget: int,
) -> Core:
    """Delete what is not needed from an infeasible core.

    Jobs are left out one by one until a whole pass finds each of them needed; wider
    strokes before that are only for speed. Where infeasibility is monotone (adding
    admissions never makes them possible) one pass would do, but what a search finds
    need not be, for it may cut a log in other places without one of its jobs.

    Args:
        jobs: the jobs that `core` indexes.
        core: indices of jobs that are infeasible by themselves.
        ask: whether some jobs are infeasible, within a budget.
        budget: how many job placements to spend; what is left when it is
            spent is still infeasible, but perhaps not minimal.
    """
    kept = sorted(core, key=lambda i: (*jobs[i], i))
    stroke = max(1, len(kept) // 2)
    spent = 0
    while True:
        start, before, sure = 0, len(kept), stroke == 1
        while start < len(kept):
            if spent >= budget:
                return Core(tuple(kept), minimal=False)
            fewer = kept[:start] + kept[start + stroke :]
            answer = ask([jobs[i] for i in fewer], budget - spent)
            spent += len(fewer) + answer.spent
            if isinstance(answer, Infeasible):
                # Nothing outside the smaller core was needed.
                kept_before = sum(1 for i in answer.core if i < start)
                kept = [fewer[i] for i in answer.core]
                start = kept_before
            else:
                sure = sure and not isinstance(answer, Exhausted)
                start += stroke
        if stroke == 1 and len(kept) == before:
            return Core(tuple(kept), minimal=sure)
        stroke = max(1, stroke // 2)
