"""Clients that take their time to say what they want."""

from dataclasses import dataclass, field
from typing import ClassVar

from rateproof.simulate.programs.arrivals import Exponential, Interval
from rateproof.simulate.programs.parameters import INTERVAL, Checked, duration
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import RESUME, ask, compiled, forever, wait
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Drip(Checked):
    """A closed user whose request header trickles in, byte by byte.

    It holds a connection, and a worker of a server that reads with one thread
    each, while the limiter has nothing to count yet. Source: Hansen, "Slowloris
    HTTP DoS" (2009).

    Args:
        over_ns: from the first byte of the header to its last, 1 ns to 1 h.
        pause: between an answer and the next request, and before the first.
    """

    name: ClassVar[str] = "drip"

    over_ns: int = duration(2 * SECOND_NS, high=3_600 * SECOND_NS)
    pause: Interval = field(default=Exponential(SECOND_NS // 2), metadata=INTERVAL)

    def program(self) -> Program:
        """Next instant = end of the last answer + a draw of `pause`."""
        return compiled(forever(wait(self.pause), ask(self.over_ns), RESUME))
