"""Clients that do what Retry-After asks."""

from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from rateproof.events import REJECTED
from rateproof.simulate.arrivals import Exponential, Interval
from rateproof.simulate.behaviours.base import Plan
from rateproof.units import SECOND_NS

__all__ = ["Polite"]


@dataclass(frozen=True, slots=True)
class Polite:
    """A closed user who waits out a rejection before trying again.

    A server that is honest about Retry-After rejects such a client once at
    most in a row. Source: RFC 9110, section 10.2.3.

    Args:
        pause: think time after any other answer, and after a rejection that
            says nothing of when to return.
    """

    name: ClassVar[str] = "polite"

    pause: Interval = field(default_factory=lambda: Exponential(SECOND_NS // 2))

    def plan(self, rng: Random) -> Plan:
        """Next instant = end of the last answer + Retry-After, or + one draw of `pause`."""
        next_ns = self.pause.draw(rng)
        while True:
            answer = yield next_ns
            if answer.outcome == REJECTED and answer.retry_after_ns is not None:
                next_ns = answer.done_ns + answer.retry_after_ns
            else:
                next_ns = answer.done_ns + self.pause.draw(rng)
