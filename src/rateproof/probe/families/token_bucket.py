"""Tokens that come back one in a time, up to a burst."""

from collections.abc import Iterator

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
        if not admitted and not denied:
            return [state]
        if empty and state[1] == NEVER:
            if not admitted:
                return []
            state = box.limit - 1, sent_ns, received_ns
        return [*_full(state, seen, box), *_lacking(state, seen, box)]

    return advance


def _full(state: State, seen: Seen, box: Box) -> Iterator[State]:
    """The state after a volley at one of whose admissions it was full."""
    sent_ns, received_ns, admitted, denied = seen
    limit, least_ns, most_ns, *_ = box
    taken, low_ns, high_ns = state
    first_ns = max(sent_ns, low_ns + taken * least_ns)
    beyond_ns = max(0, admitted - limit) * least_ns
    if not admitted or first_ns + beyond_ns > received_ns:
        return
    if denied and admitted < limit:  # who was denied came before it was full
        lacking = taken + admitted - limit + 1
        lacked_ns = high_ns + lacking * (most_ns if lacking > 0 else least_ns)
        if lacked_ns <= sent_ns or received_ns - sent_ns < (limit - 1) * least_ns:
            return
    yield admitted, first_ns, received_ns - beyond_ns


def _lacking(state: State, seen: Seen, box: Box) -> Iterator[State]:
    """The state after a volley at none of whose requests it was full."""
    sent_ns, received_ns, admitted, denied = seen
    limit, least_ns, most_ns, *_ = box
    taken, low_ns, high_ns = state
    if high_ns + taken * most_ns <= sent_ns:
        return
    low_ns = max(low_ns, sent_ns - taken * most_ns)
    lacking = taken + admitted - limit  # when the last of them came
    if admitted:
        high_ns = min(high_ns, received_ns - lacking * (least_ns if lacking > 0 else most_ns))
    lacking += 1
    if denied:
        low_ns = max(low_ns, sent_ns - lacking * (most_ns if lacking > 0 else least_ns) + 1)
    if low_ns <= high_ns:
        yield taken + admitted, low_ns, high_ns


FAMILY = LimiterFamily(
    TOKEN_BUCKET,
    2,
    FULL,
    bucket(empty=False),
    alike="token bucket, GCRA and leaky meter are one",
)
