"""Fixed windows: no window takes more than N."""

from collections.abc import Iterator

from rateproof.clock import Interval
from rateproof.prove.over_admission.phases import (
    ClockLimiter,
    Family,
    Found,
    Readings,
    Stuck,
    Work,
    each_piece,
    overfull,
)


def search(jobs: list[Interval], family: Family, budget: int) -> Iterator[Found]:
    """Look for jobs, by sending time, that fit no windows of any phase."""
    return each_piece(jobs, family, budget, _fits, restarts=False)


def harmless(family: Family, span_ns: int) -> int:
    """So many jobs always fit, if they were all sent and received within this span."""
    if span_ns < family.least_ns and family.widening_ns:  # so that no interval is an instant
        # Let a window begin as the (N+1)-th to end does: N at most ended before that, and may lie
        # in the window before it, as may any that ends just then; of 2N jobs N at most are left.
        return 2 * family.limit
    return family.limit


def _fits(readings: Readings, family: Family, phase: int, _: Work) -> Stuck | None:
    return overfull(readings, family.limit, family.window_ns, phase)


limiter = ClockLimiter
