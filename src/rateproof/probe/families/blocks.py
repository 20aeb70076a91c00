"""A window of equal blocks on a clock: all of a block is forgotten at once.

Of our notation it is `sliding-blocks N per W blocks K` with K + 1 blocks: W is all but one.
"""

from rateproof.policy.sliding_blocks import SLIDING_BLOCKS
from rateproof.probe.families.fixed_window import EMPTY, blocks
from rateproof.probe.family import LimiterFamily

FAMILIES = tuple(
    LimiterFamily(SLIDING_BLOCKS, 20 + number, EMPTY, blocks(number), other="phase", number=number)
    for number in (2, 3, 4)
)
