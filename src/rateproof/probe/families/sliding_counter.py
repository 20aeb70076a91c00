"""The count of a clock's window, and that of the one before by the part that overlaps."""

from rateproof.policy.sliding_counter import SLIDING_COUNTER
from rateproof.probe.family import NEVER, Advance, LimiterFamily, State, windows_of
from rateproof.probe.seen import Box, Seen

__all__ = ["EMPTY", "FAMILY", "counter"]

EMPTY = (NEVER, NEVER, 0, 0, 0, 0)
"""No admission, no window, nothing before, nothing counted."""


def counter(*, floor: bool) -> Advance:
    """The count of a clock's window, and that of the one before weighted by what overlaps.

    The state: the last instant of an admission, a window (None: which is not known), bounds
    of the count before it and of its own.
    """

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        last_ns, latest, *counts = state
        sent_ns, received_ns, admitted, denied = seen
        if denied and not admitted and sent_ns > last_ns + 2 * box.high_ns:
            return []  # two windows after the last admission
        last_ns = received_ns if admitted else last_ns
        if latest is None:
            return [(last_ns, None, 0, 0, 0, 0)]
        first, last = windows_of(seen, box)
        if last - first > 1:
            return [(last_ns, None, 0, 0, 0, 0)]
        after: list[State] = []
        for index in (first, last) if first != last else (first,):
            if index < latest:
                continue
            before, before_most, least, most = _moved(counts, index - latest)
            used, used_most = float(before), float(before_most)
            if admitted:
                used *= _least_weight(index, received_ns, box)
            if denied:
                used_most *= _most_weight(index, sent_ns, box)
            if floor:
                used, used_most = int(used + 1e-9), int(used_most + 1e-9)
            if admitted and used + least + admitted > box.limit + 1e-9:
                continue
            if denied and used_most + most + admitted + 1 <= box.limit:
                continue
            after.append((last_ns, index, before, before_most, least + admitted, most + admitted))
        if last > first >= latest and admitted + denied > 1:
            _, _, least, most = _moved(counts, first - latest)
            if admitted <= 2 * box.limit - least:
                begun = max(0, admitted - (box.limit - least))
                most_before = min(box.limit, most + admitted)
                most_begun = min(admitted, box.limit)
                after.append((last_ns, last, least, most_before, begun, most_begun))
        return after

    return advance


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
    return min(max(weight, 0.0), 1.0)


def _most_weight(index: int, sent_ns: int, box: Box) -> float:
    """The most that overlaps, for a denial."""
    offset_ns = index * (box.high_ns if index >= 0 else box.low_ns)
    weight = 1 - (sent_ns - box.other_high_ns - offset_ns) / box.high_ns
    return min(max(weight, 0.0), 1.0)


FAMILY = LimiterFamily(SLIDING_COUNTER, 4, EMPTY, counter(floor=False), other="phase")
