"""Is the claim of no over-admission false for these jobs, and which of them show it best?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rateproof.prove.admissions.families.family import Family
from rateproof.prove.admissions.families.search import search
from rateproof.prove.admissions.feasible import (
    Exhausted,
    Infeasible,
    Interval,
    feasible,
    minimal_core,
    segments,
)
from rateproof.prove.admissions.windows import Nest, tightest_nests
from rateproof.prove.models import Model

__all__ = ["Breach", "find_breach"]

# Effort beyond the decision itself, spent on making evidence readable.
_NEST_WORK = 2_000_000
_MINIMISE_BUDGET = 300_000
_MEASURED_CORE = 200


@dataclass(frozen=True, slots=True)
class Breach:
    """Jobs that cannot all have been admitted.

    Args:
        core: their indices, by sending time.
        stair: index of the quota whose gap they break; None when no window
            holds them all and only a search over all choices shows it.
        steps: how many steps of it they climb.
        slack_ns: by how much every gap could be shorter and still be broken.
    """

    core: tuple[int, ...]
    stair: int | None
    steps: int
    slack_ns: int


def find_breach(
    jobs: Sequence[Interval], model: Model, budget: int, *, whole: bool = False
) -> tuple[Breach | Exhausted | None, int]:
    """The most readable proof that the jobs break the model, if they do.

    Args:
        jobs: intervals of the admissions of one key.
        model: the gaps, and the families of which a gap does not say everything.
        budget: see `feasible`.
        whole: whether these are all hits that the limiter ever counted of the
            key; without that some families cannot be searched.

    Returns:
        The breach, or None (they can be explained), or `Exhausted`; and what
        was spent of the budget.
    """
    found, spent = _find_by_gaps(jobs, model, budget)
    exhausted = isinstance(found, Exhausted)
    if isinstance(found, Breach):
        return found, spent
    for family in model.families:
        if not (whole or family.monotone):
            continue
        answer = search(jobs, family, budget - spent)
        spent += answer.spent
        if isinstance(answer, Infeasible):
            return Breach(_family_core(jobs, family, answer.core), None, 0, 0), spent
        exhausted |= isinstance(answer, Exhausted)
    return (Exhausted(spent) if exhausted else None), spent


def _family_core(
    jobs: Sequence[Interval], family: Family, core: tuple[int, ...]
) -> tuple[int, ...]:
    """By sending time: a minimal core, or where nothing can be left out, all of it."""
    if not family.monotone:
        return tuple(sorted(core, key=lambda i: (*jobs[i], i)))
    return minimal_core(
        jobs, core, lambda fewer, left: search(fewer, family, left), _MINIMISE_BUDGET
    )


def _find_by_gaps(
    jobs: Sequence[Interval], model: Model, budget: int
) -> tuple[Breach | Exhausted | None, int]:
    found = _nested(jobs, model, 1)
    if found is not None:
        return found, 0
    spent = 0
    exhausted = False
    smallest = min(stair.size(1) for stair in model.stairs)
    for part in segments(jobs, model):
        if len(part) < smallest:
            continue
        answer, cost = _find_in_segment([jobs[i] for i in part], model, budget - spent)
        spent += cost
        if isinstance(answer, Breach):
            return replace(answer, core=tuple(part[i] for i in answer.core)), spent
        exhausted = exhausted or answer is not None
    return (Exhausted(spent) if exhausted else None), spent


def _find_in_segment(
    jobs: list[Interval], model: Model, budget: int
) -> tuple[Breach | Exhausted | None, int]:
    # Where few steps do not settle it, counting often does, at a bounded price.
    first = min(budget, 16 * len(jobs))
    answer = feasible(jobs, model, first)
    spent = answer.spent
    if not isinstance(answer, Exhausted | Infeasible):
        return None, spent
    found = _nested(jobs, model, max(1, _NEST_WORK // len(jobs)))
    if found is not None:
        return found, spent
    if isinstance(answer, Exhausted) and budget > first:
        answer = feasible(jobs, model, budget - spent)
        spent += answer.spent
    if isinstance(answer, Exhausted):
        return answer, spent
    if not isinstance(answer, Infeasible):
        return None, spent
    core = minimal_core(
        jobs, answer.core, lambda fewer, left: feasible(fewer, model, left), _MINIMISE_BUDGET
    )
    return Breach(core, None, 0, _slack_ns([jobs[i] for i in core], model)), spent


def _nested(jobs: Sequence[Interval], model: Model, most_steps: int) -> Breach | None:
    """The breach that lies in the fewest steps, by the widest margin among those."""
    candidates: list[tuple[int, int, int, Nest]] = []
    for index, stair in enumerate(model.stairs):
        for nest in tightest_nests(jobs, stair, most_steps):
            slack_ns = stair.span_ns(nest.steps) - nest.span_ns
            if slack_ns > 0:
                candidates.append((nest.steps, -slack_ns, index, nest))
                break
    if not candidates:
        return None
    steps, slack_ns, index, nest = min(candidates, key=lambda c: c[:3])
    core = nest.members(jobs, model.stairs[index].size(steps))
    return Breach(tuple(core), index, steps, -slack_ns)


def _slack_ns(core: Sequence[Interval], model: Model) -> int:
    """How much can be taken off every gap before the core becomes possible, less than a ns over."""
    if len(core) > _MEASURED_CORE:
        return 0
    low, high = 0, max(stair.span_ns(1) for stair in model.stairs)
    while high - low > 1:
        middle = (low + high) // 2
        shorter = Model(tuple(replace(s, slack_ns=s.slack_ns + middle) for s in model.stairs))
        if isinstance(feasible(core, shorter, _MINIMISE_BUDGET), Infeasible):
            low = middle
        else:
            high = middle
    return low
