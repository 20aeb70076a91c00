"""The proof of a name: predictions that came true, and rivals whose predictions did not.

A rival is every other family: at the parameters that explained the most keys where it is
refuted, at all that are left where it is not. It is excluded by three keys that it does not
explain. Where no schedule is found on which it would have to answer otherwise than the
candidate, within the intervals, it looks the same, and the name says so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise, takewhile
from math import ceil, prod
from random import Random

from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.probe.family import LimiterFamily, admissions, explains, foreseen
from rateproof.probe.inference import Hypotheses, Kind, spread
from rateproof.probe.plan import Outcomes, Room, disjoint, random_schedules, recovery
from rateproof.probe.seen import Box, History, Seen, Steps

__all__ = [
    "PREDICTIONS",
    "Confirmation",
    "alone",
    "always",
    "closely",
    "longest_blocks",
    "measuring",
]

PREDICTIONS = 12
EXCLUDING = 3
EDGES, EDGES_OF_LOG, _MOST_EDGES = 2, 4, 8
_CLOCKS = {"phase", "tick"}
_CLOSELY, _WIDTHS = 8, 4  # parts of the time between two edges, and answers, that they may be apart
_FINE, _COARSE = 8, 4  # parts of a window: blocks need not be told closer; longer ones are families
_LEAST_PART = 2  # a name that leaves blocks of half a window open says too little
_CHANCE = 0.01
BUSY = 3
_BOXES, _LOOKED_AT = 4, 6
FINELY = 400
_MEASURED = 16  # parts of the time between two edges: an edge known less closely is measured
_POLLS, _KEYS = 8, 3  # to measure it
_DRAWN, _POLLED = 24, 6
_SLOW_NS = 5_000_000_000
_LONG_NS = 12_000_000_000  # a round for which waiting for another costs more than a key
_ROW = 20  # denials
_PARTS_APART, _PART, _PAIR = 16, 4, 2
_SOON = 4  # less than this part of a window leaves no time for denials


@dataclass(slots=True)
class Confirmation:
    """The state of the proof of a candidate.

    Args:
        candidate: the family and limit whose predictions are made.
        true: how many came true: numbers of a volley that had to be so.
        keys: on how many keys.
        excluded: how many keys each rival does not explain.
        alike: rivals that would answer the same, within the intervals.
        stood: keys that every name has to stand went as foreseen, too.
        edges: how often it was foretold closely when a key comes back.
        closely: keys were asked just before and after they come back, denied in between or not.
        measured: rounds in which it was asked when a key comes back.
        blocks_ns: blocks, so long or shorter, would look the same; None: nothing is known of them.
        coarse: they are so long that it is worth while to look closer.
    """

    candidate: tuple[LimiterFamily, int]
    true: int = 0
    keys: int = 0
    excluded: dict[LimiterFamily, int] = field(default_factory=dict)
    alike: list[LimiterFamily] = field(default_factory=list)
    stood: bool = False
    edges: int = 0
    closely: bool = False
    measured: int = 0
    blocks_ns: int | None = 0
    coarse: bool = False

    @property
    def open(self) -> list[LimiterFamily]:
        """The rivals that are not excluded yet, nor alike."""
        return [
            family
            for family, keys in self.excluded.items()
            if keys < EXCLUDING and family not in self.alike
        ]

    @property
    def done(self) -> bool:
        """True if it may be named."""
        return self.foretold and self.stood and self.closely

    @property
    def foretold(self) -> bool:
        """True if enough was foretold, and all rivals are excluded."""
        return self.true >= PREDICTIONS and not self.open and not self.missing_edges

    @property
    def missing_edges(self) -> int:
        """Edges that are to be foretold still, where a clock's phase might explain any one of them."""
        family, _ = self.candidate
        needed = EDGES if family.other in _CLOCKS else 0
        # Blocks of another number come back near the same edges, now and then.
        if self.coarse or family.number > 1:
            needed = EDGES_OF_LOG
        return max(self.blocks_ns is None, needed - self.edges)


def alone(proof: Confirmation, left: Hypotheses) -> bool:
    """Tell if nothing else is possible but what would answer the same."""
    return {kind.family for kind in left.kinds()} - {*proof.alike} <= {proof.candidate[0]}


