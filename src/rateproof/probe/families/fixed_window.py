"""N in each window of a clock."""

from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.probe.family import NEVER, Advance, LimiterFamily, State, windows_of
from rateproof.probe.seen import Box, Seen

__all__ = ["EMPTY", "FAMILY", "across", "blocks", "counted", "within"]

EMPTY = (NEVER, ())
"""No admission yet, nothing counted."""

_Counts = tuple[tuple[int, int, int], ...]


def blocks(number: int) -> Advance:
    """N in so many equal blocks that follow each other on a clock, the one that runs included.

    The state: the last instant of an admission, and bounds of the count of each block; None
    where the box is too large to say in which.
    """

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        last_ns, counts = state
        sent_ns, received_ns, admitted, denied = seen
        if sent_ns > last_ns + box[2]:  # nothing that was admitted counts any more
            if denied and admitted < box[0]:
                return []
            counts = ()
        last_ns = received_ns if admitted else last_ns
        if counts is None:
            return [(last_ns, None)]
        windows = windows_of(seen, box, number)
        return [(last_ns, after) for after in counted(counts, seen, box[0], windows, number)]

    return advance


def counted(
    counts: _Counts, seen: Seen, limit: int, windows: tuple[int, int], number: int = 1
) -> list[_Counts | None]:
    """The counts after a volley that fell into one of two windows that follow each other, or into both."""
    first, last = windows
    if last - first > 1:
        return [None]
    after: list[_Counts | None] = []
    for index in (first, last) if first != last else (first,):
        after += within(counts, seen, limit, index, number)
    if last > first:
        after += across(counts, seen, limit, first, number)
    return after


def within(counts: _Counts, seen: Seen, limit: int, index: int, number: int = 1) -> list[_Counts]:
    """The counts after a volley that fell into one window."""
    if counts and index < counts[-1][0]:
        return []
    _, _, admitted, denied = seen
    live, least, most = _live(counts, index - number, limit)
    if least + admitted > limit or (denied and most + admitted < limit):
        return []
    if denied and len(live) == 1 and least < limit - admitted:  # full: so much is known now
        live = ((live[0][0], limit - admitted, live[0][2]),)
    return [_more(live, index, admitted, admitted)]


def across(counts: _Counts, seen: Seen, limit: int, first: int, number: int = 1) -> list[_Counts]:
    """The counts after a volley of which some fell into a window, and the rest into the next."""
    _, _, admitted, denied = seen
    if (counts and first < counts[-1][0]) or admitted + denied < 2:
        return []
    live, least, most = _live(counts, first - number, limit)
    room = max(0, limit - least)
    if admitted > room + limit or (denied and most + admitted < limit):
        return []
    both = _more(live, first, 0, min(admitted, limit))
    return [_more(both, first + 1, max(0, admitted - room), min(admitted, limit))]


def _live(counts: _Counts, before: int, limit: int) -> tuple[_Counts, int, int]:
    """The counts of later blocks, and bounds of all of them together."""
    if not counts or counts[-1][0] <= before:
        return (), 0, 0
    if len(counts) == 1:
        return counts, counts[0][1], min(limit, counts[0][2])
    live = tuple(count for count in counts if count[0] > before)
    least, most = sum(count[1] for count in live), sum(count[2] for count in live)
    return live, least, min(limit, most)


def _more(live: _Counts, index: int, least: int, most: int) -> _Counts:
    if live and live[-1][0] == index:
        _, low, high = live[-1]
        return (*live[:-1], (index, low + least, high + most))
    return (*live, (index, least, most))


FAMILY = LimiterFamily(
    FIXED_WINDOW,
    3,
    EMPTY,
    blocks(1),
    alike="a clock's windows, and a refill of the whole limit at the same instants, are one",
    other="phase",
)
