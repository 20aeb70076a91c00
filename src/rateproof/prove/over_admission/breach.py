"""Is the claim of no over-admission false for these jobs, and which of them show it best?

Where several of them do, each with as few as can be, those are shown that are fewest,
and of as many those with the most slack.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from rateproof.clock import Interval
from rateproof.prove.over_admission.families import Model, harmless, search
from rateproof.prove.over_admission.feasible import feasible, segments
from rateproof.prove.over_admission.gaps import Exhausted, Explained, Feasible, Infeasible
from rateproof.prove.over_admission.windows import tightest_nests

# Effort beyond the decision itself, spent on making evidence readable.
_NEST_WORK: Final = 2_000_000
_MEASURED_CORE: Final = 200
_MEASURE_BUDGET: Final = 300_000

MOST_EFFORT: Final = 1_000_000
"""Job placements that are spent on leaving jobs out of one breach."""


@dataclass(frozen=True, slots=True)
class Core:
    """Jobs that are impossible together."""

    jobs: tuple[int, ...]  # by index, in the order of sending
    minimal: bool  # each is needed; False where that was not found out


def minimal_core(
    jobs: Sequence[Interval],
    core: Sequence[int],
    ask: Callable[[Sequence[Interval], int], Feasible | Infeasible | Exhausted | Explained],
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


@dataclass(frozen=True, slots=True)
class Breach:
    """Jobs that cannot all have been admitted.

    Args:
        core: their indices, by sending time.
        stair: index of the quota whose gap they break; None when no window
            holds them all and only a search over all choices shows it.
        steps: how many steps of it they climb.
        slack_ns: by how much every gap could be shorter and still be broken.
        minimal: whether every one of them is needed; False where that was not found out.
        complete: whether it is only shown because they are all that there were.
    """

    core: tuple[int, ...]
    stair: int | None
    steps: int
    slack_ns: int
    minimal: bool = True
    complete: bool = False


def find_breach(
    jobs: Sequence[Interval],
    model: Model,
    budget: int,
    *,
    whole: bool = False,
    effort: int = MOST_EFFORT,
) -> tuple[Breach | Exhausted | None, int]:
    """The most readable proof that the jobs break the model, if they do.

    Args:
        jobs: intervals of the admissions of one key.
        model: the gaps, and the families of which a gap does not say everything.
        budget: see `feasible`.
        whole: whether these are all hits that the limiter ever counted of the
            key; without that some families cannot be searched.
        effort: job placements that may be spent on leaving jobs out.

    Returns:
        The breach, or None (they can be explained), or `Exhausted`; and what
        was spent of the budget.
    """
    found, spent = _find_by_gaps(jobs, model, budget, effort)
    exhausted = isinstance(found, Exhausted)
    if isinstance(found, Breach):
        return found, spent
    for family in model.families:
        if not (whole or family.monotone):
            continue
        answer = search(jobs, family, budget - spent)
        spent += answer.spent
        if isinstance(answer, Infeasible):
            if family.monotone:
                return _fewest(jobs, [answer.core], model, effort), spent
            # A hit that is left out may have opened the window that the others need.
            core = tuple(sorted(answer.core, key=lambda i: (*jobs[i], i)))
            return Breach(core, None, 0, 0, complete=True), spent
        exhausted |= isinstance(answer, Exhausted)
    return (Exhausted(spent) if exhausted else None), spent


def _find_by_gaps(
    jobs: Sequence[Interval], model: Model, budget: int, effort: int
) -> tuple[Breach | Exhausted | None, int]:
    nested = _nested(jobs, model, 1)
    if nested:
        return _fewest(jobs, nested, model, effort), 0
    spent = 0
    exhausted = False
    smallest = min(stair.size(1) for stair in model.stairs)
    for part in segments(jobs, model.stairs):
        if len(part) < smallest:
            continue
        answer, cost = _find_in_segment([jobs[i] for i in part], model, budget - spent)
        spent += cost
        if isinstance(answer, Exhausted):
            exhausted = True
        elif answer:
            cores = [[part[i] for i in core] for core in answer]
            return _fewest(jobs, cores, model, effort), spent
    return (Exhausted(spent) if exhausted else None), spent


def _find_in_segment(
    jobs: list[Interval], model: Model, budget: int
) -> tuple[list[Sequence[int]] | Exhausted, int]:
    """Cores, by index; none if the jobs can be explained."""
    # Where few steps do not settle it, counting often does, at a bounded price.
    first = min(budget, 16 * len(jobs))
    answer = feasible(jobs, model.stairs, first)
    spent = answer.spent
    if isinstance(answer, Feasible):
        return [], spent
    cores: list[Sequence[int]] = [*_nested(jobs, model, max(1, _NEST_WORK // len(jobs)))]
    if not cores and isinstance(answer, Exhausted) and budget > first:
        answer = feasible(jobs, model.stairs, budget - spent)
        spent += answer.spent
    if isinstance(answer, Infeasible):
        cores.append(answer.core)
    return answer if isinstance(answer, Exhausted) and not cores else cores, spent


def _nested(jobs: Sequence[Interval], model: Model, most_steps: int) -> list[Sequence[int]]:
    """For each stair that a nest breaks, the one at its fewest steps, by the widest margin."""
    cores: list[Sequence[int]] = []
    for stair in model.stairs:
        for nest in tightest_nests(jobs, stair, most_steps):
            if nest.span_ns < stair.span_ns(nest.steps):
                cores.append(nest.members(jobs, stair.size(nest.steps)))
                break
    return cores


def _fewest(
    jobs: Sequence[Interval], cores: Iterable[Sequence[int]], model: Model, effort: int
) -> Breach:
    """The breach by the fewest jobs, then by the widest margin, that any of the cores leads to."""
    found = (_named(jobs, _reduced(jobs, core, model, effort), model) for core in cores)
    return min(found, key=lambda breach: (len(breach.core), -breach.slack_ns))


def _reduced(jobs: Sequence[Interval], core: Sequence[int], model: Model, effort: int) -> Core:
    """Of a core what is needed, whichever quota it is that the rest breaks."""
    span_ns = max(jobs[i][1] for i in core) - min(jobs[i][0] for i in core)
    fit = [stair.size(1) - 1 for stair in model.stairs]
    fit += [harmless(family, span_ns) for family in model.families if family.monotone]
    if len(core) == min(fit) + 1:
        return Core(tuple(core), minimal=True)
    return minimal_core(jobs, core, partial(_impossible, model=model), effort)


def _impossible(
    jobs: Sequence[Interval], budget: int, model: Model
) -> Infeasible | Exhausted | Explained:
    """Tell whether jobs cannot all have been admitted, whatever else there was."""
    answer: Feasible | Infeasible | Exhausted | Explained = feasible(jobs, model.stairs, budget)
    spent, exhausted = answer.spent, isinstance(answer, Exhausted)
    for family in model.families:
        if not isinstance(answer, Infeasible) and family.monotone:
            answer = search(jobs, family, budget - spent)
            spent += answer.spent
            exhausted |= isinstance(answer, Exhausted)
    if isinstance(answer, Infeasible):
        return replace(answer, spent=spent)
    return Exhausted(spent) if exhausted else Explained(spent)


def _named(jobs: Sequence[Interval], kept: Core, model: Model) -> Breach:
    """The steps that a core breaks: all in the fewest steps, by the widest margin among those."""
    alone = [jobs[i] for i in kept.jobs]
    span_ns = max(end for _, end in alone) - min(sent for sent, _ in alone)
    named = []
    for index, stair in enumerate(model.stairs):
        steps, more = divmod(len(alone) - 1 - stair.lag, stair.width)
        slack_ns = stair.span_ns(max(0, steps)) - span_ns
        if more == 0 and slack_ns > 0:
            named.append((steps, -slack_ns, index))
    if named:
        steps, less_ns, index = min(named)
        return Breach(kept.jobs, index, steps, -less_ns, kept.minimal)
    return Breach(kept.jobs, None, 0, _slack_ns(alone, model), kept.minimal)


def _slack_ns(core: Sequence[Interval], model: Model) -> int:
    """Time to take off every gap before the core becomes possible, less than a ns over."""
    if len(core) > _MEASURED_CORE:
        return 0
    low, high = 0, max(stair.span_ns(1) for stair in model.stairs)
    while high - low > 1:
        middle = (low + high) // 2
        shorter = [replace(s, slack_ns=s.slack_ns + middle) for s in model.stairs]
        if isinstance(feasible(core, shorter, _MEASURE_BUDGET), Infeasible):
            low = middle
        else:
            high = middle
    return low
