"""Clients that retry at once: how an overload feeds itself."""

from dataclasses import dataclass, field
from typing import ClassVar

from rateproof.simulate.behaviour import FAILURES
from rateproof.simulate.programs import steps
from rateproof.simulate.programs.arrivals import Exponential, Interval
from rateproof.simulate.programs.parameters import INTERVAL, Checked, count
from rateproof.simulate.programs.program import Program
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Storm(Checked):
    """A closed user who repeats a request that was rejected or failed, without a pause.

    The more the server denies, the more it is asked. Source: Bronson et al.,
    "Metastable Failures in Distributed Systems" (HotOS 2021).

    Args:
        retries: how often a request is repeated at most, 1 to 10**6.
        pause: think time before each new request.
    """

    name: ClassVar[str] = "storm"

    retries: int = count(10)
    pause: Interval = field(default=Exponential(SECOND_NS // 2), metadata=INTERVAL)

    def program(self) -> Program:
        """Next instant = end of the last answer, or + a draw of `pause`."""
        again = steps.while_(FAILURES, self.retries, steps.RESUME, steps.AGAIN, steps.ask())
        return steps.compiled(
            steps.forever(steps.FRESH, steps.wait(self.pause), steps.ask(), again, steps.RESUME)
        )
