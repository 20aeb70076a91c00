"""The keys that every name has to stand, and those that tell closely when a key comes back."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from random import Random

from rateproof.probe.family import admissions, explains
from rateproof.probe.inference import Kind, spread
from rateproof.probe.plan import beyond, recovery
from rateproof.probe.seen import History, Onward, Steps, seen_before
from rateproof.units import SECOND_NS

BUSY = 3
"""Fillings of a key that is busy, one after the other; more where they cost little."""
_BUSY_NS, _BUSY_REQUESTS = 4 * SECOND_NS, 24
LATE = 1  # the place of the one that is late, or idle, among those that every name has to stand
FINELY = 400
_MEASURED = 16  # parts of the time between two edges: an edge known less closely is measured
_POLLS, _MOST_POLLS, _KEYS = 8, 24, 3  # to measure it
_CHEAP = 30  # requests, for more keys
_SHORT_NS = 2 * SECOND_NS  # a window for which keys cost more than waiting
_LOOKED_AT = 6
_ROW = 20  # denials
_PUT_OFF = 4  # times that a return is put off, by nine tenths of a window each
_HALVES = 8  # of a token
_HARDLY = 100  # parts of a window: so long before its end a bucket is not full
_PARTS_APART = 32  # parts of a window: how close two parts of a filling are
_BEFORE, _WIDTHS = 16, 4  # parts of a window, answers: denials come so long before its end
_LATE = 8  # parts of an answer
_CLOSE = 200, 100, 50  # parts of the time between two edges: so close an edge is foretold
_PARTS, _MOST_PARTS = 4, 8  # of the time in which a key comes back
_FEW = 2
_SOON = 4  # less than this part of a window leaves no time for denials


def always(kind: Kind) -> list[Steps]:
    """Keys that every name has to stand."""
    limit, window_ns = kind.fresh, kind.whole_ns
    late = _late(limit, window_ns) if kind.family.forgets else _idle(limit, window_ns)
    return [_busy(limit, window_ns), late, _partly(limit, window_ns)]


def _busy(limit: int, window_ns: int) -> Steps:
    """Asked for one more than all whenever it is back, 20 denials in a row meanwhile.

    A second quota, or a ban, would deny; a limit that is now and then greater would admit.
    """
    again_ns = window_ns + window_ns // 6 + 10_000_000
    time_ns = 5 * window_ns // 2 + _BUSY_NS
    fillings = max(BUSY, min(time_ns // again_ns, BUSY + _BUSY_REQUESTS // (limit + 1)))
    row = ((window_ns // 3, _ROW // 2), (window_ns // 2, _ROW // 2))
    return ((0, limit), *row, *((number * again_ns, limit + 1) for number in range(1, fillings)))


def refilled(kind: Kind, start_ns: int, first: Steps, busy: Steps, width_ns: int) -> Steps:
    """A key that goes on as the busy one, asked for more than all.

    Of a clock that is just after each edge, and for one before it; of a bucket just after it is full.
    """
    margin_ns, key = _margin(kind, FINELY) + width_ns, seen_before(first)
    full_ns = first[-1][0] + kind.high_ns * kind.at_once  # before, it is full still
    later = tuple(step for step in busy if step[1] > kind.limit and step[0] > full_ns)
    steps: Steps = (*first,)
    for _, count in later:
        at_ns = steps[-1][0]
        if _fills_evenly(kind):
            steps = *steps, (at_ns + kind.whole_ns + margin_ns, count)
            continue
        back_ns = _backs(kind, start_ns + at_ns) if kind.clockwise else None
        if back_ns is None or back_ns[0] <= margin_ns:
            steps = *first, *later
            break
        early_ns, late_ns = at_ns + back_ns[0] - margin_ns, at_ns + back_ns[1] + margin_ns
        steps = *steps, (early_ns, 1), (late_ns, count)
    return Onward(steps, key) if key else steps


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
    few = min(2, limit)
    return (
        *ones,
        (29 * window_ns // 20, limit),
        (19 * window_ns // 10, few),
        (12 * window_ns // 5, few),
    )


def closely(kind: Kind, start_ns: int, width_ns: int, idle: History | None = None) -> list[Steps]:
    """Just before and after a key comes back, in all the ways in which it may be full; none where it may not be in time.

    Where all comes back at once it is asked for one more than that. The last key is denied
    often, and filled anew as soon as it is back.

    Args:
        kind: the candidate.
        start_ns: when the round begins.
        width_ns: how closely the instant of a decision will be known.
        idle: a key of earlier rounds that is the last, and asked for more than it can save; None: a fresh one.
    """
    shift, limit = 0, kind.fresh
    back_ns = _backs(kind, start_ns)
    if back_ns and kind.family.other and back_ns[0] < kind.whole_ns // _SOON:  # the next is later
        shift = kind.whole_ns // (_SOON - 1)
        back_ns = _backs(kind, start_ns + shift)
    part = max(200, min(4 * limit, 400)) if kind.clockwise else 200
    margin_ns = _margin(kind, part) + width_ns
    if back_ns is None or _hardly_blocks(kind, back_ns, margin_ns):
        return []
    early_ns = back_ns[0] - _margin(kind, part) - min(width_ns, kind.interval_ns)
    late_ns, more = back_ns[1] + margin_ns, limit + 1 if kind.at_once else 1
    denied: Steps = ((0, limit), (early_ns, 1))
    again = kind.family.other == "phase" or kind.clockwise  # the next key asks for all that is back
    late = 1 if again or _full(kind, start_ns, (*denied, (late_ns, 1))) else more
    chosen: list[Steps] = [(*denied, (late_ns, late))]
    if again:  # it begins anew where it is not full, too
        before_ns, after_ns, half = back_ns[0] - margin_ns, back_ns[1] + margin_ns, (limit + 1) // 2
        # Of blocks all of one comes back, and none of the next.
        blocks_ns = (kind.family.number - 1) * kind.grain_ns
        later = ((after_ns + blocks_ns, half + 1),) if blocks_ns else ()
        chosen.append(((before_ns, half), (after_ns, limit), *later))
    chosen += _carried(kind, start_ns + shift)
    if kind.timeless:
        chosen += [
            (*parts, (late_ns, more)) for parts in _in_parts(limit, early_ns, late_ns, width_ns)
        ]
    if _fills_evenly(kind):
        before_ns = margin_ns + min(kind.low_ns // 2, kind.least_ns // _HARDLY)
        chosen.append(((0, limit), (kind.least_ns - before_ns, limit)))  # it is hardly full yet
        chosen[0] += _in_halves(kind, late_ns, width_ns)
    chosen += _blocked(kind, start_ns + shift, back_ns, margin_ns)
    chosen += _time_after_time(kind, start_ns)
    row, row_back_ns = _in_a_row(kind, start_ns + shift, back_ns, width_ns, idle)
    if row_back_ns:
        again_ns = row_back_ns[1] + margin_ns
        busy: Steps = (*row, (again_ns, more))
        if kind.timeless:
            busy = (*busy, (again_ns + early_ns, 1), (again_ns + late_ns, more))
            del chosen[0]  # what that asks, this one does the second time
        chosen.append(busy)
    return _later(chosen, shift, idle if row_back_ns else None)


def _fills_evenly(kind: Kind) -> bool:
    """Tell if it is a bucket that is full at first, and that each token fills as much as another."""
    return kind.family.refills and kind.family.at_first is None


def _hardly_blocks(kind: Kind, back_ns: tuple[int, int], margin_ns: int) -> bool:
    """Tell if a denial blocks for less than can be told from an answer without it."""
    return min(kind.block_ns, default=2**63) <= 2 * (back_ns[1] - back_ns[0] + 2 * margin_ns)


def _blocked(
    kind: Kind, start_ns: int, back_ns: tuple[int, int], margin_ns: int
) -> Iterator[Steps]:
    """Keys that are denied once, and so late that this outlasts what denied it, just before and after it ends."""
    if not kind.block_ns:
        return
    denied = ((0, kind.fresh), (max(kind.whole_ns // 2, back_ns[0] - kind.block_ns[0] // 2), 1))
    if free_ns := _backs(kind, start_ns, denied[1:]):
        yield (*denied, (free_ns[0] - margin_ns, 1))
        yield (*denied, (free_ns[1] + margin_ns, kind.fresh + 1 if kind.at_once else 1))


def _time_after_time(kind: Kind, start_ns: int) -> Iterator[Steps]:
    """A key whose return is put off for more than three windows, or by denials that were many."""
    if kind.family.plain or kind.family.other or kind.family.refills:
        return
    limit, each_ns = kind.limit, kind.least_ns * 9 // 10
    row = tuple((number * each_ns, 1) for number in range(1, _PUT_OFF + 1))
    denied = ((0, limit + 1), *row)
    counted = ((0, limit + _ROW), (each_ns // 2, limit), (each_ns * 11 // 9, 1))
    if _full(kind, start_ns, denied):
        yield denied
    elif _full(kind, start_ns, counted):
        yield counted
    else:
        admitted = ((0, 1), *row[:-1][: limit - 1])
        late_ns = admitted[-1][0] + each_ns
        rest = ((late_ns, limit - len(admitted)),) if limit > len(admitted) else ()
        if _full(kind, start_ns, (*admitted, *rest, (late_ns + 1, 1))):
            yield (*admitted, (late_ns, limit))


def _in_halves(kind: Kind, late_ns: int, width_ns: int) -> Steps:
    """Ask an empty bucket for one every token and a half, then for all that this leaves: halves are not lost."""
    token_ns, count = kind.low_ns, min(_HALVES, kind.limit)
    if kind.family.other or count == 1 or token_ns < 2 * width_ns:
        return ()
    row = tuple((late_ns + number * 3 * token_ns // 2, 1) for number in range(1, count + 1))
    return *row, (late_ns + (count + 1) * 3 * token_ns // 2, count // 2 + 2)


def _later(schedules: Sequence[Steps], shift: int, idle: History | None) -> list[Steps]:
    """The same so much later, the last with an idle key, if there is one; none if answers take as long as what comes back."""
    if not all(map(_in_order, schedules)):
        return []
    found = [tuple((shift + at_ns, count) for at_ns, count in steps) for steps in schedules]
    return found if idle is None else [*found[:-1], Onward(found[-1], idle)]


def _in_a_row(
    kind: Kind, start_ns: int, back_ns: tuple[int, int], width_ns: int, idle: History | None
) -> tuple[Steps, tuple[int, int] | None]:
    """A key that is filled and denied often, the last time long before it is back; between which instants it is then."""
    soon_ns = max(back_ns[0] // _BEFORE, _WIDTHS * width_ns)
    early = 2  # a block that began with them may be extended by the others
    row = ((back_ns[0] // 3, early), (max(back_ns[0] // 2, back_ns[0] - soon_ns), _ROW - early))
    if idle is None:
        return ((0, kind.fresh), *row), _backs(kind, start_ns, row)
    filled = ((0, beyond(kind.limit)), *row)
    return filled, _backs(kind, start_ns, filled, idle)


def _carried(kind: Kind, start_ns: int) -> Iterator[Steps]:
    """One in a window, and all but one of the next; early and late in it one more, as what is left of one is rounded.

    None of a rule of which the window before does not count by its part.
    """
    quarter_ns, few = kind.whole_ns // 4, kind.limit - 1
    if not kind.family.carries or kind.at_once:
        return
    for first_ns in (quarter_ns, 2 * quarter_ns):
        edges = [
            box.other_low_ns - (box.other_low_ns - start_ns - first_ns) // box.low_ns * box.low_ns
            for box in (box.point() for box in spread(sorted(kind.boxes), _LOOKED_AT))
        ]
        if few and max(edges) - min(edges) < quarter_ns // 2:
            at_ns = edges[0] - start_ns
            early_ns = quarter_ns + quarter_ns // 5  # not where a weight in quarters changes
            asked = (-quarter_ns, 1), (quarter_ns // 2, few), (early_ns, 1), (3 * quarter_ns, 1)
            yield tuple((at_ns + since_ns, count) for since_ns, count in asked)
            return


def across(kind: Kind, start_ns: int, width_ns: int) -> Iterator[Steps]:
    """A few just before an edge of a clock, and all just after it: it may be another for a key that was full."""
    margin_ns = _margin(kind, FINELY) + width_ns
    for shift in (0, kind.whole_ns // _SOON):
        back_ns = _backs(kind, start_ns + shift) if kind.clockwise else None
        if back_ns and back_ns[0] > margin_ns:
            early_ns, late_ns = shift + back_ns[0] - margin_ns, shift + back_ns[1] + margin_ns
            yield from (((early_ns, few), (late_ns, kind.limit)) for few in range(1, _FEW + 1))


def _full(kind: Kind, start_ns: int, steps: Steps) -> bool:
    """Tell if the last request is denied, whatever was decided before."""
    absolute = [(start_ns + at_ns, count) for at_ns, count in steps]
    point = kind.boxes[0].point()
    return (0,) in admissions(kind.family, point, absolute)[len(steps) - 1 :]


def _in_order(steps: Steps) -> bool:
    return all(one < two for one, two in pairwise((-1, *(at_ns for at_ns, _ in steps))))


def _in_parts(limit: int, early_ns: int, late_ns: int, width_ns: int) -> Iterator[Steps]:
    """Filled in three parts, two of them close to each other, the last as late as it may be.

    The two may be one, all may wait for the last, or a key that is not full be denied so late.
    """
    # So close that what was sent last is surely not back when the first surely is.
    close_ns = max(late_ns // _PARTS_APART, late_ns - early_ns + width_ns)
    far_ns = 3 * early_ns // 5
    part = limit // 3
    if part:
        yield (0, part), (close_ns, part), (early_ns, limit - 2 * part)
    elif limit > 1:
        yield (0, 1), (close_ns, 1), (early_ns, 1)
        yield (0, 1), (far_ns, 1), (early_ns, 1)
        yield (0, 1), (early_ns, 1)


def measuring(
    kind: Kind,
    start_ns: int,
    width_ns: int,
    part: int = _MEASURED,
    known: Iterable[History] = (),
) -> list[Steps]:
    """Ask when a key comes back, where that is not known closely: one key often, or several once if denials put it off.

    Of a clock's windows that are hardly known, two keys filled at different phases.

    Args:
        kind: the candidate.
        start_ns: when the round begins.
        width_ns: how closely the instant of a decision will be known.
        part: of the time between two edges: where it is known more closely, nothing is asked.
        known: keys of earlier rounds: those that are full are asked before others are filled.
    """
    grain_ns = kind.grain_ns
    far = kind.family.other == "phase" and not kind.close
    full = [*known]
    chosen = [*_of_block(kind, start_ns, width_ns, full)]
    for shift in (0, kind.whole_ns // 3) if far else (0,):
        back_ns = _backs(kind, start_ns + shift)
        if back_ns is None or back_ns[1] - back_ns[0] <= grain_ns // part + width_ns + min(
            width_ns, kind.interval_ns
        ):
            return chosen
        low_ns, high_ns = back_ns
        most = min(
            max(_POLLS, min(kind.fresh // 2, _MOST_POLLS)), (high_ns - low_ns - 1) // width_ns
        )
        numbers = most, min(most, kind.fresh - 1)  # of denials: fewer may count for nothing
        fit = (n for n in numbers if not _postponed(kind, start_ns + shift, back_ns, n))
        polls = next(fit, 0)
        if not polls and kind.whole_ns < _SHORT_NS and not kind.block_ns:
            chosen.append(((shift, kind.fresh), *_put_off(shift, low_ns, high_ns)))
            continue
        most = polls or max(_KEYS, min(most, _CHEAP // kind.fresh))
        step_ns = (high_ns - low_ns) // (most + 1)
        asked = [(shift + low_ns + step_ns * n, 1) for n in range(1, most + 1)]
        each = [tuple(asked)] if polls else [(one,) for one in asked]
        bounds_ns = shift + low_ns, shift + high_ns
        chosen += _on_full(
            kind, start_ns, each, full, filled=((shift, kind.fresh),), bounds_ns=bounds_ns
        )
    return chosen


def _on_full(
    kind: Kind,
    start_ns: int,
    each: Sequence[Steps],
    full: list[History],
    *,
    filled: Steps,
    bounds_ns: tuple[int, int],
    denied: Steps = (),
) -> Iterator[Steps]:
    """Ask keys while they come back, between two bounds: those that are full already, then fresh ones, filled first.

    Args:
        kind: the candidate.
        start_ns: when the round begins.
        each: what each is asked then.
        full: keys of earlier rounds; those that are taken are taken out.
        filled: what fills a fresh one, and what it denies.
        bounds_ns: between which instants such a key comes back.
        denied: what one that is full is asked first.
    """
    low_ns, high_ns = bounds_ns
    for steps in each:
        for key in full:
            back_ns = returns(kind, key, start_ns, denied)
            if back_ns and 2 * (back_ns[1] - back_ns[0]) >= high_ns - low_ns:
                full.remove(key)
                wide_ns = back_ns[1] - back_ns[0]
                later = (
                    (back_ns[0] + (at_ns - low_ns) * wide_ns // (high_ns - low_ns), count)
                    for at_ns, count in steps
                )
                yield Onward((*denied, *later), key)
                break
        else:
            yield *filled, *steps


def _postponed(kind: Kind, start_ns: int, back_ns: tuple[int, int], denials: int) -> bool:
    """Tell if so many denials put off when a key comes back that is filled at `start_ns`."""
    low_ns, high_ns = back_ns
    denied_ns = _backs(kind, start_ns, ((low_ns // 2, denials),) if denials else ())
    return denied_ns is None or denied_ns[1] - high_ns >= kind.grain_ns // _MEASURED


def _of_block(kind: Kind, start_ns: int, width_ns: int, full: list[History]) -> Iterator[Steps]:
    """Ask when a denial no longer blocks, where that is not known closely: a key for each instant."""
    denied = ((kind.whole_ns // 2, 1),)
    low_ns, high_ns = _backs(kind, start_ns, denied) or (0, 0)
    if kind.block_ns and high_ns - low_ns > kind.whole_ns // _MEASURED + 2 * width_ns:
        filled: Steps = ((0, kind.limit), *denied)
        once_ns = denied[-1][0]
        step_ns = (high_ns - low_ns) // (_KEYS + 1)
        asked = [(low_ns + part * step_ns, 1) for part in range(1, _KEYS + 1)]
        again = _backs(kind, start_ns, (*denied, ((once_ns + low_ns) // 2, 1)))
        if again and again[1] - high_ns < kind.grain_ns // _MEASURED:
            each = [tuple(asked)]
        elif kind.whole_ns < _SHORT_NS:
            each = [tuple(_put_off(once_ns, low_ns - once_ns, high_ns - once_ns))]
            full = []  # the first of these denials tells when
        else:
            each = [(one,) for one in asked]
        yield from _on_full(
            kind,
            start_ns,
            each,
            full,
            filled=filled,
            bounds_ns=(low_ns, high_ns),
            denied=((0, 1),),
        )


def _put_off(at_ns: int, low_ns: int, high_ns: int) -> Iterator[tuple[int, int]]:
    """Ask one key after ever more of the time for which each denial puts it off, between two bounds of it."""
    for part in range(1, _KEYS + 1):
        at_ns += low_ns + (high_ns - low_ns) * part // (_KEYS + 1)
        yield at_ns, 1


def edges(kind: Kind, start_ns: int, width_ns: int, random: Random) -> Iterator[Steps]:
    """Denied just before the key comes back, admitted just after, at any phase."""
    window_ns = kind.whole_ns
    counts = (1, 1, 1, 1, 1, 1, min(2, kind.fresh), kind.fresh)
    for number, count in enumerate(counts):  # at phases that are apart
        share = (number + random.random()) / len(counts)
        shift = int(share * window_ns / 2)
        early: Steps = ()
        if kind.timeless:  # blocks that begin with the first request are at any phase, too
            early = ((0, 1),)
            phases_ns = window_ns if window_ns < SECOND_NS else 2 * window_ns // 5
            shift = 26 * window_ns // 25 + width_ns + int(share * phases_ns)
        if (back_ns := _backs(kind, start_ns + shift)) is None:
            continue
        for part in _CLOSE:
            *inner, (late_ns, _) = _around(kind, back_ns, width_ns, part)
            if late_ns < 2 * inner[0][0]:
                asked = *((shift + at_ns, 1) for at_ns, _ in inner), (shift + late_ns, count)
                yield *early, (shift, kind.fresh), *asked


def edge_of(kind: Kind, steps: Steps, start_ns: int) -> tuple[int, int]:
    """The instant of the round at which such a key is filled, and the time in which it comes back."""
    if key := seen_before(steps):
        filled_ns = max(seen.sent_ns for seen in key if seen.admitted) - start_ns
        return filled_ns, steps[-1][0] - steps[0][0]
    filled = int(kind.timeless)
    return steps[filled][0], steps[-1][0] - steps[filled + 1][0]


def onward(kind: Kind, key: History, start_ns: int, width_ns: int) -> Iterator[Onward]:
    """The same of a key that is full already, where it is back later."""
    back_ns = returns(kind, key, start_ns)
    if back_ns is None:
        return
    for part in _CLOSE:
        asked = _around(kind, back_ns, width_ns, part)
        if asked[0][0] > 0 and 4 * (asked[-1][0] - asked[0][0]) < kind.whole_ns:
            yield Onward(asked, key)


def returns(kind: Kind, key: History, start_ns: int, denied: Steps = ()) -> tuple[int, int] | None:
    """Between which instants a key comes back that is full already, after denials if so; None if it may not be full."""
    full = {admissions(kind.family, box, [(start_ns, 1)], before=key) for box in kind.boxes}
    return _backs(kind, start_ns, denied, key) if full == {((0,),)} else None


def _around(kind: Kind, back_ns: tuple[int, int], width_ns: int, part: int) -> Steps:
    """Just before a key comes back, just after, and in between where denials change nothing."""
    margin_ns = _margin(kind, part)
    early_ns = back_ns[0] - margin_ns - width_ns
    late_ns = back_ns[1] + margin_ns + width_ns  # of all that filled it the last counts
    parts = _between(kind, late_ns - early_ns, width_ns)
    return tuple((early_ns + (late_ns - early_ns) * n // parts, 1) for n in range(parts + 1))


def _between(kind: Kind, apart_ns: int, width_ns: int) -> int:
    """Count the parts in which an edge is looked for between two instants, where denials change nothing, and one is left."""
    if not kind.timeless:
        return 1
    most = max(_PARTS, min(kind.limit // _MOST_PARTS, _MOST_PARTS))
    return max(1, min(most, kind.limit, apart_ns // (width_ns + 1)))


def _margin(kind: Kind, part: int) -> int:
    """The time from an edge that is to be foretold: requests are sent a little late, too."""
    return kind.grain_ns // part + kind.interval_ns // _LATE


def _backs(
    kind: Kind, start_ns: int, denied: Steps = (), key: History = ()
) -> tuple[int, int] | None:
    """Between which instants a key comes back, filled at `start_ns`, or before; after denials if so; None if it may not in time."""
    points = [box.point() for box in spread(sorted(kind.boxes), _LOOKED_AT)]
    most_ns = 2 * kind.whole_ns + max(kind.block_ns, default=0)
    asked = denied if key else ((0, kind.fresh), *denied)
    found = [
        recovery(kind.family, point, asked, start_ns, most_ns, before=key)
        for point in points
        if explains(kind.family, point, (key,))
    ]
    known = [at_ns for at_ns in found if at_ns is not None]
    return (min(known), max(known)) if len(known) == len(found) > 0 else None
