"""On and off: several requests at once, then silence."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from rateproof.simulate.arrivals import Uniform
from rateproof.simulate.behaviours.base import Plan
from rateproof.simulate.checks import check_count, check_duration
from rateproof.units import SECOND_NS

__all__ = ["Burst"]


@dataclass(frozen=True, slots=True)
class Burst:
    """Bursts at equal distances from a random phase.

    One connection sends the requests of a burst one after the other. A *race*
    is a group with several connections for each client: every connection of
    a client has the same plan, so all of them release at the same instants.
    Source: the on/off source of Willinger et al., "Self-Similarity Through
    High-Variability" (SIGCOMM 1995), with constant periods.

    Args:
        requests: how many a connection sends in a burst, 1 to 10**6.
        every_ns: from the start of a burst to the start of the next.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "burst"

    requests: int = 6
    every_ns: int = 6 * SECOND_NS

    def __post_init__(self) -> None:
        check_count("requests", self.requests, 1, 1_000_000)
        check_duration("every_ns", self.every_ns)

    def plan(self, rng: Random) -> Plan:
        """`requests` times the same instant, then `every_ns` later again."""
        start_ns = Uniform(0, self.every_ns).draw(rng)
        while True:
            for _ in range(self.requests):
                yield start_ns
            start_ns += self.every_ns
