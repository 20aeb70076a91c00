"""Schedules of the next round: those that tell most about what is still possible.

A schedule tells two limiters apart when they would admit different numbers in some step.
What it is expected to tell is the mutual information between its outcome and what is
asked (family and window; the phase is nobody's question), each family as likely as any.
Schedules are added one by one, the most informative for its requests and time first
(greedy: Krause and Guestrin, "Near-optimal Nonmyopic Value of Information in Graphical
Models", UAI 2005).
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from math import log2
from typing import NamedTuple, TypeVar

from rateproof.probe.family import LimiterFamily, admissions
from rateproof.probe.inference import Hypotheses
from rateproof.probe.seen import Box, Steps

__all__ = ["Contender", "contenders", "plan"]

T = TypeVar("T")

_LEAST_BITS = 0.02
_MOST_SCHEDULES = 12
_EACH = 10
_SCALES = 5
_EDGES = 8
_CELLS = 6
_MARGIN_NS = 10_000_000


class Contender(NamedTuple):
    """One limiter that is still possible.

    Args:
        family: its kind.
        point: its parameters.
        question: what it would be reported as.
        weight: how likely it is.
    """

    family: LimiterFamily
    point: Box
    question: Hashable
    weight: float


def contenders(left: Hypotheses) -> list[Contender]:
    """Limiters that stand for everything that is still possible, some of each family."""
    found: list[Contender] = []
    for kind in left.kinds():
        family, limit, low_ns, high_ns, boxes = kind
        ordered = sorted(boxes, key=lambda box: (box.low_ns, box.phase_low_ns))
        chosen = _spread(ordered, _EACH)
        cells = 1 if kind.guess.pinned else _CELLS
        for box in chosen:
            point = box.point()
            cell = cells * (point.low_ns - low_ns) // (high_ns - low_ns + 1)
            found.append(Contender(family, point, (family.name, limit, cell), 1 / len(chosen)))
    return found


def plan(
    contending: Sequence[Contender],
    limit: int,
    start_ns: int,
    *,
    most_requests: int,
    most_ns: int,
    most_schedules: int | None = None,
) -> list[Steps]:
    """The schedules of the next round, each for a fresh key; none if none can tell anything.

    Args:
        contending: what is still possible.
        limit: the limit that was seen.
        start_ns: when the round begins.
        most_requests: in all.
        most_ns: how long the round may take.
        most_schedules: how many schedules; None: as many as are worth it.
    """
    if most_requests <= limit:
        return []
    candidates: dict[Steps, tuple[tuple[int, ...], ...]] = {}
    edges = _edges(contending, limit, start_ns, most_ns)
    for steps in _library(_windows(contending, limit), edges, limit):
        if steps[-1][0] <= most_ns and steps not in candidates:
            absolute = [(start_ns + at_ns, requests) for at_ns, requests in steps]
            candidates[steps] = tuple(
                admissions(each.family, each.point, absolute) for each in contending
            )
    chosen: list[Steps] = []
    known: list[Hashable] = [None] * len(contending)
    left = most_requests
    while candidates and len(chosen) < (most_schedules or _MOST_SCHEDULES):
        doubt = _doubt(contending, known)
        best: tuple[float, Steps] | None = None
        for steps, outcomes in candidates.items():
            requests = sum(count for _, count in steps)
            if requests > left:
                continue
            bits = doubt - _doubt(contending, list(zip(known, outcomes, strict=True)))
            worth = bits / (requests + 3 + 5 * steps[-1][0] / most_ns)
            if bits > _LEAST_BITS and (best is None or worth > best[0]):
                best = worth, steps
        if best is None:
            break
        steps = best[1]
        known = list(zip(known, candidates.pop(steps), strict=True))
        left -= sum(count for _, count in steps)
        chosen.append(steps)
    return chosen


def _doubt(contending: Sequence[Contender], known: Sequence[Hashable]) -> float:
    """The entropy of the question, in bits, once it is known which outcome it was."""
    outcomes: dict[Hashable, float] = defaultdict(float)
    joint: dict[Hashable, float] = defaultdict(float)
    for each, outcome in zip(contending, known, strict=True):
        outcomes[outcome] += each.weight
        joint[outcome, each.question] += each.weight
    total = sum(outcomes.values())
    return (
        sum(weight * log2(weight) for weight in outcomes.values())
        - sum(weight * log2(weight) for weight in joint.values())
    ) / total


def _windows(contending: Sequence[Contender], limit: int) -> list[int]:
    """Some of the times after which everything may be back, evenly among the contenders."""
    times = {point.low_ns * (limit if family.refills else 1) for family, point, *_ in contending}
    return _spread(sorted(times), _SCALES)


def _edges(contending: Sequence[Contender], limit: int, start_ns: int, most_ns: int) -> list[int]:
    """Some instants of the round between those at which contenders admit again, filled at 0."""
    found = {_recovery(each, limit, start_ns, most_ns) for each in contending}
    back = sorted(instant for instant in found if instant is not None)
    return _spread([(one + two) // 2 for one, two in pairwise(back)], _EDGES)


def _recovery(contender: Contender, limit: int, start_ns: int, most_ns: int) -> int | None:
    """The instant at which a key filled at 0 of the round admits again, to a 500th; None if too late."""
    low_ns, high_ns = 0, most_ns
    for _ in range(9):
        at_ns = (low_ns + high_ns) // 2
        steps = ((start_ns, limit), (start_ns + at_ns, 1))
        if admissions(contender.family, contender.point, steps)[-1:] == (1,):
            high_ns = at_ns
        else:
            low_ns = at_ns
    return None if high_ns == most_ns else high_ns


def _library(windows: Sequence[int], edges: Sequence[int], limit: int) -> Iterator[Steps]:
    """Schedules that tell families apart, and some that ask for the window itself."""
    for at_ns in edges:
        yield ((0, limit), (at_ns, 1))
        yield ((0, limit), (at_ns, limit))
    for every in (1, 2):
        if polls := edges[::every]:
            yield ((0, limit), *((at_ns, 1) for at_ns in polls))
    few = min(2, limit)
    for window in windows:
        beyond = max(window + window // 50, window + _MARGIN_NS)
        for phase in range(3):
            shift = phase * window // 3
            for steps in (
                ((0, 1), (6 * window // 10, limit - 1), (beyond, few)),
                ((0, 1), (6 * window // 10, limit - 1), (beyond, limit)),
                ((0, limit), (window // 4, few)),
                ((0, limit), (window // 4, (limit + 1) // 2)),
                ((0, limit), (window // 2, 1), (beyond, 1)),
                ((0, limit), (window // 2, 1), (beyond, limit)),
                ((0, limit), (window, limit)),
                ((0, limit), (13 * window // 10, limit)),
                ((0, limit), (beyond, few)),
            ):
                yield tuple((shift + at_ns, count) for at_ns, count in steps if count)


def _spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly, both ends included."""
    if len(items) <= most:
        return list(items)
    return [items[round(n * (len(items) - 1) / (most - 1))] for n in range(most)]
