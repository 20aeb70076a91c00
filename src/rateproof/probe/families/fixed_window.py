"""N in each window of a clock."""

from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.probe.family import NEVER, Advance, LimiterFamily, State, windows_of
from rateproof.probe.seen import Box, Seen

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
    _, _, admitted, denied = seen
    latest = counts[-1][0] if counts else first
    after: list[_Counts | None] = []
    for index in (first, last) if first != last else (first,):
        if index < latest:
            continue
        live, least, most = _live(counts, index - number, limit)
        if least + admitted <= limit and (not denied or most + admitted >= limit):
            if denied and len(live) == 1 and least < limit - admitted:  # full: so much is known now
                live = ((live[0][0], limit - admitted, live[0][2]),)
            after.append(_more(live, index, admitted, admitted))
    if last > first >= latest and admitted + denied > 1:
        live, least, most = _live(counts, first - number, limit)
        room = max(0, limit - least)
        if admitted <= room + limit and (not denied or most + admitted >= limit):
            both = _more(live, first, 0, min(admitted, limit))
            after.append(_more(both, last, max(0, admitted - room), min(admitted, limit)))
    return after


def _live(counts: _Counts, before: int, limit: int) -> tuple[_Counts, int, int]:
    """The counts of later blocks, and bounds of all of them together."""
    if not counts or counts[-1][0] <= before:
        return (), 0, 0
    if len(counts) == 1:
        return counts, counts[0][1], min(limit, counts[0][2])
    live = counts if counts[0][0] > before else tuple([each for each in counts if each[0] > before])
    least = most = 0
    for _, low, high in live:
        least += low
        most += high
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
