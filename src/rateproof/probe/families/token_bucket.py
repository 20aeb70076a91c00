"""Tokens that come back one in a time, up to a burst."""

from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.family import NEVER, Advance, LimiterFamily, State
from rateproof.probe.seen import Box, Seen


def bucket(*, empty: bool) -> Advance:
    """Tokens come back one in a time; the state bounds the instant at which all are back.

    Args:
        empty: a fresh key has one token, and all only after it was left alone.
    """

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        full_low_ns, full_high_ns = state
        sent_ns, received_ns, admitted, denied = seen
        spare = box.limit - 1
        if empty and full_low_ns == NEVER:
            if not admitted:
                return []
            full_low_ns = sent_ns + spare * box.low_ns
            full_high_ns = received_ns + spare * box.high_ns
        low_ns, high_ns = full_low_ns, full_high_ns
        if admitted:
            # The last of them had a token: the burst less those before it in the volley.
            beyond = admitted - 1 - spare
            least_ns = beyond * (box.low_ns if beyond > 0 else box.high_ns)
            if max(full_low_ns, sent_ns) + least_ns > received_ns:
                return []
            low_ns = max(full_low_ns, sent_ns) + admitted * box.low_ns
            high_ns = max(full_high_ns, received_ns) + admitted * box.high_ns
            high_ns = max(low_ns, min(high_ns, received_ns + box.limit * box.high_ns))
        if denied:
            # A full bucket has the burst for the volley; one that was not lacked what it lacked before.
            lacked_ns = full_high_ns + admitted * box.high_ns
            if admitted <= spare and lacked_ns <= sent_ns + spare * box.low_ns:
                return []
            low_ns = max(low_ns, sent_ns + spare * box.low_ns)
            high_ns = max(low_ns, high_ns)
        return [(low_ns, high_ns)]

    return advance


FAMILY = LimiterFamily(
    TOKEN_BUCKET,
    2,
    (NEVER, NEVER),
    bucket(empty=False),
    alike="token bucket, GCRA and leaky meter are one",
)
