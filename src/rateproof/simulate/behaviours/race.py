"""Requests of one client, released together on all its connections."""

from dataclasses import dataclass
from typing import ClassVar, Self

from rateproof.policy import Quota
from rateproof.simulate.behaviour import beyond_window, rate_interval_ns
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.programs.parameters import Checked, duration
from rateproof.simulate.programs.program import Program
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Race(Checked):
    """One request on every connection at the same instant, again and again.

    A connection has one request in flight, so k requests race in a group with
    k connections for each client: all of them follow the same plan and release
    at the same instants. What counts up to a limit without a lock, or reads and
    writes in two steps, admits too many. Source: Kettle, "Smashing the State
    Machine" (Black Hat USA 2023), limit overruns.

    Args:
        every_ns: from one release to the next; the first has a random phase.
    """

    name: ClassVar[str] = "race"

    every_ns: int = duration(6 * SECOND_NS)

    @classmethod
    def against(cls, quota: Quota) -> Self:
        """A release whenever the window is over and a fifth more."""
        return cls(beyond_window(quota))

    @classmethod
    def at_rate(cls, rate_per_s: float, _quota: Quota) -> Self:
        """The rate of releases, each of one request on a connection."""
        return cls(rate_interval_ns(rate_per_s))

    def program(self) -> Program:
        """Next instant = previous intended instant + `every_ns`."""
        return Burst(1, self.every_ns).program()
