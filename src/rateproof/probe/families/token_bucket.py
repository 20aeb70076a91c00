"""Tokens that come back one in a time, up to a burst."""

from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.family import NEVER, LimiterFamily, State
from rateproof.probe.seen import Box, Seen

__all__ = ["FAMILY"]


def _advance(state: State, seen: Seen, box: Box) -> list[State]:
    """Tokens come back one in a time, as the instant at which the bucket is full again."""
    full_low_ns, full_high_ns = state
    sent_ns, received_ns, admitted = seen
    spare = box.limit - 1
    if admitted:
        if full_low_ns > received_ns + spare * box.high_ns:
            return []
        low_ns = max(full_low_ns, sent_ns) + box.low_ns
        high_ns = max(full_high_ns, received_ns) + box.high_ns
        return [(low_ns, max(low_ns, min(high_ns, received_ns + box.limit * box.high_ns)))]
    if full_high_ns < sent_ns + spare * box.low_ns:
        return []
    return [(max(full_low_ns, sent_ns + spare * box.low_ns), full_high_ns)]


FAMILY = LimiterFamily(
    TOKEN_BUCKET,
    2,
    (NEVER, NEVER),
    _advance,
    alike="token bucket, GCRA and leaky meter are one",
)
