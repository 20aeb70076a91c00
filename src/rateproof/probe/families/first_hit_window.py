"""N in a window that the first request opens."""

from rateproof.policy.first_hit_window import FIRST_HIT_WINDOW
from rateproof.probe.family import Advance, LimiterFamily, State
from rateproof.probe.seen import Box, Seen

__all__ = ["FAMILY", "opened"]


def opened(*, pushed: bool, by_denied: bool = False) -> Advance:
    """N in a window that the first request opens, and each later one may push on."""

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        low_ns, high_ns, count = state
        sent_ns, received_ns, admitted = seen
        after: list[State] = []
        if count and sent_ns < high_ns + box.high_ns and admitted == (count < box.limit):
            if pushed and (admitted or by_denied):
                after.append((sent_ns, received_ns, count + admitted))
            else:
                after.append((max(low_ns, sent_ns - box.high_ns), high_ns, count + admitted))
        if admitted and (not count or received_ns >= low_ns + box.low_ns):
            opened_ns = max(sent_ns, low_ns + box.low_ns) if count else sent_ns
            after.append((opened_ns, received_ns, 1))
        return after

    return advance


FAMILY = LimiterFamily(FIRST_HIT_WINDOW, 1, (0, 0, 0), opened(pushed=False))