def rivals(left: Hypotheses, kind: Kind) -> dict[LimiterFamily, Sequence[Box]]:
    """The limiters of every other family that come closest to what was seen."""
    found: dict[LimiterFamily, Sequence[Box]] = {
        family: [box] for family, box in left.fallen.items() if family is not kind.family
    }
    for other in left.kinds():
        if other.family is not kind.family:
            found[other.family] = [*found.get(other.family, ()), *left.points(other, _BOXES)]
    return found


def count_excluded(
    proof: Confirmation, left: Hypotheses, kind: Kind, keys: Sequence[History]
) -> None:
    """Count the keys that each rival does not explain, whichever of its limiters it is."""
    for family, boxes in rivals(left, kind).items():
        proof.excluded[family] = min(
            sum(not explains(family, box, (history,)) for history in keys) for box in boxes
        )
    if _timeless(kind):
        longest_ns = longest_blocks(kind.limit, keys)
        proof.coarse = longest_ns is None or longest_ns > kind.high_ns // _FINE
        most_ns = kind.high_ns // _COARSE
        if longest_ns and proof.edges >= _MOST_EDGES:  # more of them tell little
            if kind.family.record is SLIDING_LOG:  # longer ones are families
                longest_ns = min(longest_ns, most_ns)
            most_ns = kind.high_ns // _LEAST_PART
        enough = longest_ns is not None and longest_ns <= most_ns
        proof.blocks_ns = longest_ns if enough else None


def _timeless(kind: Kind) -> bool:
    """Tell if a filled key comes back whole after the same time, at any phase of any clock."""
    return kind.family.plain and not kind.family.other and not kind.family.refills


def longest_blocks(limit: int, keys: Sequence[History]) -> int | None:
    """The longest blocks that may have looked like none; None if nothing is known of them.

    A filled key comes back between a denial and an admission. Without blocks it does so after
    the same time whenever it was filled. With blocks of B the time is anywhere within B, by
    the phase at which it was filled: it falls between two instants g apart with a chance of
    g/B at most. The closest two say where to look, and that all others fit them has a chance
    of at most the product of theirs. Two keys filled at the same phase count as one. The
    blocks may be a clock's, or begin with a key's first request: of both the longer ones.
    """
    gaps = [*_gaps(limit, keys)]
    longest = [
        _bound((filled_ns - begun_ns * of_key, gap_ns) for filled_ns, begun_ns, gap_ns in gaps)
        for of_key in (False, True)
    ]
    known = [longest_ns for longest_ns in longest if longest_ns is not None]
    return max(known) if len(known) == len(longest) else None


def _bound(gaps: Iterable[tuple[int, int]]) -> int | None:
    """The longest blocks whose chance to fit all gaps, each with its phase, is not too small."""
    gaps_ns: list[int] = []
    last_ns: int | None = None
    for phase_ns, gap_ns in sorted(gaps):
        if last_ns is not None and phase_ns - last_ns < gap_ns:
            gaps_ns[-1] = min(gaps_ns[-1], gap_ns)
        else:
            gaps_ns.append(gap_ns)
            last_ns = phase_ns
    _, *others = sorted(gaps_ns) or [0]
    return min(
        (
            ceil((prod(others[:number]) / _CHANCE) ** (1 / number))
            for number in range(1, len(others) + 1)
        ),
        default=None,
    )


def _gaps(limit: int, keys: Sequence[History]) -> Iterator[tuple[int, int, int]]:
    """Of each filled key: when, when it began, and how far apart at most its last denial and next admission are."""
    for history in keys:
        begun = history[0]
        # All of the limit at once after other requests: those do not count any more.
        full = [n for n, seen in enumerate(history[:2]) if seen.admitted >= limit]
        if not full:
            continue
        before = filled = history[full[-1]]
        for after in history[full[-1] + 1 :]:
            if after.admitted:
                if before is not filled:
                    width_ns = filled.received_ns - filled.sent_ns
                    gap_ns = after.received_ns - before.sent_ns + width_ns
                    yield filled.sent_ns, begun.sent_ns, gap_ns
                break
            before = after


def count_predictions(proof: Confirmation, kind: Kind, keys: Sequence[History]) -> None:
    """Count the volleys of explained keys that had to go as they went, for more requests than a fresh key gets."""
    boxes = spread(sorted(kind.boxes), _BOXES)
    for history in keys:
        told = [list(foreseen(kind.family, box, history)) for box in boxes]
        asked = accumulate(seen.admitted + seen.denied for seen in history)
        outcomes = zip(asked, *told, strict=False)
        certain = [total > kind.limit and len({*chain(*each)}) == 1 for total, *each in outcomes]
        true = sum(certain)
        proof.edges += any(
            sure and also and _edge(kind, before, after)
            for (sure, also), (before, after) in zip(
                pairwise(certain), pairwise(history), strict=False
            )
        )
        proof.true += true
        proof.keys += bool(true)


