"""Windows that follow each other from the first request of a key on."""

from rateproof.probe.families.fixed_window import counted
from rateproof.probe.family import LimiterFamily, State, indices
from rateproof.probe.seen import Box, Seen

__all__ = ["FAMILY"]


def _advance(state: State, seen: Seen, box: Box) -> list[State] | None:
    """The state: between which instants the first window began, and the counts."""
    begun, counts = state
    if begun is None:
        if seen.received_ns - seen.sent_ns >= box.low_ns:
            return None
        begun = seen.sent_ns, seen.received_ns
        windows = 0, 0
    else:
        windows = indices(seen, box.low_ns, box.high_ns, *begun)
    if counts is None:
        return None
    return [(begun, after) for after in counted(counts, seen, box.limit, windows)]


FAMILY = LimiterFamily(
    "windows that follow each other from the first request",
    11,
    (None, ()),
    _advance,
    forgets=False,
)
