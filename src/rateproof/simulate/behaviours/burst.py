"""On and off: several requests at once, then silence."""

from dataclasses import dataclass
from typing import ClassVar, Self

from rateproof.policy import Quota
from rateproof.simulate.behaviour import beyond_window, over_limit, rate_interval_ns
from rateproof.simulate.programs.arrivals import Fixed, Uniform
from rateproof.simulate.programs.parameters import Checked, count, duration
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import ask, compiled, forever, repeat, wait
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Burst(Checked):
    """Bursts at equal distances from a random phase.

    One connection sends the requests of a burst one after the other; `race`
    sends them on many connections at once.
    Source: the on/off source of Willinger et al., "Self-Similarity Through
    High-Variability" (SIGCOMM 1995), with constant periods.

    Args:
        requests: how many a connection sends in a burst, 1 to 10**6.
        every_ns: from the start of a burst to the start of the next.
    """

    name: ClassVar[str] = "burst"

    requests: int = count(6)
    every_ns: int = duration(6 * SECOND_NS)

    @classmethod
    def against(cls, quota: Quota) -> Self:
        """One request above the limit, once the window is over and a fifth more."""
        return cls(over_limit(quota), beyond_window(quota))

    @classmethod
    def at_rate(cls, rate_per_s: float, quota: Quota) -> Self:
        """The mean over bursts, one request above the limit each, and silence."""
        return cls(over_limit(quota), over_limit(quota) * rate_interval_ns(rate_per_s))

    def program(self) -> Program:
        """`requests` times the same instant, then `every_ns` later again."""
        phase = wait(Uniform(0, self.every_ns))
        together = repeat(self.requests, ask())
        return compiled(phase, forever(together, wait(Fixed(self.every_ns))))
