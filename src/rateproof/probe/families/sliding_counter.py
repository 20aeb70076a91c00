"""The count of a clock's window, and that of the one before by the part that overlaps."""

from collections.abc import Callable
from operator import add

from rateproof.policy.sliding_counter import SLIDING_COUNTER
from rateproof.probe.family import NEVER, Advance, LimiterFamily, State, windows_of
from rateproof.probe.seen import Box, Seen

EMPTY = (NEVER, NEVER, 0, 0, 0, 0)
"""No admission, no window, nothing before, nothing counted."""

_ERROR = 1e-9  # of a weight
_Used = Callable[[float, int], float]


def counter(used: _Used) -> Advance:
    """The count of a clock's window, and that of the one before weighted by what overlaps.

    Args:
        used: of that by its weight, and of the count, how much of the limit is used.

    The state: the last instant of an admission, a window (None: which is not known), bounds
    of the count before it and of its own.
    """

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        last_ns, latest, *counts = state
        if seen.sent_ns > last_ns + 2 * box.high_ns:  # two windows after the last admission
            if seen.denied and seen.admitted < box.limit:
                return []
            latest, counts = NEVER, [0, 0, 0, 0]
        last_ns = seen.received_ns if seen.admitted else last_ns
        first, last = windows_of(seen, box)
        if latest is None or last - first > 1:
            return [(last_ns, None, 0, 0, 0, 0)]
        after: list[State] = []
        for index in (first, last) if first != last else (first,):
            if index >= latest:
                moved = _moved(counts, index - latest)
                if _fits(moved, index, seen, box, used):
                    before, before_most, least, most = moved
                    counted = least + seen.admitted, most + seen.admitted
                    after.append((last_ns, index, before, before_most, *counted))
        if last > first >= latest and seen.admitted + seen.denied > 1:
            after += _in_both(_moved(counts, first - latest), last_ns, last, seen, box)
        return after

    return advance


def _fits(counts: tuple[int, int, int, int], index: int, seen: Seen, box: Box, used: _Used) -> bool:
    """Tell if all of a volley may have gone so in one window."""
    before, before_most, least, most = counts
    _, _, admitted, denied = seen
    low = before * _least_weight(index, seen.received_ns, box) if admitted and before else 0.0
    high = before_most * _most_weight(index, seen.sent_ns, box) if denied and before_most else 0.0
    if admitted and used(low, least + admitted - 1) + 1 > box.limit:
        return False
    return not denied or used(high, most + admitted) + 1 > box.limit


def _in_both(
    counts: tuple[int, int, int, int], last_ns: int, last: int, seen: Seen, box: Box
) -> list[State]:
    """The state after a volley of which some fell into a window, and the rest into the next."""
    _, _, least, most = counts
    limit, admitted = box.limit, seen.admitted
    if admitted > 2 * limit - least:
        return []
    begun = max(0, admitted - (limit - least)), min(admitted, limit)
    return [(last_ns, last, least, min(limit, most + admitted), *begun)]


def _moved(counts: list[int], windows: int) -> tuple[int, int, int, int]:
    """The counts before and in the window that begins so many windows later."""
    before, before_most, least, most = counts
    if windows == 0:
        return before, before_most, least, most
    return (least, most, 0, 0) if windows == 1 else (0, 0, 0, 0)


def _least_weight(index: int, received_ns: int, box: Box) -> float:
    """The least share of the window before `index` that overlaps, for an admission."""
    offset_ns = index * (box.low_ns if index >= 0 else box.high_ns)
    weight = 1 - (received_ns - box.other_low_ns - offset_ns) / box.low_ns
    return min(max(weight - _ERROR, 0.0), 1.0)


def _most_weight(index: int, sent_ns: int, box: Box) -> float:
    """The most that overlaps, for a denial."""
    offset_ns = index * (box.high_ns if index >= 0 else box.low_ns)
    weight = 1 - (sent_ns - box.other_high_ns - offset_ns) / box.high_ns
    return min(max(weight + _ERROR, 0.0), 1.0)


FAMILY = LimiterFamily(SLIDING_COUNTER, 4, EMPTY, counter(add), other="phase", carries=True)
