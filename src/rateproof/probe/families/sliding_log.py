"""At most N admissions in any window of length W."""

from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.probe.family import Advance, LimiterFamily, State
from rateproof.probe.seen import Box, Seen


def log(*, counts_denied: bool) -> Advance:
    """At most N counted requests in any window; the state is what was counted, in runs."""

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        sent_ns, received_ns, admitted, denied = seen
        kept = [run for run in state if run[1] + box.high_ns > sent_ns]
        if denied and sum(run[2] for run in kept) + admitted < box.limit:
            return []
        certain = sum(count for early_ns, _, count in state if early_ns + box.low_ns > received_ns)
        # Of a volley that is longer than the window some may be over before the rest of it.
        if certain + admitted > box.limit and admitted and received_ns - sent_ns < box.low_ns:
            return []
        counted = admitted + denied if counts_denied else admitted
        if counted:
            kept.append((sent_ns, received_ns, min(counted, box.limit)))
        return [_newest(kept, box.limit)]

    return advance


def _newest(runs: list[tuple[int, int, int]], limit: int) -> State:
    """The newest runs that hold the last `limit` requests; older ones cannot matter."""
    total = 0
    for number in range(len(runs) - 1, -1, -1):
        sent_ns, received_ns, count = runs[number]
        total += count
        if total >= limit:
            return ((sent_ns, received_ns, count - (total - limit)), *runs[number + 1 :])
    return tuple(runs)


FAMILY = LimiterFamily(SLIDING_LOG, 0, (), log(counts_denied=False))
