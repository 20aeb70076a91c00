"""The terms of a judgement: outcomes, claims, and what clocks may disagree on."""

from dataclasses import dataclass
from typing import Final

from rateproof.errors import InvalidArgument

__all__ = [
    "CLAIM_SETS",
    "CONSISTENT",
    "EXACT",
    "HEADERS",
    "INCONCLUSIVE",
    "MILLION",
    "OVER_ADMISSION",
    "UNTESTED",
    "VIOLATED",
    "WRONG_REJECTION",
    "Tolerance",
]

CONSISTENT: Final = "consistent"
VIOLATED: Final = "violated"
INCONCLUSIVE: Final = "inconclusive"
UNTESTED: Final = "untested"

OVER_ADMISSION: Final = "over-admission"
WRONG_REJECTION: Final = "wrong-rejection"
HEADERS: Final = "headers"

_LIMIT = frozenset({OVER_ADMISSION, WRONG_REJECTION})

CLAIM_SETS: Final = {
    OVER_ADMISSION: frozenset({OVER_ADMISSION}),
    WRONG_REJECTION: frozenset({WRONG_REJECTION}),
    HEADERS: frozenset({HEADERS}),
    "limit": _LIMIT,
    "all": _LIMIT | {HEADERS},
}
"""Claims by name: one of them, those that the limit makes, or all."""


MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The most that the limiter's clock may differ from the clock of the log.

    Args:
        ppm: how far either clock's rate may be off as the other measures it,
            in parts per million, 0 or more and below a million.
        granularity_ns: the step of the limiter's clock, 0 if it is as fine as
            the log's; 1,000,000 for nginx and HAProxy, which count whole ms.

    Raises:
        InvalidArgument: a value out of these bounds.
    """

    ppm: int = 500
    granularity_ns: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.ppm < MILLION:
            raise InvalidArgument(f"tolerance {self.ppm} ppm", "0 or more, below 1000000 ppm")
        if not 0 <= self.granularity_ns < 2**61:
            raise InvalidArgument(f"granularity {self.granularity_ns} ns", "0 or more nanoseconds")

    def at_most_ns(self, window_ns: int) -> int:
        """The longest that the limiter's `window_ns` can last on the log's clock.

        W/(1-rho) and not W*(1+rho): it is the larger of the two, so it is safe
        whichever of the clocks rho was measured against.
        """
        rate = MILLION - self.ppm
        return -(-window_ns * MILLION // rate) + self.granularity_ns


EXACT = Tolerance(ppm=0)
"""One clock, read to the nanosecond."""
