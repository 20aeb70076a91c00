"""Schedules of the next round: those on which what is still possible disagrees most.

A schedule tells two limiters apart when, in some step, none of the numbers that one may
admit is one of the other's. Schedules are added one by one: the one that tells most pairs
apart that none before it does, for its requests and time (greedy cover).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from rateproof.probe.budget import Budget, needed
from rateproof.probe.family import LimiterFamily, admissions
from rateproof.probe.inference import Hypotheses, spread
from rateproof.probe.seen import Box, History, Onward, Steps, seen_before

Outcomes = tuple[tuple[int, ...], ...]
"""The numbers that may be admitted, of each step as far as they are known."""

_LEAST_WORTH = 0.01
_LEAST_SHARE, _PATIENT = 0.15, 0.02
"""Of what the first schedule tells: the least where keys take many requests, and where time is dearer."""
_FEW, _LONG_NS = 15, 6_000_000_000
_MOST_SCHEDULES = 10
_EACH = 5
_SCALES = 3
_EDGES, _MOST_EDGES = 8, 24  # polls of a key: more of one that takes many requests to fill
_CELLS = 6
_FORETOLD = 1_500  # schedules times contenders
_MARGIN_NS = 10_000_000
_SAME_FAMILY, _CLOSE = 0.2, 10
"""The worth of telling two windows of one family apart; parts of a window in which two are as long."""
_ROW = 20
_SAVED = 24


class RoundBounds(NamedTuple):
    """The round that schedules are for.

    Args:
        start_ns: when it begins.
        width_ns: how closely the instant of a decision will be known.
        most_requests: in all.
        most_ns: how long it may take.
    """

    start_ns: int
    width_ns: int
    most_requests: int
    most_ns: int


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
        cells = 1 if kind.tight else _CELLS
        chosen = left.points(kind, _EACH)
        for point in chosen:
            cell = cells * (point.low_ns - kind.low_ns) // (kind.high_ns - kind.low_ns + 1)
            question = (kind.family.name, kind.limit, cell)
            found.append(Contender(kind.family, point, question, 1 / len(chosen)))
    return found


def disjoint(one: Outcomes, two: Outcomes) -> bool:
    """Tell if some step admits no number that both allow."""
    return any(not set(ours) & set(theirs) for ours, theirs in zip(one, two, strict=False))


def plan(
    contending: Sequence[Contender],
    limit: int,
    room: RoundBounds,
    *,
    most_schedules: int | None = None,
    times: int = 1,
    given: Sequence[Steps] = (),
    onward: Sequence[Onward] = (),
) -> list[Steps]:
    """The schedules of the next round, each for one key; none if none can tell anything.

    Args:
        contending: what is still possible.
        limit: the limit that was seen.
        room: the round that they are for.
        most_schedules: how many schedules; None: as many as are worth it.
        times: how often each two are told apart: other limiters of their boxes may differ less.
        given: what is sent in any case: what it tells needs no other schedule.
        onward: what may be asked of keys that were asked before; all others are fresh.
    """
    start_ns, width_ns, most_requests, most_ns = room
    if most_requests <= limit or len({each.question for each in contending}) < 2:
        return []
    edges = _edges(contending, limit, start_ns, most_ns)
    windows = _windows(contending, most_ns)
    random = Random(start_ns)
    library = sorted({*_library(windows, edges, limit, random)})
    drawn = random.sample(library, min(len(library), 15 + _FORETOLD // len(contending)))
    apart: dict[Steps, set[tuple[int, int]]] = {}
    middle = windows[len(windows) // 2]
    for steps in {*_polls(edges, limit), *_structure(middle, limit), *drawn, *onward}:
        if steps[-1][0] <= most_ns and sum(count for _, count in steps) <= most_requests:
            apart[steps] = _apart(steps, contending, start_ns, width_ns)
    chosen: list[Steps] = []
    pairs_told = Counter[tuple[int, int]]()
    for steps in given:
        pairs_told.update(_apart(steps, contending, start_ns, width_ns))
    enough = {pair for pair, told in pairs_told.items() if told >= times}
    apart = {steps: pairs - enough for steps, pairs in apart.items()}
    least, latest_ns = _LEAST_WORTH, max((steps[-1][0] for steps in given), default=0)
    allowed = needed(limit, windows[-1])
    while apart and len(chosen) < (most_schedules or _MOST_SCHEDULES):
        _, worth, steps = max(
            (worth / _cost(steps, allowed, latest_ns), worth, steps)
            for steps, pairs in apart.items()
            for worth in (_worth(pairs, contending),)
        )
        if worth < least:
            break
        latest_ns = max(latest_ns, steps[-1][0])
        least = max(
            least, worth * (_LEAST_SHARE if limit > _FEW and most_ns < _LONG_NS else _PATIENT)
        )
        told = apart.pop(steps)
        pairs_told.update(told)
        told = {pair for pair in told if pairs_told[pair] >= times}
        most_requests -= sum(count for _, count in steps)
        chosen.append(steps)
        apart = {
            other: pairs - told
            for other, pairs in apart.items()
            if sum(count for _, count in other) <= most_requests
        }
    return [steps for steps in chosen if not any(_within(steps, other) for other in chosen)]


def _within(steps: Steps, other: Steps) -> bool:
    """Tell if another schedule asks the same, and more."""
    return steps != other and steps[0] == other[0] and {*steps} < {*other}


def _cost(steps: Steps, allowed: Budget, latest_ns: int) -> float:
    """The requests, and what the round takes longer for it, as naming may take of both."""
    longer = max(0, steps[-1][0] - latest_ns) / allowed.time_ns
    return sum(count for _, count in steps) + 3 + allowed.requests * longer


def _worth(pairs: Iterable[tuple[int, int]], contending: Sequence[Contender]) -> float:
    return sum(_weight(contending[one], contending[two]) for one, two in pairs)


def _weight(one: Contender, two: Contender) -> float:
    """The worth of telling two apart: families that only their windows tell apart now may have the same."""
    first_ns, second_ns = _window(one), _window(two)
    same = one.family is two.family or _CLOSE * abs(first_ns - second_ns) > first_ns
    return one.weight * two.weight * (_SAME_FAMILY if same else 1)


def _apart(
    steps: Steps, contending: Sequence[Contender], start_ns: int, width_ns: int
) -> set[tuple[int, int]]:
    """The pairs of contenders with different answers to the question that a schedule tells apart."""
    absolute = [(start_ns + at_ns, requests) for at_ns, requests in steps]
    alike: dict[Outcomes, list[int]] = {}
    for number, each in enumerate(contending):
        outcomes = admissions(each.family, each.point, absolute, width_ns, seen_before(steps))
        alike.setdefault(outcomes, []).append(number)
    groups = list(alike.items())
    return {
        (min(first, second), max(first, second))
        for number, (one, ours) in enumerate(groups)
        for two, theirs in groups[:number]
        if disjoint(one, two)
        for first in ours
        for second in theirs
        if contending[first].question != contending[second].question
    }


def _windows(contending: Sequence[Contender], most_ns: int) -> list[int]:
    """Some of the times after which everything may be back, evenly among those that there is time for."""
    times = sorted({_window(each) for each in contending})
    times = [time_ns for time_ns in times if time_ns <= most_ns] or times[:1]
    return [times[len(times) * part // (2 * _SCALES)] for part in range(1, 2 * _SCALES, 2)]


def _window(one: Contender) -> int:
    """The time after which everything is back."""
    return one.point.low_ns * (one.point.limit if one.family.refills else 1)


def _edges(contending: Sequence[Contender], limit: int, start_ns: int, most_ns: int) -> list[int]:
    """Some instants of the round between those at which contenders admit again, filled at 0."""
    found = {
        recovery(each.family, each.point, ((0, limit),), start_ns, most_ns)
        for each in spread(contending, 40)
    }
    back = sorted(instant for instant in found if instant is not None)
    return spread(
        [(one + two) // 2 for one, two in pairwise(back)], max(_EDGES, min(limit // 3, _MOST_EDGES))
    )


def recovery(
    family: LimiterFamily,
    point: Box,
    asked: Steps,
    start_ns: int,
    most_ns: int,
    *,
    before: History = (),
) -> int | None:
    """The instant of the round at which a key that is full admits again, to a 4,000th; None if too late.

    Args:
        family: the kind.
        point: its parameters.
        asked: what fills the key, and what it denies then.
        start_ns: when the round begins.
        most_ns: when it is too late.
        before: what was seen of the key before the round; nothing of a fresh one.
    """
    absolute = [(start_ns + at_ns, count) for at_ns, count in asked]
    low_ns, high_ns = asked[-1][0] if asked else 0, most_ns
    for _ in range(12):
        at_ns = (low_ns + high_ns) // 2
        steps = [*absolute, (start_ns + at_ns, 1)]
        outcomes = admissions(family, point, steps, before=before)
        if len(outcomes) == len(steps) and 1 in outcomes[-1]:
            high_ns = at_ns
        else:
            low_ns = at_ns
    return None if high_ns == most_ns else high_ns


def _library(
    windows: Sequence[int], edges: Sequence[int], limit: int, random: Random
) -> Iterator[Steps]:
    """Schedules that tell families apart, and some that ask for the window itself."""
    for at_ns in edges:
        for times in {2, limit - 1} if limit > 2 else ():  # of a bucket: when so many are back
            yield ((0, limit), (times * at_ns, limit))
        yield ((0, limit), (at_ns, 1))
        yield ((0, limit), (at_ns, limit))
    few, more = min(2, limit), beyond(limit)
    for window in windows:
        back = max(window + window // 50, window + _MARGIN_NS)
        for _ in range(2):
            shift = random.randrange(window // 2)
            for steps in (
                ((0, 1), (6 * window // 10, limit - 1), (back, few)),
                ((0, 1), (6 * window // 10, limit - 1), (back, limit)),
                ((0, limit), (window // 4, few)),
                ((0, limit), (window // 4, (limit + 1) // 2)),
                ((0, limit), (window // 2, 1), (back, 1)),
                ((0, limit), (window // 2, 1), (back, limit)),
                ((0, limit), (13 * window // 10, limit)),
                ((0, limit), (back, few)),
                ((0, 1), (12 * window // 10, limit), (21 * window // 10, few)),
                ((0, limit), (window // 2, _ROW), (back, few)),
                ((0, limit), (33 * window // 10, more)),
            ):
                yield tuple((shift + at_ns, count) for at_ns, count in steps if count)
        yield from random_schedules(window, limit, random, 3)


def _polls(edges: Sequence[int], limit: int) -> Iterator[Steps]:
    """Many questions of one key, for little more than filling it takes."""
    for every in (1, 2) if limit <= _FEW else (1,):
        if polls := edges[::every]:
            yield ((0, limit), *((at_ns, 1) for at_ns in polls))


def _structure(window_ns: int, limit: int) -> Iterator[Steps]:
    """On what a window begins, and what denials do to it: told at any phase, by few keys."""
    few, back = min(2, limit), window_ns + window_ns // 10
    yield ((0, 1), (12 * window_ns // 10, limit), (21 * window_ns // 10, few))
    yield tuple(
        step for step in ((0, 1), (6 * window_ns // 10, limit - 1), (back, limit)) if step[1]
    )
    yield ((0, limit), (window_ns // 2, _ROW), (back, few))


def beyond(limit: int) -> int:
    """Requests at once that are more than a key is admitted, unless it saves what it does not use."""
    return limit + max(2, limit // 8) if limit > 1 else _SAVED


def random_schedules(window_ns: int, limit: int, random: Random, number: int) -> Iterator[Steps]:
    """Some volleys of any size at any instants of two windows, the first of all of the limit or not."""
    for _ in range(number):
        shift_ns = random.randrange(window_ns // 2)
        first = random.choice((limit, limit, limit, (limit + 1) // 2, 1))
        instants = sorted(random.randrange(window_ns // 20, 11 * window_ns // 5) for _ in range(4))
        sizes = [random.choice((1, 2, min(3, limit), (limit + 1) // 2, limit)) for _ in instants]
        steps = [(0, first)]
        for at_ns, count in zip(instants, sizes, strict=True):
            if (
                at_ns - steps[-1][0] >= window_ns // 20
                and sum(n for _, n in steps) <= 2 * limit + 4
            ):
                steps.append((at_ns, count))
        yield tuple((shift_ns + at_ns, count) for at_ns, count in steps)
