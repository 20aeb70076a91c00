"""Closed users: send, wait for the answer, think, send again."""

from dataclasses import dataclass, field
from typing import ClassVar

from rateproof.simulate.programs.arrivals import Exponential, Interval
from rateproof.simulate.programs.parameters import INTERVAL, Checked
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import RESUME, ask, compiled, forever, wait
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Think(Checked):
    """A user who pauses between an answer and the next request.

    The load adapts to the server: a slow answer delays the next request.
    Source: the closed system model of Schroeder, Wierman and Harchol-Balter,
    "Open Versus Closed: A Cautionary Tale" (NSDI 2006).

    Args:
        pause: the distribution of think time; also of the first request's
            instant, so that clients do not start in step.
    """

    name: ClassVar[str] = "think"

    pause: Interval = field(default=Exponential(SECOND_NS // 2), metadata=INTERVAL)

    def program(self) -> Program:
        """Next instant = end of the last answer + one draw of `pause`."""
        return compiled(forever(wait(self.pause), ask(), RESUME))
