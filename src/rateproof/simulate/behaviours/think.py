"""Closed users: send, wait for the answer, think, send again."""

from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from rateproof.simulate.arrivals import Exponential, Interval
from rateproof.simulate.behaviours.base import Plan
from rateproof.units import SECOND_NS

__all__ = ["Think"]


@dataclass(frozen=True, slots=True)
class Think:
    """A user who pauses between an answer and the next request.

    The load adapts to the server: a slow answer delays the next request.
    Source: the closed system model of Schroeder, Wierman and Harchol-Balter,
    "Open Versus Closed: A Cautionary Tale" (NSDI 2006).

    Args:
        pause: the distribution of think time; also of the first request's
            instant, so that clients do not start in step.
    """

    name: ClassVar[str] = "think"

    pause: Interval = field(default_factory=lambda: Exponential(SECOND_NS // 2))

    def plan(self, rng: Random) -> Plan:
        """Next instant = end of the last answer + one draw of `pause`."""
        free_ns = 0
        while True:
            answer = yield free_ns + self.pause.draw(rng)
            free_ns = answer.done_ns
