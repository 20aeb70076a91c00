"""A sliding counter that rounds the weighted count of the window before."""

from rateproof.policy.sliding_counter import SLIDING_COUNTER
from rateproof.probe.families.sliding_counter import EMPTY, counter
from rateproof.probe.family import Advance, LimiterFamily


def _rounding(added: float) -> Advance:
    """Round down once so much was added."""
    return counter(lambda before, own: int(before + added) + own)


FAMILIES = tuple(
    LimiterFamily(
        SLIDING_COUNTER,
        rank,
        EMPTY,
        _rounding(added),
        apart=f"its weight {apart}",
        other="phase",
        carries=True,
    )
    for rank, added, apart in ((5, 0.0, "rounded down"), (18, 0.5, "rounded to the nearest"))
)
