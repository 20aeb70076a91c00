"""Open arrivals at random: many independent users behind one identity."""

from dataclasses import dataclass
from typing import ClassVar

from rateproof.simulate.programs.arrivals import Exponential
from rateproof.simulate.programs.parameters import Checked, duration
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import ask, compiled, forever, wait
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Poisson(Checked):
    """A Poisson process: exponential gaps, whatever the server does.

    Source: the open system model of Schroeder, Wierman and Harchol-Balter,
    "Open Versus Closed: A Cautionary Tale" (NSDI 2006).

    Args:
        mean_interval_ns: the mean gap between intended instants; the rate is
            its inverse.
    """

    name: ClassVar[str] = "poisson"

    mean_interval_ns: int = duration(SECOND_NS // 2)

    def program(self) -> Program:
        """Next instant = previous intended instant + an exponential gap."""
        return compiled(forever(wait(Exponential(self.mean_interval_ns)), ask()))
