"""N in a window that the first request opens."""

from rateproof.policy.first_hit_window import FIRST_HIT_WINDOW
from rateproof.probe.family import Advance, LimiterFamily, State
from rateproof.probe.seen import Box, Seen


def opened(*, by_admitted: bool = False, by_denied: bool = False) -> Advance:
    """N in a window that the first request opens, and later ones may push on.

    The state: between which instants it was opened, and bounds of its count.
    """

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        low_ns, high_ns, least, most = state
        sent_ns, received_ns, admitted, denied = seen
        limit = box.limit
        going_on = most > 0 and sent_ns < high_ns + box.high_ns
        if denied and admitted + going_on * most < limit:
            return []
        if received_ns - sent_ns >= box.low_ns:
            return _long(state, seen, limit, going_on=going_on)
        after: list[State] = []
        if going_on and least + admitted <= limit and (not denied or most + admitted >= limit):
            count = (limit, limit) if denied else (least + admitted, min(limit, most + admitted))
            if (by_admitted and admitted) or (by_denied and denied):
                after.append((sent_ns, received_ns, *count))
            else:
                after.append((max(low_ns, sent_ns - box.high_ns), high_ns, *count))
        begins_ns = max(sent_ns, low_ns + box.low_ns) if most else sent_ns
        if not admitted or begins_ns > received_ns:
            return after
        if admitted <= limit and (not denied or admitted == limit):
            after.append((begins_ns, received_ns, admitted, admitted))
        if going_on and admitted + denied > 1:  # some of it before the new window, some in it
            begun = max(1, admitted - (limit - least))
            full = most + admitted > limit or admitted >= limit
            if begun <= limit and (not denied or full):
                after.append((begins_ns, received_ns, begun, min(admitted, limit)))
        return after

    return advance


def _long(state: State, seen: Seen, limit: int, *, going_on: bool) -> list[State]:
    """The states after a volley that is longer than a window: several may have been opened in it."""
    low_ns, _, least, most = state
    after: list[State] = []
    if going_on:
        after.append((low_ns, seen.received_ns, least, min(limit, most + seen.admitted)))
    if seen.admitted:
        after.append((seen.sent_ns, seen.received_ns, 1, min(limit, seen.admitted)))
    return after


FAMILY = LimiterFamily(FIRST_HIT_WINDOW, 1, (0, 0, 0, 0), opened())
