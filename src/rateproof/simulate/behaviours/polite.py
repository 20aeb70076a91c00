"""Clients that do what Retry-After asks."""

from dataclasses import dataclass, field
from typing import ClassVar

from rateproof.events import REJECTED
from rateproof.simulate.programs.arrivals import Exponential, Interval
from rateproof.simulate.programs.parameters import INTERVAL, Checked
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import RESUME, ask, compiled, forever, honour, wait, when
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Polite(Checked):
    """A closed user who waits out a rejection before trying again.

    A server that is honest about Retry-After rejects such a client once at
    most in a row. Source: RFC 9110, section 10.2.3.

    Args:
        pause: think time after any other answer, and after a rejection that
            says nothing of when to return.
    """

    name: ClassVar[str] = "polite"

    pause: Interval = field(default=Exponential(SECOND_NS // 2), metadata=INTERVAL)

    def program(self) -> Program:
        """Next instant = end of the last answer + Retry-After, or + one draw of `pause`."""
        think = wait(self.pause)
        after = when(frozenset({REJECTED}), honour(self.pause), RESUME + think)
        return compiled(think, forever(ask(), after))
