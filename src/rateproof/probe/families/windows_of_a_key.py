"""N in each window of a clock that is a key's own: its phase is drawn, or hashed from the key."""

from rateproof.probe.families.chained_window import FAMILY as CHAINED_WINDOW
from rateproof.probe.families.fixed_window import FAMILY as FIXED_WINDOW
from rateproof.probe.families.fixed_window import across, within
from rateproof.probe.family import NEVER, LimiterFamily, State, indices
from rateproof.probe.seen import Box, Seen

__all__ = ["FAMILY"]

_FRESH = (None, NEVER, ())
_SPREAD = 3  # windows: of which of more a volley is in, says nothing


def _advance(state: State, seen: Seen, box: Box) -> list[State] | None:
    """The state: between which instants window 0 began, the last answer, and the counts."""
    began, last_ns, counts = state
    sent_ns, received_ns, *_ = seen
    if received_ns - sent_ns >= box.low_ns:
        return None
    if began is not None:
        first, last = indices(seen, box.low_ns, box.high_ns, *began)
    if began is None or last - first >= _SPREAD:
        if sent_ns <= last_ns + box.high_ns:
            return None  # what counts still, nobody knows
        began, first, last, counts = (sent_ns - box.high_ns, received_ns), 0, 0, ()
    low_ns, high_ns = began
    after: list[State] = []
    for index in range(first, last + 1):
        # Some instant of the volley lies in the window, or the boundary behind it in the volley.
        since = max(low_ns, sent_ns - (index + 1) * box.high_ns)
        for until_ns, found in (
            (received_ns - index * box.low_ns, within(counts, seen, box.limit, index)),
            (received_ns - (index + 1) * box.low_ns, across(counts, seen, box.limit, index)),
        ):
            until = min(high_ns, until_ns)
            after += [((since, until), received_ns, each) for each in found if since <= until]
    return after


FAMILY = LimiterFamily(
    "fixed windows, their phase a key's own",
    19,
    _FRESH,
    _advance,
    other="phases",
    special=frozenset({FIXED_WINDOW, CHAINED_WINDOW}),
)
