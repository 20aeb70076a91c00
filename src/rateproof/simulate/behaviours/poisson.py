"""Open arrivals at random: many independent users behind one identity."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from rateproof.simulate.arrivals import Exponential
from rateproof.simulate.behaviours.base import Plan
from rateproof.simulate.checks import check_duration
from rateproof.units import SECOND_NS

__all__ = ["Poisson"]


@dataclass(frozen=True, slots=True)
class Poisson:
    """A Poisson process: exponential gaps, whatever the server does.

    Source: the open system model of Schroeder, Wierman and Harchol-Balter,
    "Open Versus Closed: A Cautionary Tale" (NSDI 2006).

    Args:
        mean_interval_ns: the mean gap between intended instants; the rate is
            its inverse.
    """

    name: ClassVar[str] = "poisson"

    mean_interval_ns: int = SECOND_NS // 2

    def __post_init__(self) -> None:
        check_duration("mean_interval_ns", self.mean_interval_ns)

    def plan(self, rng: Random) -> Plan:
        """Next instant = previous intended instant + an exponential gap."""
        gaps = Exponential(self.mean_interval_ns)
        intended_ns = 0
        while True:
            intended_ns += gaps.draw(rng)
            yield intended_ns
