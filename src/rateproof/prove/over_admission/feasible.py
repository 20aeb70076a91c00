"""Could these admissions have kept the policy? An exact answer, by EDF with barriers.

A job is an interval [sent, received] that contains the instant at which one
admission was decided. The question is whether instants can be chosen, one in
each interval, so that the sorted ones keep all gaps: unit-capacity jobs
with release times and deadlines on identical machines. `docs/theory.md`,
section 2, proves what is only stated here.

    T[k]    no choice decides its k-th admission earlier than T[k]
    crisis  the most urgent job of position c is due before T[c]
    pull    the last position before c given to a job that is due later than that
    barrier the jobs after the pull job must fit behind it, so the pull position
            cannot come before the earliest of them was sent
"""

from array import array
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from rateproof import core
from rateproof.clock import Interval
from rateproof.prove.over_admission.gaps import Exhausted, Feasible, Infeasible, Stair, earliest_of


def feasible(
    jobs: Sequence[Interval], stairs: Sequence[Stair], budget: int
) -> Feasible | Infeasible | Exhausted:
    """Decide whether instants exist, one in each job, that keep all gaps.

    Args:
        jobs: closed intervals (sent_ns, received_ns), in any order.
        stairs: the gaps to keep, of all quotas.
        budget: how many positions may be decided again after a crisis. The
            first decision of each is free, so a log without crises costs none.

    Returns:
        `Feasible` with a witness, `Infeasible` with a core that is infeasible
        by itself (not yet a minimal one), or `Exhausted`.
    """
    native = core.native()
    run = _search if native is None else _native_search
    answer = run(jobs, stairs, budget)
    if not isinstance(answer, Infeasible) or len(answer.core) == len(jobs):
        return answer
    # The jobs left out may have set a barrier, so ask again without them.
    alone = run([jobs[i] for i in answer.core], stairs, max(0, budget - answer.spent))
    spent = answer.spent + alone.spent
    if isinstance(alone, Infeasible):
        return Infeasible(tuple(answer.core[i] for i in alone.core), spent)
    return Infeasible(tuple(range(len(jobs))), spent)


def _native_search(
    jobs: Sequence[Interval], stairs: Sequence[Stair], budget: int
) -> Feasible | Infeasible | Exhausted:
    from rateproof import _native

    kind, values, spent = _native.feasible(
        array("q", (sent_ns for sent_ns, _ in jobs)).tobytes(),
        array("q", (received_ns for _, received_ns in jobs)).tobytes(),
        [stair.figures() for stair in stairs],
        max(0, budget),
    )
    if kind == "exhausted":
        return Exhausted(spent)
    answer = Feasible if kind == "feasible" else Infeasible
    return answer(tuple(values), spent)


def _search(
    jobs: Sequence[Interval], stairs: Sequence[Stair], budget: int
) -> Feasible | Infeasible | Exhausted:
    search = _Search(jobs, stairs)
    while search.position < len(jobs):
        if search.place():
            continue
        pull = search.pull()
        if pull is None:
            return Infeasible(search.core(), search.spent)
        search.rewind(pull)
        if search.spent > budget:
            return Exhausted(search.spent)
    return Feasible(search.witness(), search.spent)


class _Search:
    """The state of one run: positions before `position` are decided."""

    def __init__(self, jobs: Sequence[Interval], stairs: Sequence[Stair]) -> None:
        n = len(jobs)
        self._order = sorted(range(n), key=lambda i: (*jobs[i], i))
        self._sent = [jobs[i][0] for i in self._order]
        self._due = [jobs[i][1] for i in self._order]
        self._bounds = earliest_of(stairs, n)
        self._barrier = [self._sent[0] if n else 0] * n
        self._instant = [0] * n
        self._who = [0] * n
        self._released_before = [0] * n
        self._ready: list[tuple[int, int]] = []
        self._released = 0
        self.position = 0
        self.spent = 0

    def place(self) -> bool:
        """Decide the next position; False at a crisis, which stays at that position."""
        k = self.position
        self._released_before[k] = self._released
        t = self._barrier[k]
        if k:
            t = max(t, self._instant[k - 1])
        for bounds in self._bounds:
            t = bounds.earliest(k, t)
        self._release(t)
        if not self._ready:
            t = self._sent[self._released]
            self._release(t)
        due, job = heappop(self._ready)
        self._instant[k], self._who[k] = t, job
        if t > due:
            return False
        for bounds in self._bounds:
            bounds.record(k, t)
        self.position = k + 1
        return True

    def _release(self, t: int) -> None:
        i, n = self._released, len(self._sent)
        while i < n and self._sent[i] <= t:
            heappush(self._ready, (self._due[i], i))
            i += 1
        self._released = i

    def pull(self) -> int | None:
        """The last position before the crisis whose job is due later."""
        due = self._due[self._who[self.position]]
        for k in range(self.position - 1, -1, -1):
            if self._due[self._who[k]] > due:
                return k
        return None

    def rewind(self, pull: int) -> None:
        """Set the barrier and go back to the pull position.

        Positions before it keep their jobs: nothing that they depend on changed.
        """
        crisis = self.position
        # `_order` is by sending time, so the earliest sent has the least index.
        self._barrier[pull] = self._sent[min(self._who[pull + 1 : crisis + 1])]
        released = self._released_before[pull]
        self.spent += crisis - pull + 1 + len(self._ready)
        undone = ((self._due[job], job) for job in self._who[pull : crisis + 1])
        self._ready = [entry for entry in (*self._ready, *undone) if entry[1] < released]
        heapify(self._ready)
        self._released = released
        self.position = pull

    def core(self) -> tuple[int, ...]:
        """The jobs up to the crisis, as indices into the jobs given."""
        return tuple(sorted(self._order[job] for job in self._who[: self.position + 1]))

    def witness(self) -> tuple[int, ...]:
        """The instant of each job, in the order given."""
        instants = [0] * len(self._who)
        for job, instant in zip(self._who, self._instant, strict=True):
            instants[self._order[job]] = instant
        return tuple(instants)


def segments(jobs: Sequence[Interval], stairs: Sequence[Stair]) -> list[list[int]]:
    """Cut jobs into runs that cannot influence each other, as lists of indices.

    A cut lies wherever the next job is sent a horizon or more after all
    earlier ones were received. Within a segment, indices are by sending time.
    """
    horizon_ns = max(stair.horizon_ns for stair in stairs)
    parts: list[list[int]] = []
    latest = 0
    for i in sorted(range(len(jobs)), key=lambda i: (*jobs[i], i)):
        sent_ns, received_ns = jobs[i]
        if not parts or sent_ns >= latest + horizon_ns:
            parts.append([])
            latest = received_ns
        parts[-1].append(i)
        latest = max(latest, received_ns)
    return parts
