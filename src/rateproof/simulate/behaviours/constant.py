"""Open arrivals like clockwork: a poller."""

from dataclasses import dataclass
from typing import ClassVar

from rateproof.simulate.programs import arrivals
from rateproof.simulate.programs.parameters import Checked, duration
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import ask, compiled, forever, wait
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Constant(Checked):
    """Equal gaps from a random phase, whatever the server does.

    Instants are phase + k * interval_ns exactly: nothing accumulates.
    Source: vegeta's ConstantPacer (github.com/tsenart/vegeta, lib/pacer.go).

    Args:
        interval_ns: the gap between intended instants.
    """

    name: ClassVar[str] = "constant"

    interval_ns: int = duration(SECOND_NS // 2)

    def program(self) -> Program:
        """Next instant = previous intended instant + `interval_ns`."""
        phase = arrivals.Uniform(0, self.interval_ns)
        gap = arrivals.Fixed(self.interval_ns)
        return compiled(wait(phase), forever(ask(), wait(gap)))
