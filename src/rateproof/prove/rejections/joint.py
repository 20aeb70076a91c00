"""Can all of these have been decided so, admissions and rejections alike? A search with a budget.

For one order of decisions everything is a bound of one instant by another, for
sliding logs of N per W (`docs/theory.md`, section 3.5):

    the next in order is no earlier
    the k-th admission comes at least `low_ns` after the (k-N)-th
    a rejection comes at most `high_ns` after the N-th last that counted before it

so the least instants that keep all bounds are found by raising them until
nothing changes, and the order is possible if none exceeds the end of its
interval. Orders are searched depth first, as checkers of linearizability do:
next is any request that was sent before the first of the others must have been
decided. Two requests of one kind of which one was sent and answered no later
than the other are tried in that order only, for they can change places.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from rateproof import core
from rateproof.policy import Policy
from rateproof.prove.admissions.feasible import Exhausted, Interval
from rateproof.prove.models import EXACT, Stair, Tolerance
from rateproof.prove.rejections.orders import Log, OrderSearch, Piece
from rateproof.units import MAX_DURATION_NS

__all__ = ["Explained", "Log", "Piece", "Unexplained", "explain", "logs_of"]


@dataclass(frozen=True, slots=True)
class Explained:
    """There is a choice of instants: of admissions, rejections and others, as they were given."""

    instants: tuple[int, ...]
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Unexplained:
    """There is none."""

    spent: int = 0


def logs_of(policy: Policy, tolerance: Tolerance = EXACT) -> tuple[Log, ...]:
    """The quotas of a policy, if all are sliding logs; else none."""
    if any(quota.algorithm != "sliding-log" for quota in policy.quotas):
        return ()
    return tuple(
        Log(
            quota.limit,
            Stair.of(quota, tolerance).span_ns(1),
            tolerance.at_most_ns(quota.window_ns),
        )
        for quota in policy.quotas
    )


def explain(piece: Piece, logs: Sequence[Log], budget: int) -> Explained | Unexplained | Exhausted:
    """Search for instants that keep every log and give every rejection a reason.

    Args:
        piece: the requests.
        logs: the quotas, at least one.
        budget: how many requests may be looked at, over all steps of the search.
    """
    native = core.native()
    parts = (piece.admissions, piece.rejections, piece.others)
    times = [time for part in parts for interval in part for time in interval]
    first_ns = min(times, default=0)
    if native is None or max(times, default=0) - first_ns >= MAX_DURATION_NS:
        return _run(OrderSearch(piece, logs), budget)
    from rateproof import _native

    kind, instants, spent = _native.explain(
        [_since(first_ns, part) for part in parts],
        piece.denied_count,
        [(log.limit, log.low_ns, log.high_ns) for log in logs],
        max(0, budget),
    )
    if kind == "explained":
        return Explained(tuple(first_ns + instant for instant in instants), spent)
    return Unexplained(spent) if kind == "unexplained" else Exhausted(spent)


def _since(first_ns: int, intervals: Sequence[Interval]) -> bytes:
    return array("q", (time - first_ns for interval in intervals for time in interval)).tobytes()


def _run(search: OrderSearch, budget: int) -> Explained | Unexplained | Exhausted:
    levels = [search.steps()]
    while levels:
        if search.complete():
            return Explained(search.witness(), search.spent)
        if search.spent > budget:
            return Exhausted(search.spent)
        if not levels[-1]:
            levels.pop()
            if levels:
                search.undo()
            continue
        if search.take(levels[-1].pop()):
            levels.append(search.steps())
        else:
            search.undo()
    return Unexplained(search.spent)