def _as_long(left: Hypotheses, kind: Kind, family: LimiterFamily) -> bool:
    """Tell if the windows of a family that are possible still are among those of the candidate."""
    kinds = [other for other in left.kinds() if other.family is family]
    return not kinds or any(
        window_of(other) * other.low_ns <= window_of(kind) * other.high_ns
        and window_of(kind) * kind.low_ns <= window_of(other) * kind.high_ns
        for other in kinds
    )


def _edge(kind: Kind, before: Seen, after: Seen) -> bool:
    """Tell if a key was denied and then admitted again within little time."""
    widths_ns = sum(seen.received_ns - seen.sent_ns for seen in (before, after))
    closely_ns = _grain(kind) // _CLOSELY + _WIDTHS * widths_ns
    back = not before.admitted and after.admitted > 0
    return back and after.received_ns - before.sent_ns <= closely_ns


def _grain(kind: Kind) -> int:
    """The time between two instants of a clock at which something comes back."""
    return kind.high_ns // kind.family.number


def schedules_for(
    proof: Confirmation,
    left: Hypotheses,
    kind: Kind,
    room: Room,
    first: Sequence[Steps],
    *,
    edges_wanted: int,
    missing: int,
) -> list[Steps]:
    """The keys of the next round: what every name has to stand, then what excludes its rivals.

    Args:
        proof: how far it is.
        left: what is still possible, and what was.
        kind: the candidate.
        room: the round.
        first: the keys that come before any other.
        edges_wanted: how often it is to be foretold closely when a key comes back.
        missing: how many predictions are.

    As long as something else is possible, that comes first.
    """
    limit, window_ns = kind.limit, window_of(kind)
    start_ns, width_ns, most_requests, most_ns = room
    random = Random(start_ns)  # noqa: S311  the same schedules for the same clock
    chosen: list[Steps] = []
    for steps in first:
        if steps[-1][0] <= most_ns and _requests(steps) <= most_requests:
            chosen.append(steps)
            most_requests -= _requests(steps)
    edges = [*_edges(kind, start_ns, width_ns, random)]
    drawn = [
        *random_schedules(window_ns, limit, random, _DRAWN),
        *_pointed(limit, window_ns, random),
        *edges,
        *(_polled(limit, window_ns, random) for _ in range(_POLLED)),
        _reopened(limit, window_ns),
        _halves(limit, window_ns),
    ]
    only = alone(proof, left)
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
    more = EXCLUDING + (most_ns > _LONG_NS)  # some tell less than they promise
    need = {rival: more - proof.excluded[rival[0]] for rival in possible}
    if not only:
        need = {rival: 1 for rival in possible if rival[0] in left.boxes}
        missing = 0
    if only:
        edges = [each for each in edges if each[-1][0] <= most_ns and each[-1][1] == 1]
        edges.sort(key=lambda steps: _closeness(steps, told[steps][0]))
        filled = set[int]()  # at as many phases
        for steps in edges:
            at_ns = steps[-3][0]
            new = at_ns not in filled and len(filled) < edges_wanted
            if new and _requests(steps) <= most_requests:
                filled.add(at_ns)
                chosen.append(steps)
                drawn.remove(steps)
                most_requests -= _requests(steps)
                missing -= told[steps][0]
    for steps in chosen:
        _count(told[steps], need)  # what is foreseen for all alike is no random prediction
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
        drawn.remove(best)
        chosen.append(best)
        most_requests -= _requests(best)
        missing -= _count(told[best], need)
    return chosen


def _cost(steps: Steps, window_ns: int) -> float:
    """The requests, and some for the time where windows are long."""
    slow = 10 if window_ns > _SLOW_NS else 0
    return _requests(steps) + 4 + slow * steps[-1][0] / window_ns


def _closeness(steps: Steps, certain: int) -> tuple[int, int]:
    """Sort the closest first of edges that are certain, and the least close of the others."""
    apart_ns = steps[-1][0] - steps[-2][0]
    return -certain, apart_ns if certain > 1 else -apart_ns


