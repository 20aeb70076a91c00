"""Is there any phase of the windows under which a key's admissions kept the limit?"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rateproof import core
from rateproof.prove.keys import (
    Interval,
)
from rateproof.prove.over_admission.families.first_hit_window import unopened
from rateproof.prove.over_admission.families.fixed_window import overfull
from rateproof.prove.over_admission.families.phases import (
    Explained,
    Piece,
    Spent,
    Stuck,
    Work,
    pieces,
    sweep,
)
from rateproof.prove.over_admission.families.sliding_counter import crowded
from rateproof.prove.over_admission.feasible import (
    Exhausted,
    Infeasible,
)
from rateproof.prove.over_admission.gaps import (
    Family,
)

__all__ = ["Answer", "search"]

Answer = Explained | Infeasible | Exhausted


def search(jobs: Sequence[Interval], family: Family, budget: int) -> Answer:
    """Look for admissions that no windows of this family explain.

    Args:
        jobs: closed intervals (sent_ns, received_ns) of the admissions of one
            key, in any order. If the family is not monotone: of all its
            admissions, the first of which found no window open.
        family: what is said to limit them.
        budget: how many jobs may be looked at again; the first 16 looks at
            each job of a piece are free, so most logs cost none.

    Returns:
        `Infeasible` with a core that is infeasible by itself (not yet a minimal
        one), `Exhausted`, or `Explained`: some windows fit, as far as was searched.
    """
    native = core.native()
    run = _search if native is None else _native_search
    answer = run(jobs, family, budget)
    if not isinstance(answer, Infeasible) or not family.monotone:
        return answer
    # Where pieces end depends on all of their jobs, so ask again for the core alone.
    alone = run([jobs[i] for i in answer.core], family, max(0, budget - answer.spent))
    spent = answer.spent + alone.spent
    if isinstance(alone, Infeasible):
        return Infeasible(tuple(answer.core[i] for i in alone.core), spent)
    return Infeasible(tuple(range(len(jobs))), spent)


def _native_search(jobs: Sequence[Interval], family: Family, budget: int) -> Answer:
    from rateproof import _native

    kind, values, spent = _native.search_windows(
        array("q", (sent_ns for sent_ns, _ in jobs)).tobytes(),
        array("q", (received_ns for _, received_ns in jobs)).tobytes(),
        family.figures(),
        max(0, budget),
    )
    if kind == "infeasible":
        return Infeasible(tuple(values), spent)
    return Exhausted(spent) if kind == "exhausted" else Explained(spent)


def _search(jobs: Sequence[Interval], family: Family, budget: int) -> Answer:
    order = sorted(range(len(jobs)), key=lambda i: (*jobs[i], i))
    searched = _phases if family.monotone else _openings
    spent, exhausted = 0, False
    for found, more in searched([jobs[i] for i in order], family, budget):
        spent += more
        if isinstance(found, Spent):
            exhausted = True
        elif found is not None:
            return Infeasible(tuple(sorted(order[job] for job in found)), spent)
    return Exhausted(spent) if exhausted else Explained(spent)


Found = tuple[Sequence[int] | Spent | None, int]
"""Of a part of the jobs: those that fit no windows, or that the budget was spent; and the cost."""


def _phases(jobs: list[Interval], family: Family, budget: int) -> Iterator[Found]:
    phase_ns = jobs[0][0] if jobs else 0
    for run in _runs(jobs, family):
        of_run = [jobs[job] for job in run]
        for begin, end in pieces(of_run, family):
            if end - begin <= family.limit:
                continue
            first_ns, work = of_run[begin][0], Work(end - begin, budget)
            at = _fitting(Piece.of(of_run[begin:end], family), family, work)
            try:
                stuck, phase = sweep(at, family.window_ns, phase_ns - first_ns, work)
            except Spent as spent:
                yield spent, work.spent
            else:
                phase_ns = first_ns + phase
                found = None if stuck is None else [run[begin + job] for job in stuck]
                yield found, work.spent
            budget -= work.spent


def _fitting(piece: Piece, family: Family, work: Work) -> Callable[[int], Stuck | None]:
    """What does not fit at a phase."""
    if family.algorithm == "fixed-window":
        return partial(overfull, piece, family.limit, family.window_ns)
    return partial(crowded, piece, family.limit, family.window_ns, work=work)


def _runs(jobs: list[Interval], family: Family) -> Iterator[Sequence[int]]:
    """Jobs among which the phase cannot have changed, by index.

    Some sliding counters begin anew, at any phase, when nothing was asked for a
    window. So a run ends where two admissions may be a window apart. A job that
    may itself be is left out: it may lie on either side of such a pause.
    """
    if family.algorithm == "fixed-window":
        yield range(len(jobs))
        return
    run: list[int] = []
    for job, (sent, due) in enumerate(jobs):
        if due - sent >= family.least_ns:
            continue
        if run and due - jobs[run[-1]][0] >= family.least_ns:
            yield run
            run = []
        run.append(job)
    yield run


def _openings(jobs: list[Interval], family: Family, budget: int) -> Iterator[Found]:
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
                looked = unopened(jobs[begin:end], family, work)
                yield None if looked is None else range(begin, begin + looked), work.spent
            except Spent as spent:
                yield spent, work.spent
            budget -= work.spent
        begin = end
        latest = jobs[end][1] if end < len(jobs) else latest
