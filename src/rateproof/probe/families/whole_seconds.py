"""Limiters whose clock ticks once a second: they see the instant of the last tick."""

from rateproof.policy.first_hit_window import FIRST_HIT_WINDOW
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.probe.families.first_hit_window import opened
from rateproof.probe.families.sliding_log import log
from rateproof.probe.families.token_bucket import FULL, bucket
from rateproof.probe.family import Advance, LimiterFamily, State
from rateproof.probe.seen import Box, Seen
from rateproof.units import SECOND_NS


def _ticking(advance: Advance) -> Advance:
    """The state: the tick of the last denial, None if not known, and that of the limiter."""

    def ticked(state: State, seen: Seen, box: Box) -> list[State] | None:
        denied_in, of_limiter = state
        first = (seen.sent_ns - box.other_high_ns) // SECOND_NS
        last = (seen.received_ns - box.other_low_ns) // SECOND_NS
        if seen.admitted and first == last == denied_in:
            return []  # within a tick nothing comes back
        tick = first if first == last else None
        if not seen.denied:
            tick = denied_in
        at_ticks = Seen(first * SECOND_NS, last * SECOND_NS, seen.admitted, seen.denied)
        after = advance(of_limiter, at_ticks, box)
        return after and [(tick, each) for each in after]

    return ticked


_APART = "its clock in whole seconds"

FAMILIES = (
    LimiterFamily(
        SLIDING_LOG, 12, (None, ()), _ticking(log(counts_denied=False)), apart=_APART, other="tick"
    ),
    LimiterFamily(
        FIRST_HIT_WINDOW, 13, (None, (0, 0, 0, 0)), _ticking(opened()), apart=_APART, other="tick"
    ),
    LimiterFamily(
        TOKEN_BUCKET,
        14,
        (None, FULL),
        _ticking(bucket(empty=False)),
        apart=_APART,
        other="tick",
    ),
)
