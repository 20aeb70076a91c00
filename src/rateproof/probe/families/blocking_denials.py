"""A sliding log in which a denial blocks the key for a time of its own."""

from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.probe.families.sliding_log import log
from rateproof.probe.family import NEVER, Advance, LimiterFamily, State
from rateproof.probe.seen import Box, Seen


def _blocking(advance: Advance, *, extended: bool) -> Advance:
    """The state: that of the limiter, and between which instants the block ends."""

    def blocked(state: State, seen: Seen, box: Box) -> list[State] | None:
        of_limiter, low_ns, high_ns = state
        until = seen.sent_ns + box.other_low_ns, seen.received_ns + box.other_high_ns
        if seen.received_ns - seen.sent_ns >= box.other_low_ns:  # several blocks may have ended
            maybe = seen._replace(denied=0) if seen.sent_ns < high_ns else seen
            ends = until if seen.denied else (low_ns, high_ns)
            return [(each, *ends) for each in advance(of_limiter, maybe, box) or ()]
        found: list[State] = []
        if not seen.admitted and seen.sent_ns < high_ns:
            found.append((of_limiter, *(until if extended else (low_ns, high_ns))))
        if low_ns <= seen.received_ns:
            after = advance(of_limiter, seen, box)
            if after is None:
                return None
            ends = until if seen.denied else (low_ns, high_ns)
            found += [(each, *ends) for each in after]
            if seen.admitted and seen.denied and not extended and seen.sent_ns < high_ns:
                # Some were denied by the block, which ended before the others came.
                after = advance(of_limiter, seen._replace(denied=0), box) or []
                found += [(each, low_ns, high_ns) for each in after]
        return found

    return blocked


FAMILIES = tuple(
    LimiterFamily(
        f"{SLIDING_LOG.name}, a denial blocks{', and more of them extend that' if extended else ''}",
        15 + extended,
        ((), NEVER, NEVER),
        _blocking(log(counts_denied=False), extended=extended),
        other="block",
    )
    for extended in (False, True)
)
