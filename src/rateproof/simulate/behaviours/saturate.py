"""Closed users without think time: as fast as the answers come."""

from dataclasses import dataclass
from typing import ClassVar

from rateproof.events import UNKNOWN
from rateproof.simulate.programs.arrivals import Fixed
from rateproof.simulate.programs.parameters import Checked, duration
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import RESUME, ask, compiled, forever, wait, when


@dataclass(frozen=True, slots=True)
class Saturate(Checked):
    """A client that always has one request in flight.

    Long saturation is what makes a shortened window provable: m*N + 1
    admissions take m windows.

    Args:
        failure_pause_ns: pause after a request without a clear outcome, so
            that a server that is down is not asked thousands of times a second.
    """

    name: ClassVar[str] = "saturate"

    failure_pause_ns: int = duration(100_000_000, low=0)

    def program(self) -> Program:
        """Next instant = end of the last answer."""
        round_ = ask() + RESUME
        if self.failure_pause_ns:
            round_ += when(frozenset({UNKNOWN}), wait(Fixed(self.failure_pause_ns)))
        return compiled(forever(round_))
