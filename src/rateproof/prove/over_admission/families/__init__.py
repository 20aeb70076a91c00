"""Families of windows, of which a gap does not say all.

The gap of a fixed window, a sliding counter or a window opened by a first hit is
necessary only. Each of these families is a file here, by the name of its algorithm:

    search      for what was admitted, is there any phase of the windows, or any hits that
                may have opened them, under which no window took too many?
    harmless    how many jobs always fit, of a monotone family
    limiter     a plain one, to ask whether a log would have shown it: of a quota, and how
                much earlier than on the clock its windows begin

An algorithm without a file here is one whose gap says everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rateproof.clock import EXACT, Interval, Tolerance
from rateproof.policy import Policy
from rateproof.prove.over_admission.gaps import Exhausted, Explained, Infeasible, Stair
from rateproof.prove.over_admission.phases import Family, Spent
from rateproof.registry import modules_in

__all__ = ["FAMILIES", "Model", "harmless", "search"]

FAMILIES: Final[dict[str, Any]] = modules_in(__name__)
"""The files of this folder, by the name of the algorithm."""

MOST_PPM: Final = 100_000
"""Beyond a tenth, a window may have any phase against the next: nothing to search."""


@dataclass(frozen=True, slots=True)
class Model:
    """The staircases of all quotas of a policy; all of them hold."""

    stairs: tuple[Stair, ...]
    families: tuple[Family, ...] = ()

    @classmethod
    def of(cls, policy: Policy, tolerance: Tolerance = EXACT) -> "Model":
        """Return what the policy promises of admissions, shortened by the tolerance."""
        searched = [q for q in policy.quotas if q.algorithm in FAMILIES]
        return cls(
            tuple(Stair.of(quota, tolerance) for quota in policy.quotas),
            tuple(
                Family(quota.algorithm, quota.limit, quota.window_ns, tolerance)
                for quota in searched
                if tolerance.ppm <= MOST_PPM
            ),
        )

    def gap(self, m: int) -> int:
        """The least time that `m` admissions in a row may span."""
        return max(stair.gap(m) for stair in self.stairs)


def harmless(family: Family, span_ns: int) -> int:
    """So many jobs always fit, if they were all sent and received within this span."""
    fit: int = FAMILIES[family.algorithm].harmless(family, span_ns)
    return fit


def search(
    jobs: Sequence[Interval], family: Family, budget: int
) -> Explained | Infeasible | Exhausted:
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
    answer = _search(jobs, family, budget)
    if not isinstance(answer, Infeasible) or not family.monotone:
        return answer
    # Where pieces end depends on all of their jobs, so ask again for the core alone.
    alone = _search([jobs[i] for i in answer.core], family, max(0, budget - answer.spent))
    spent = answer.spent + alone.spent
    if isinstance(alone, Infeasible):
        return Infeasible(tuple(answer.core[i] for i in alone.core), spent)
    return Infeasible(tuple(range(len(jobs))), spent)


def _search(
    jobs: Sequence[Interval], family: Family, budget: int
) -> Explained | Infeasible | Exhausted:
    order = sorted(range(len(jobs)), key=lambda i: (*jobs[i], i))
    searched = FAMILIES[family.algorithm].search
    spent, exhausted = 0, False
    for found, more in searched([jobs[i] for i in order], family, budget):
        spent += more
        if isinstance(found, Spent):
            exhausted = True
        elif found is not None:
            return Infeasible(tuple(sorted(order[job] for job in found)), spent)
    return Exhausted(spent) if exhausted else Explained(spent)
