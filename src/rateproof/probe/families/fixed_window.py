"""N in each window of a clock."""

from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.probe.family import LOOSE, NEVER, LimiterFamily, State, windows_of
from rateproof.probe.seen import Box, Seen

__all__ = ["FAMILY"]


def _advance(state: State, seen: Seen, box: Box) -> list[State]:
    """N in each window of a clock."""
    latest, counted, last_ns = state
    if not seen.admitted and seen.sent_ns > last_ns + box.high_ns:
        return []  # in no window of the last admission
    last_ns = seen.received_ns if seen.admitted else last_ns
    windows = windows_of(seen, box)
    if latest == LOOSE or len(windows) > 2:
        return [(LOOSE, 0, last_ns)]
    after: list[State] = []
    for index in windows:
        if index >= latest:
            count = counted if index == latest else 0
            if seen.admitted == (count < box.limit):
                after.append((index, count + seen.admitted, last_ns))
    return after


FAMILY = LimiterFamily(
    FIXED_WINDOW,
    3,
    (NEVER, 0, NEVER),
    _advance,
    alike="a clock's windows, and a refill of the whole limit at the same instants, are one",
)