_Rival = tuple[LimiterFamily, Box]
_Told = tuple[int, set[_Rival]]
"""Count the numbers of a schedule that are certain for the candidate, and the rivals told from it."""


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
    boxes = spread(sorted(kind.boxes), _BOXES)
    against = _against(proof, left, kind)
    told: dict[Steps, _Told] = {}
    for steps in schedules:
        ours = _merged([_foretold(kind.family, box, steps, start_ns, width_ns) for box in boxes])
        sure = _sure(ours, steps, start_ns, width_ns)
        apart = {
            (family, box)
            for family, box in against
            if not explains(family, box, (sure,))
            or disjoint(ours, _foretold(family, box, steps, start_ns, width_ns))
        }
        asked = accumulate(count for _, count in steps)
        certain = sum(
            total > kind.limit and len(numbers) == 1
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


def always(kind: Kind) -> list[Steps]:
    """Keys that every name has to stand."""
    limit, window_ns = kind.family.at_first or kind.limit, window_of(kind)
    late = _late(limit, window_ns) if kind.family.forgets else _idle(limit, window_ns)
    return [_busy(limit, window_ns), late, _partly(limit, window_ns)]


def window_of(kind: Kind) -> int:
    """The time after which everything is back."""
    return kind.high_ns * (kind.limit if kind.family.refills else 1)


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


def _busy(limit: int, window_ns: int) -> Steps:
    """Asked for one more than all whenever it is back, 20 denials in a row meanwhile.

    A second quota, or a ban, would deny; a limit that is now and then greater would admit.
    """
    again_ns = window_ns + window_ns // 6 + 10_000_000
    row = ((window_ns // 3, _ROW // 2), (window_ns // 2, _ROW // 2))
    return ((0, limit), *row, *((number * again_ns, limit + 1) for number in range(1, BUSY)))


def _late(limit: int, window_ns: int) -> Steps:
    """One alone, and all in two parts when it no longer counts: what the first began may go on, or the parts be one."""
    part, at_ns = (limit + 1) // 2, 29 * window_ns // 20
    parts = ((at_ns, part), (at_ns + window_ns // 10, limit - part))
    asked = ((9 * window_ns // 4, min(2, limit)), (99 * window_ns // 40, part + 1))
    return (0, 1), *(step for step in parts if step[1]), *asked


def _idle(limit: int, window_ns: int) -> Steps:
    """As late as that, but idle for windows first: what the first began may end."""
    return (0, 1), (17 * window_ns // 5, limit), (21 * window_ns // 5, min(2, limit))


def _partly(limit: int, window_ns: int) -> Steps:
    """Never full before more than a window has gone by: who is may forget, or wait, by another rule."""
    ones = tuple((part * window_ns // 5, 1) for part in (0, 3, 6))
    return *ones, (29 * window_ns // 20, limit), (19 * window_ns // 10, min(2, limit))


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


def backs(kind: Kind, start_ns: int, denied: Steps = ()) -> tuple[int, int] | None:
    """Between which instants a key filled at `start_ns` comes back, after denials if so; None if it may not in time."""
    points = [box.point() for box in spread(sorted(kind.boxes), _LOOKED_AT)]
    found = [
        recovery(kind.family, point, kind.limit, start_ns, 2 * window_of(kind), denied=denied)
        for point in points
    ]
    known = [at_ns for at_ns in found if at_ns is not None]
    return (min(known), max(known)) if len(known) == len(found) > 0 else None


def _edges(kind: Kind, start_ns: int, width_ns: int, random: Random) -> Iterator[Steps]:
    """Denied just before the key comes back, admitted just after, at any phase."""
    window_ns = window_of(kind)
    for count in (1, 1, 1, 1, min(2, kind.limit), kind.limit):
        shift = random.randrange(window_ns // 2)
        early: Steps = ()
        if _timeless(kind):  # blocks that begin with the first request are at any phase, too
            early = ((0, 1),)
            shift = 26 * window_ns // 25 + width_ns + random.randrange(2 * window_ns // 5)
        if (back_ns := backs(kind, start_ns + shift)) is None:
            continue
        for part in (200, 100, 50):
            margin_ns = _grain(kind) // part
            early_ns = back_ns[0] - margin_ns - min(width_ns, kind.interval_ns)  # one is asked
            late_ns = back_ns[1] + margin_ns + width_ns  # of all that filled it the last counts
            if late_ns < 2 * early_ns:
                asked = (shift + early_ns, 1), (shift + late_ns, count)
                yield *early, (shift, kind.limit), *asked


def closely(kind: Kind, start_ns: int, width_ns: int) -> list[Steps]:
    """Just before and after the key comes back; none where it may not be in time.

    One key denied with once, one denied often and filled anew, again and again, one filled in parts, and one
    that was never full.
    """
    shift, limit = 0, kind.limit
    back_ns = backs(kind, start_ns)
    if back_ns and back_ns[0] < window_of(kind) // _SOON:  # a clock's next edge is later
        shift = window_of(kind) // (_SOON - 1)
        back_ns = backs(kind, start_ns + shift)
    if back_ns is None:
        return []
    margin_ns = _grain(kind) // 200 + width_ns
    early_ns = back_ns[0] - _grain(kind) // 200 - min(width_ns, kind.interval_ns)
    late_ns = back_ns[1] + margin_ns
    row = ((back_ns[0] // 3, _ROW // 2), (back_ns[0] // 2, _ROW // 2))
    chosen: list[Steps] = [((0, limit), (early_ns, 1), (late_ns, _all(kind)))]
    if _timeless(kind):
        chosen += _in_parts(limit, late_ns)
    if row_back_ns := backs(kind, start_ns + shift, row):
        cycles = [(row_back_ns[1] + margin_ns, _all(kind))]
        for _ in range(2, BUSY if _timeless(kind) else 2):
            filled_ns, _ = cycles[-1]
            cycles += [(filled_ns + early_ns, 1), (filled_ns + late_ns, _all(kind))]
        chosen.append(((0, limit), *row, *cycles))
    if kind.family.other == "phase":  # it begins anew where it is not full, too
        before_ns, after_ns = back_ns[0] - margin_ns, back_ns[1] + margin_ns
        chosen.append(((before_ns, (limit + 1) // 2), (after_ns, limit)))
    return [tuple((shift + at_ns, count) for at_ns, count in steps) for steps in chosen]


def _all(kind: Kind) -> int:
    """One more than comes back at once."""
    family = kind.family
    at_once = not family.refills and family.number == 1
    weighs = family.record is not None and family.record.weighs
    return kind.limit + 1 if at_once and not weighs else 1


def _in_parts(limit: int, late_ns: int) -> Iterator[Steps]:
    """Filled in three parts, ever further apart, and asked for all when the first is back: what is close may be one."""
    apart_ns = late_ns // _PARTS_APART
    parts = limit - 2 * (limit // 3), limit // 3, limit // 3
    if limit == _PAIR:
        parts = 1, 1, 0
    filled = zip((0, apart_ns, _PART * apart_ns), parts, strict=True)
    if limit > 1:
        yield *(step for step in filled if step[1]), (late_ns, limit + 1)


def measuring(kind: Kind, start_ns: int, width_ns: int, part: int = _MEASURED) -> list[Steps]:
    """Ask when a key comes back, where that is not known closely: one key often, or several once if a denial puts it off.

    Of a clock's windows that are hardly known, two keys filled at different phases.
    """
    grain_ns = _grain(kind)
    far = kind.family.other == "phase" and not kind.close
    chosen: list[Steps] = []
    for shift in (0, window_of(kind) // 3) if far else (0,):
        back_ns = backs(kind, start_ns + shift)
        if back_ns is None or back_ns[1] - back_ns[0] <= grain_ns // part + width_ns + min(
            width_ns, kind.interval_ns
        ):
            return chosen
        low_ns, high_ns = back_ns
        step_ns = max((high_ns - low_ns) // (_POLLS + 1), width_ns)
        instants = [shift + at_ns for at_ns in range(low_ns + step_ns, high_ns, step_ns)]
        denied_ns = backs(kind, start_ns + shift, ((low_ns // 2, 1),))
        if denied_ns and denied_ns[1] - high_ns < grain_ns // _MEASURED:
            chosen.append(((shift, kind.limit), *((at_ns, 1) for at_ns in instants)))
        else:
            chosen += [((shift, kind.limit), (at_ns, 1)) for at_ns in spread(instants, _KEYS)]
    return chosen


def _requests(steps: Steps) -> int:
    return sum(count for _, count in steps)


def _foretold(
    family: LimiterFamily, box: Box, steps: Steps, start_ns: int, width_ns: int
) -> Outcomes:
    return admissions(family, box, [(start_ns + at_ns, count) for at_ns, count in steps], width_ns)


def _merged(told: Sequence[Outcomes]) -> Outcomes:
    """The numbers that any of some limiters may admit, as far as all of them are known."""
    return tuple(
        tuple({number for each in told for number in each[step]})
        for step in range(min(map(len, told)))
    )
