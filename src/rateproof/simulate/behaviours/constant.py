"""Open arrivals like clockwork: a poller."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from rateproof.simulate.arrivals import Uniform
from rateproof.simulate.behaviours.base import Plan
from rateproof.simulate.checks import check_duration
from rateproof.units import SECOND_NS

__all__ = ["Constant"]


@dataclass(frozen=True, slots=True)
class Constant:
    """Equal gaps from a random phase, whatever the server does.

    Instants are phase + k * interval_ns exactly: nothing accumulates.
    Source: vegeta's ConstantPacer (github.com/tsenart/vegeta, lib/pacer.go).

    Args:
        interval_ns: the gap between intended instants.
    """

    name: ClassVar[str] = "constant"

    interval_ns: int = SECOND_NS // 2

    def __post_init__(self) -> None:
        check_duration("interval_ns", self.interval_ns)

    def plan(self, rng: Random) -> Plan:
        """Next instant = previous intended instant + `interval_ns`."""
        intended_ns = Uniform(0, self.interval_ns).draw(rng)
        while True:
            yield intended_ns
            intended_ns += self.interval_ns
