"""Windows that follow each other from the first request of a key on."""

from rateproof.probe.families.fixed_window import counted
from rateproof.probe.family import NEVER, LimiterFamily, State, indices
from rateproof.probe.seen import Box, Seen


def _advance(state: State, seen: Seen, box: Box) -> list[State]:
    """The state: when the first window began, the last admission, and the counts; None if not known."""
    begun, last_ns, counts = state
    if seen.sent_ns > last_ns + box.high_ns:  # nothing that was admitted counts any more
        if seen.denied and seen.admitted < box.limit:
            return []
        counts = ()
    last_ns = seen.received_ns if seen.admitted else last_ns
    if begun is None:
        begun = seen.sent_ns, seen.received_ns
        long = seen.received_ns - seen.sent_ns >= box.low_ns
        windows = (0, 2) if long else (0, 0)
    else:
        windows = indices(seen, box.low_ns, box.high_ns, *begun)
    if counts is None:
        return [(begun, last_ns, None)]
    return [(begun, last_ns, after) for after in counted(counts, seen, box.limit, windows)]


FAMILY = LimiterFamily(
    "windows that follow each other from the first request",
    11,
    (None, NEVER, ()),
    _advance,
    forgets=False,
)
