"""One client that speaks for many identities, some far more often than others."""

from dataclasses import dataclass, field
from typing import ClassVar

from rateproof.options.kinds import number
from rateproof.simulate.programs.arrivals import Exponential
from rateproof.simulate.programs.parameters import Checked, count, duration, of_kind
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import ask, compiled, forever, pick, wait
from rateproof.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Zipf(Checked):
    """Poisson arrivals, each under one of n identities drawn from Zipf's law.

    P(identity k) is proportional to k**-s: a few hot keys, a long tail. Each
    client of a group has n identities of its own. Source: Breslau et al.,
    "Web Caching and Zipf-like Distributions" (INFOCOM 1999).

    Args:
        identities: n, 1 to 10**6.
        exponent: s, above 0 and at most 10.
        mean_interval_ns: the mean gap between intended instants.
    """

    name: ClassVar[str] = "zipf"

    identities: int = count(1_000)
    exponent: float = field(default=1.0, metadata=of_kind(number(0, 10, open_below=True)))
    mean_interval_ns: int = duration(SECOND_NS // 2)

    def program(self) -> Program:
        """Next instant = previous intended instant + an exponential gap; any identity."""
        gap = wait(Exponential(self.mean_interval_ns))
        return compiled(forever(gap, pick(self.identities, self.exponent), ask()))
