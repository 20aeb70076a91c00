"""N in each window of a clock, the first of them later where the one before was full.

As of a counter that holds the greater of two counts against its limit: that of the window, and that
of the one before by the part that overlaps.
"""

from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.probe.families.sliding_counter import EMPTY, counter
from rateproof.probe.family import LimiterFamily

FAMILY = LimiterFamily(
    FIXED_WINDOW,
    25,
    EMPTY,
    counter(max),
    apart="a full one puts off the next",
    alike="a window that begins later by its N-th part if the one before was full, and the greater of "
    "two counts, that of a window and that of the one before by the part that overlaps, are one",
    other="phase",
    carries=True,
)
