"""N in each window of a clock, each key at a phase of its own.

It explains so much that it is looked at only once nothing else explains all answers.
"""

from collections.abc import Iterator
from itertools import islice

from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.probe.family import NEVER, LimiterFamily, State
from rateproof.probe.seen import Box, Seen

_MOST_EDGES = 3  # at which a volley may be: else the phase is looked for anew


def _advance(state: State, seen: Seen, box: Box) -> list[State]:
    """The state: between which instants the window ends that runs, and bounds of its count."""
    low_ns, high_ns, least, most = state
    sent_ns, received_ns, admitted, denied = seen
    limit = box.limit
    if received_ns - sent_ns >= box.low_ns:
        return [(sent_ns, received_ns + box.high_ns, 0, limit)]
    after: list[State] = []
    if sent_ns < high_ns and least + admitted <= limit and (not denied or most + admitted >= limit):
        count = (limit, limit) if denied else (least + admitted, min(limit, most + admitted))
        after.append((max(low_ns, sent_ns), high_ns, *count))
    edges = [*islice(_edges(state, seen, box), _MOST_EDGES + 1)]
    if len(edges) > _MOST_EDGES:
        return [(sent_ns, received_ns + box.high_ns, 0, limit)]
    for first_ns, last_ns, of_next in edges:
        until_ns = max(sent_ns, first_ns + box.low_ns), last_ns + box.high_ns
        if until_ns[0] <= until_ns[1] and admitted <= limit and (not denied or admitted == limit):
            after.append((*until_ns, admitted, admitted))
        room = limit - least if of_next else limit
        full = admitted >= limit or (of_next and most + admitted >= limit)
        if (
            last_ns >= sent_ns
            and received_ns > sent_ns
            and admitted + denied > 1
            and admitted <= room + limit
            and (not denied or full)
        ):
            begun = max(0, admitted - room), min(admitted, limit)
            after.append((max(sent_ns, first_ns) + box.low_ns, last_ns + box.high_ns, *begun))
    return after


def _edges(state: State, seen: Seen, box: Box) -> Iterator[tuple[int, int, bool]]:
    """The bounds of each edge that may be the last one before a volley, or in it, and if the window that runs ends there."""
    low_ns, high_ns, *_ = state
    if low_ns == NEVER:  # a key never seen
        yield seen.sent_ns - box.high_ns, seen.received_ns, True
        return
    of_next = True
    while low_ns <= seen.received_ns:
        if high_ns + box.high_ns > seen.sent_ns:
            yield low_ns, min(high_ns, seen.received_ns), of_next
        low_ns, high_ns, of_next = low_ns + box.low_ns, high_ns + box.high_ns, False


FAMILY = LimiterFamily(
    FIXED_WINDOW,
    29,
    (NEVER, NEVER, 0, 0),
    _advance,
    apart="each key at a phase of its own",
    other="own phase",
    forgets=False,
)
