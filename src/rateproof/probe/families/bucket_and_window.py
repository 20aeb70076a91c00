"""A token bucket and a sliding log together: each must have room.

It explains so much that it is looked at only once nothing else explains all answers, and is
never named.
"""

from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.families.token_bucket import FULL, bucket
from rateproof.probe.family import LimiterFamily, State
from rateproof.probe.seen import Box, Seen

_BUCKET = bucket(empty=False)


def _advance(state: State, seen: Seen, box: Box) -> list[State]:
    """The state: that of the bucket, and the admissions that may count in the window, in runs."""
    of_bucket, runs = state
    sent_ns, received_ns, admitted, denied = seen
    kept = [run for run in runs if run[1] + box.other_high_ns > sent_ns]
    least = sum(count for early_ns, _, count in kept if early_ns + box.other_low_ns > received_ns)
    most = sum(count for *_, count in kept)
    within = received_ns - sent_ns < box.other_low_ns
    if admitted and within and least + admitted > box.second_high:
        return []
    after = list(_BUCKET(of_bucket, seen, box) or ())
    if denied and most + admitted >= box.second_low:  # by the window: the bucket loses nothing
        after += _BUCKET(of_bucket, seen._replace(denied=0), box) or ()
    if admitted:
        kept.append((sent_ns, received_ns, admitted))
    return [(each, tuple(kept)) for each in dict.fromkeys(after)]


FAMILY = LimiterFamily(
    TOKEN_BUCKET,
    30,
    (FULL, ()),
    _advance,
    apart="and a window beside it",
    other="window",
)
