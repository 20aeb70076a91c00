"""At most N admissions in any window of length W."""

from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.probe.family import Advance, LimiterFamily, State
from rateproof.probe.seen import Box, Seen

__all__ = ["FAMILY", "log"]


def log(*, counts_denied: bool) -> Advance:
    """At most N counted requests in any window: of the last N the first must be W ago."""

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        sent_ns, received_ns, admitted = seen
        full = len(state) == box.limit
        if admitted:
            if full and state[0][0] + box.low_ns > received_ns:
                return []
        elif not full or state[0][1] + box.high_ns < sent_ns:
            return []
        if not admitted and not counts_denied:
            return [state]
        return [(*(state[1:] if full else state), (sent_ns, received_ns))]

    return advance


FAMILY = LimiterFamily(SLIDING_LOG, 0, (), log(counts_denied=False))
