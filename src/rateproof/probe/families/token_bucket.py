"""Tokens that come back one in a time, up to a burst."""

from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.family import NEVER, Advance, LimiterFamily, State
from rateproof.probe.seen import Box, Seen

FULL = (0, NEVER, NEVER)
"""Nothing taken since ever."""


def bucket(*, empty: bool) -> Advance:
    """Tokens come back one in a time; all are back so many times after an instant.

    The state: how many were taken since the bucket was last full, and the bounds of when it
    was. So a bound on the time of one token is as close as all of them together allow.

    Args:
        empty: a fresh key has one token, and all only after it was left alone.
    """

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        sent_ns, received_ns, admitted, denied = seen
        limit, least_ns, most_ns, *_ = box
        taken, low_ns, high_ns = state
        if not admitted and not denied:
            return [state]
        if empty and low_ns == NEVER:
            if not admitted:
                return []
            taken, low_ns, high_ns = limit - 1, sent_ns, received_ns
        after: list[State] = []
        lacking = taken + admitted - limit  # when the last of them came
        first_ns = max(sent_ns, low_ns + taken * least_ns)
        if admitted and first_ns <= received_ns:  # it was full at one of them
            beyond_ns = max(0, admitted - limit) * least_ns
            # Less than all were admitted: who was denied came before it was full.
            before = high_ns + (lacking + 1) * (most_ns if lacking >= 0 else least_ns) > sent_ns
            before = before and received_ns - sent_ns >= (limit - 1) * least_ns
            if first_ns + beyond_ns <= received_ns and (not denied or admitted >= limit or before):
                after.append((admitted, first_ns, received_ns - beyond_ns))
        if high_ns + taken * most_ns > sent_ns:  # it was not
            low_ns = max(low_ns, sent_ns - taken * most_ns)
            if admitted:
                part_ns = lacking * (least_ns if lacking > 0 else most_ns)
                high_ns = min(high_ns, received_ns - part_ns)
            if denied:
                part_ns = (lacking + 1) * (most_ns if lacking >= 0 else least_ns)
                low_ns = max(low_ns, sent_ns - part_ns + 1)
            if low_ns <= high_ns:
                after.append((taken + admitted, low_ns, high_ns))
        return after

    return advance


FAMILY = LimiterFamily(
    TOKEN_BUCKET,
    2,
    FULL,
    bucket(empty=False),
    alike="token bucket, GCRA and leaky meter are one",
)
