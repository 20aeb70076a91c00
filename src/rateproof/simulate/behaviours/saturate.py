"""Closed users without think time: as fast as the answers come."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from rateproof.events import UNKNOWN
from rateproof.simulate.behaviours.base import Plan
from rateproof.simulate.checks import check_duration

__all__ = ["Saturate"]


@dataclass(frozen=True, slots=True)
class Saturate:
    """A client that always has one request in flight.

    Long saturation is what makes a shortened window provable: m*N + 1
    admissions take m windows.

    Args:
        failure_pause_ns: pause after a request without a clear outcome, so
            that a server that is down is not asked thousands of times a second.
    """

    name: ClassVar[str] = "saturate"

    failure_pause_ns: int = 100_000_000

    def __post_init__(self) -> None:
        check_duration("failure_pause_ns", self.failure_pause_ns, low=0)

    def plan(self, rng: Random) -> Plan:  # noqa: ARG002 - nothing here is random
        """Next instant = end of the last answer."""
        next_ns = 0
        while True:
            answer = yield next_ns
            next_ns = answer.done_ns
            if answer.outcome == UNKNOWN:
                next_ns += self.failure_pause_ns
