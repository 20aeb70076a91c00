"""The count of a clock's window, and that of the one before by the part that overlaps."""

from rateproof.policy.sliding_counter import SLIDING_COUNTER
from rateproof.probe.family import LOOSE, NEVER, Advance, LimiterFamily, State, windows_of
from rateproof.probe.seen import Box, Seen

__all__ = ["EMPTY", "FAMILY", "counter"]

EMPTY = (NEVER, 0, 0, NEVER)
"""No window, nothing counted, nothing before, no admission."""


def counter(*, floor: bool) -> Advance:
    """The count of a clock's window, and that of the one before weighted by what overlaps."""

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        latest, counted, counted_before, last_ns = state
        if not seen.admitted and seen.sent_ns > last_ns + 2 * box.high_ns:
            return []  # two windows after the last admission
        last_ns = seen.received_ns if seen.admitted else last_ns
        windows = windows_of(seen, box)
        if latest == LOOSE or len(windows) > 2:
            return [(LOOSE, 0, 0, last_ns)]
        after: list[State] = []
        for index in windows:
            if index < latest:
                continue
            count = counted if index == latest else 0
            before = (counted_before, counted)[index - latest] if index - latest <= 1 else 0
            used = before * _weight(index, seen, box) if before else 0.0
            if floor:
                used = int(used + 1e-9)
            if seen.admitted == (used + count + 1 <= box.limit):
                after.append((index, count + seen.admitted, before, last_ns))
        return after

    return advance


def _weight(index: int, seen: Seen, box: Box) -> float:
    """The share of the window before `index` that overlaps: the least for an admission, or most."""
    if seen.admitted:
        offset_ns = index * (box.low_ns if index >= 0 else box.high_ns)
        weight = 1 - (seen.received_ns - box.phase_low_ns - offset_ns) / box.low_ns
    else:
        offset_ns = index * (box.high_ns if index >= 0 else box.low_ns)
        weight = 1 - (seen.sent_ns - box.phase_high_ns - offset_ns) / box.high_ns
    return 0.0 if weight < 0 else min(weight, 1.0)


FAMILY = LimiterFamily(SLIDING_COUNTER, 4, EMPTY, counter(floor=False))
