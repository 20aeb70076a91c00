"""A window of equal blocks on a clock: all of a block is forgotten at once."""

from rateproof.probe.families.fixed_window import EMPTY, blocks
from rateproof.probe.family import LimiterFamily

FAMILIES = tuple(
    LimiterFamily(
        f"blocks of 1/{number}", 20 + number, EMPTY, blocks(number), other="phase", number=number
    )
    for number in (2, 3, 4)
)
