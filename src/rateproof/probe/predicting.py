"""The keys of a round of predictions: those that every name has to stand, then those that exclude its rivals."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, takewhile
from random import Random
from typing import NamedTuple

from rateproof.probe.confirmation import BOXES, EXCLUDING, Confirmation, rivals
from rateproof.probe.family import LimiterFamily, admissions, explains
from rateproof.probe.inference import Hypotheses, Kind, spread
from rateproof.probe.plan import Outcomes, RoundBounds, disjoint, random_schedules
from rateproof.probe.seen import Box, History, Onward, Seen, Steps, seen_before
from rateproof.probe.standing_keys import across, edge_of
from rateproof.probe.standing_keys import edges as edges_of
from rateproof.probe.variation import LONGEST, unseen_variation

_DRAWN, _POLLED = 24, 6
_SHORTER = 0.9  # of blocks that are possible already: so little is worth a few requests
_SURE = 2  # predictions of an edge: the denial before it, and the admission after it
_SLOW_NS = 5_000_000_000
_LONG_NS, _CHEAP = 12_000_000_000, 3
"""A round for which waiting for another costs more than a key, and a limit for which a shorter one does."""

_Rival = tuple[LimiterFamily, Box]
_Told = tuple[int, set[_Rival]]
"""Count the numbers of a schedule that are certain for the candidate, and the rivals told from it."""


class Wanted(NamedTuple):
    """The outcome that a round is to have.

    Args:
        edges: how often it is to be foretold closely when a key comes back.
        predictions: how many there are to be.
        excluding: keys for each rival; less than a name takes, one for each; at 0, only for what is possible still.
    """

    edges: int
    predictions: int
    excluding: int


def schedules_for(
    proof: Confirmation,
    left: Hypotheses,
    kind: Kind,
    room: RoundBounds,
    wanted: Wanted,
    *,
    going: Sequence[Onward],
    first: Sequence[Steps],
    onward: Sequence[Onward],
) -> list[Steps]:
    """The keys of the next round: what every name has to stand, then what excludes its rivals.

    Args:
        proof: how far it is.
        left: what is still possible, and what was.
        kind: the candidate.
        room: the round.
        wanted: what is to come of it.
        going: what keys are to be asked in any case.
        first: the keys that come before any other.
        onward: what tells closely when keys come back that are full already.
    """
    edges_wanted, missing, excluding = wanted
    limit, window_ns = kind.limit, kind.whole_ns
    start_ns, width_ns, most_requests, most_ns = room
    random = Random(start_ns)
    chosen: list[Steps] = [*going]
    most_requests -= sum(map(_requests, going))
    for steps in first:
        if steps[-1][0] <= most_ns and _requests(steps) <= most_requests:
            chosen.append(steps)
            most_requests -= _requests(steps)
    busy = {id(seen_before(steps)) for steps in chosen}
    onward = [steps for steps in onward if id(steps.before) not in busy]
    edges = [*onward, *edges_of(kind, start_ns, width_ns, random)]
    drawn = [
        *random_schedules(window_ns, limit, random, _DRAWN),
        *_pointed(limit, window_ns, random),
        *edges,
        *across(kind, start_ns, width_ns),
        *(_polled(limit, window_ns, random) for _ in range(_POLLED)),
        _reopened(limit, window_ns),
        _halves(limit, window_ns),
    ]
    proof.alike = []  # what looked the same before may not, now that more is known
    told = _told(proof, left, kind, [*chosen, *drawn], start_ns=start_ns, width_ns=width_ns)
    possible = {rival for _, apart in told.values() for rival in apart}
    proof.alike = [
        family
        for family, boxes in rivals(left, kind).items()
        if (family in proof.open or family in left.boxes)
        and not possible >= {(family, box) for box in boxes}
        and _as_long(left, kind, family)
    ]
    # Some tell less than they promise.
    dear = most_ns > (_LONG_NS if limit > _CHEAP else _SLOW_NS)
    more = EXCLUDING + dear
    need = {rival: more - proof.excluded[rival[0]] for rival in possible}
    if excluding < EXCLUDING:
        need = {rival: 1 for rival in possible if rival[0] in left.boxes or excluding}
    if not excluding:
        missing = 0
    else:
        edges = [each for each in edges if each[-1][0] <= most_ns and each[-1][1] == 1]
        foreseen = [_expected(kind, steps, room) for steps in chosen]
        for steps in _edges(
            kind,
            room._replace(most_requests=most_requests),
            {steps: told[steps][0] for steps in edges},
            [*left.keys, *foreseen],
            edges_wanted,
        ):
            chosen.append(steps)
            most_requests -= _requests(steps)
            drawn = _beside(steps, drawn)
    for steps in chosen:
        missing -= _count(told[steps], need)
    drawn = [steps for steps in drawn if steps[-1][0] <= most_ns]
    while missing > 0 or any(keys > 0 for keys in need.values()):
        affordable = [steps for steps in drawn if _requests(steps) <= most_requests]
        worths = [
            (_worth(told[steps], need, missing) / _cost(steps, window_ns), steps)
            for steps in affordable
        ]
        worth, best = max(worths, default=(0.0, ()))
        if worth <= 0:
            break
        drawn = _beside(best, drawn)
        chosen.append(best)
        most_requests -= _requests(best)
        missing -= _count(told[best], need)
    return chosen


def _cost(steps: Steps, window_ns: int) -> float:
    """The requests, and some for the time where windows are long."""
    slow = 10 if window_ns > _SLOW_NS else 0
    return _requests(steps) + 4 + slow * steps[-1][0] / window_ns


def _beside(chosen: Steps, schedules: Sequence[Steps]) -> list[Steps]:
    """The schedules that may be sent beside a chosen one: a key goes on in one way."""
    key = seen_before(chosen)
    return [
        steps for steps in schedules if steps != chosen and not (key and seen_before(steps) is key)
    ]


def _edges(
    kind: Kind,
    room: RoundBounds,
    certain: Mapping[Steps, int],
    seen: Sequence[History],
    wanted: int,
) -> Iterator[Steps]:
    """So many keys that tell closely when they come back, at as many phases; those that are full already first.

    Of what comes back after the same time at any phase, as many as it takes to tell that
    blocks are short, if all goes as it is foretold.

    Args:
        kind: the candidate.
        room: the round.
        certain: the keys, and how many predictions of each are certain.
        seen: what is known of all keys, and foretold of those that are to be sent.
        wanted: how many; none at all if it is 0.
    """
    spans = {steps: edge_of(kind, steps, room.start_ns) for steps in certain}
    edges = sorted(
        certain,
        key=lambda steps: _closeness(spans[steps][1], certain[steps], fresh=not seen_before(steps)),
    )
    known, most_requests = list(seen), room.most_requests * bool(wanted)
    chosen = 0
    while edges := [steps for steps in edges if _requests(steps) <= most_requests]:
        best = edges[0]
        if kind.timeless:
            longest_ns = unseen_variation(kind, known) or room.most_ns
            if chosen >= wanted and longest_ns <= kind.high_ns // LONGEST:
                return
            shorter = [(_longest(kind, known, steps, room), steps) for steps in edges]
            good = [
                each for each in shorter if seen_before(each[1]) and each[0] < _SHORTER * longest_ns
            ]
            least_ns, best = min(good or shorter, key=lambda each: each[0])
            if chosen >= wanted and least_ns >= longest_ns:
                return
            known.append(_expected(kind, best, room))
        elif chosen >= wanted:
            return
        yield best
        chosen += 1
        most_requests -= _requests(best)
        at_ns, apart_ns = spans[best]
        edges = [steps for steps in _beside(best, edges) if abs(spans[steps][0] - at_ns) > apart_ns]


def _longest(
    kind: Kind,
    known: Sequence[History],
    steps: Steps,
    room: RoundBounds,
) -> int:
    """The longest blocks that would be left if a schedule went as it is foretold."""
    key = _expected(kind, steps, room)
    return unseen_variation(kind, [*known, key]) or room.most_ns


def _expected(kind: Kind, steps: Steps, room: RoundBounds) -> list[Seen]:
    """All that will be known of a key, if it goes as the limiter in the middle has it."""
    start_ns, width_ns, *_ = room
    point = kind.boxes[len(kind.boxes) // 2].point()
    outcomes = _foretold(kind.family, point, steps, start_ns, 0)
    later = (
        Seen(start_ns + at_ns, start_ns + at_ns + width_ns, most, count - most)
        for (at_ns, count), (most, *_) in zip(steps, outcomes, strict=False)
    )
    return [*seen_before(steps), *later]


def _closeness(apart_ns: int, certain: int, *, fresh: bool) -> tuple[bool, int, int]:
    """Sort first what goes on, then the closest of edges that are certain, and the least close of the others."""
    return fresh or certain < _SURE, -certain, apart_ns if certain >= _SURE else -apart_ns


def _as_long(left: Hypotheses, kind: Kind, family: LimiterFamily) -> bool:
    """Tell if the windows of a family that are possible still are among those of the candidate."""
    kinds = [other for other in left.kinds() if other.family is family]
    return not kinds or any(
        low_ns <= other_high_ns and other_low_ns <= high_ns
        for other in kinds
        for other_low_ns, other_high_ns in _spans(other)
        for low_ns, high_ns in _spans(kind)
    )


def _spans(kind: Kind) -> list[tuple[int, int]]:
    """The bounds of its window; of blocks with the one that is open, and without."""
    whole = kind.whole_ns * kind.low_ns // kind.high_ns, kind.whole_ns
    return [whole, kind.bounds_ns] if kind.family.number > 1 else [whole]


def _against(proof: Confirmation, left: Hypotheses, kind: Kind) -> list[_Rival]:
    close = rivals(left, kind)
    against = dict.fromkeys(
        [*proof.open, *(family for family in left.boxes if family not in proof.alike)]
    )
    return [(family, box) for family in against for box in close.get(family, ())]


def _told(
    proof: Confirmation,
    left: Hypotheses,
    kind: Kind,
    schedules: Sequence[Steps],
    *,
    start_ns: int,
    width_ns: int,
) -> dict[Steps, _Told]:
    """The answers of the candidate and of its open rivals to each schedule."""
    boxes = spread(sorted(kind.boxes), BOXES)
    against = _against(proof, left, kind)
    told: dict[Steps, _Told] = {}
    for steps in schedules:
        key = seen_before(steps)
        ours = _merged([_foretold(kind.family, box, steps, start_ns, width_ns) for box in boxes])
        sure = [*key, *_sure(ours, steps, start_ns, width_ns)]
        apart = {
            (family, box)
            for family, box in against
            if not key or explains(family, box, (key,))  # else it is told already
            if not explains(family, box, (sure,))
            or disjoint(ours, _foretold(family, box, steps, start_ns, width_ns))
        }
        asked = accumulate(
            (count for _, count in steps),
            initial=sum(seen.admitted + seen.denied for seen in key),
        )
        next(asked)
        certain = sum(
            total > kind.fresh and len(numbers) == 1
            for total, numbers in zip(asked, ours, strict=False)
        )
        told[steps] = certain, apart
    return told


def _sure(ours: Outcomes, steps: Steps, start_ns: int, width_ns: int) -> History:
    """The answers to come, as far as the candidate allows one number of each volley only."""
    foretold = zip(takewhile(lambda numbers: len(numbers) == 1, ours), steps, strict=False)
    return [
        Seen(start_ns + at_ns, start_ns + at_ns + width_ns, admitted, count - admitted)
        for (admitted,), (at_ns, count) in foretold
    ]


def _worth(told: _Told, need: Mapping[_Rival, int], missing: int) -> int:
    certain, apart = told
    return 2 * sum(need.get(rival, 0) > 0 for rival in apart) + min(certain, max(0, missing))


def _count(told: _Told, need: dict[_Rival, int]) -> int:
    """Take a chosen schedule off what is needed; the predictions that it makes."""
    for rival in told[1] & need.keys():
        need[rival] -= 1
    return told[0]


def _reopened(limit: int, window_ns: int) -> Steps:
    """Asked again in mid-cycle, and twice when the next would end, counted from there or not."""
    return (
        (0, limit),
        (29 * window_ns // 20, 1),
        (9 * window_ns // 4, limit),
        (13 * window_ns // 5, limit),
    )


def _polled(limit: int, window_ns: int, random: Random) -> Steps:
    """Filled, and asked for one more at any instants: many predictions for few requests."""
    shift, apart_ns = random.randrange(window_ns // 2), window_ns // 20
    instants = sorted(random.randrange(apart_ns, 8 * window_ns // 5) for _ in range(6))
    steps = [(shift, limit)]
    for at_ns in instants:
        if shift + at_ns - steps[-1][0] >= apart_ns:
            steps.append((shift + at_ns, 1))
    return tuple(steps)


def _halves(limit: int, window_ns: int) -> Steps:
    """Filled in two parts: each comes back by itself, or both together."""
    first, back_ns = (limit + 1) // 2, window_ns + window_ns // 10 + 10_000_000
    steps = ((0, first), (3 * window_ns // 5, limit - first), (back_ns, limit))
    return tuple((at_ns, count) for at_ns, count in steps if count)


def _pointed(limit: int, window_ns: int, random: Random) -> Iterator[Steps]:
    """Schedules on which families differ, at any phase."""
    few = min(2, limit)
    for part in (2, 4, 6, 8):
        shift = random.randrange(window_ns // 2)
        early, back = part * window_ns // 10, window_ns + window_ns // 12
        late = 10 * window_ns // 11
        for steps in (
            ((0, 1), (early, limit - 1), (back, limit)),
            ((0, limit), (early, few), (late, 1), (back, few)),
            ((0, limit), (back, (limit + 1) // 2), (back + early, limit)),
            ((0, limit), (early + back, limit), (2 * window_ns + early // 2, limit)),
            ((0, few), (early, limit), (back, few), (back + early, limit)),
            ((0, 1), (back + window_ns // 8, limit), (2 * window_ns + window_ns // 9, few)),
        ):
            yield tuple((shift + at_ns, count) for at_ns, count in steps if count)


def _requests(steps: Steps) -> int:
    return sum(count for _, count in steps)


def _foretold(
    family: LimiterFamily, box: Box, steps: Steps, start_ns: int, width_ns: int
) -> Outcomes:
    absolute = [(start_ns + at_ns, count) for at_ns, count in steps]
    return admissions(family, box, absolute, width_ns, seen_before(steps))


def _merged(told: Sequence[Outcomes]) -> Outcomes:
    """The numbers that any of some limiters may admit, as far as all of them are known."""
    return tuple(
        tuple({number for each in told for number in each[step]})
        for step in range(min(map(len, told)))
    )
