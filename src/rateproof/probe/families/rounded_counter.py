"""A sliding counter that rounds the weighted count of the window before down."""

from rateproof.policy.sliding_counter import SLIDING_COUNTER
from rateproof.probe.families.sliding_counter import EMPTY, counter
from rateproof.probe.family import LimiterFamily

__all__ = ["FAMILY"]

FAMILY = LimiterFamily(
    SLIDING_COUNTER, 5, EMPTY, counter(floor=True), apart="its weight rounded down", other="phase"
)
