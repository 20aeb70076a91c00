"""Clients that retry at once: how an overload feeds itself."""

from dataclasses import dataclass, field
from typing import ClassVar

from rateproof.simulate.behaviour import FAILURES, Program
from rateproof.simulate.programs.arrivals import Exponential, Interval
from rateproof.simulate.programs.parameters import INTERVAL, Checked, count
from rateproof.simulate.programs.steps import (
    AGAIN,
    FRESH,
    RESUME,
    ask,
    compiled,
    forever,
    wait,
    while_,
)
from rateproof.units import SECOND_NS

__all__ = ["Storm"]


@dataclass(frozen=True, slots=True)
class Storm(Checked):
    """A closed user who repeats a request that was rejected or failed, without a pause.

    The more the server denies, the more it is asked. Source: Bronson et al.,
    "Metastable Failures in Distributed Systems" (HotOS 2021).

    Args:
        retries: how often a request is repeated at most, 1 to 10**6.
        pause: think time before each new request.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "storm"

    retries: int = count(10)
    pause: Interval = field(default=Exponential(SECOND_NS // 2), metadata=INTERVAL)

    def program(self) -> Program:
        """Next instant = end of the last answer, or + a draw of `pause`."""
        again = while_(FAILURES, self.retries, RESUME, AGAIN, ask())
        return compiled(forever(FRESH, wait(self.pause), ask(), again, RESUME))
