"""Open arrivals whose rate goes evenly from one to another."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from rateproof.errors import InvalidArgument
from rateproof.options.kinds import number
from rateproof.policy import Quota
from rateproof.simulate.programs.arrivals import RATE_SCALE
from rateproof.simulate.programs.parameters import check_parameters, duration, of_kind
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import ask, compiled, forever, ramp_on
from rateproof.units import SECOND_NS

_RATE = of_kind(number(0, 1e6))


@dataclass(frozen=True, slots=True)
class Ramp:
    """A Poisson process of a rate that changes evenly, then stays.

    Where the server's limit lies shows as the rate passes it. Source: Cinlar,
    "Introduction to Stochastic Processes" (1975), chapter 4: the non-stationary
    Poisson process, drawn by inversion of its cumulated rate.

    Args:
        start_per_s: the rate at the client's start, in requests a second, 0 to
            10**6, to a millionth.
        end_per_s: the rate from `over_ns` on; 0: the client ends there.
        over_ns: how long the change takes, below 104 days.

    Raises:
        InvalidArgument: out of these bounds, or both rates are 0.
    """

    name: ClassVar[str] = "ramp"

    start_per_s: float = field(default=0.0, metadata=_RATE)
    end_per_s: float = field(default=2.0, metadata=_RATE)
    over_ns: int = duration(60 * SECOND_NS, high=2**53 - 1)

    def __post_init__(self) -> None:
        check_parameters(self)
        if round(max(self.start_per_s, self.end_per_s) * RATE_SCALE) == 0:
            raise InvalidArgument(
                f"start_per_s is {self.start_per_s!r} and end_per_s {self.end_per_s!r}",
                "one of them at least a millionth",
            )

    @classmethod
    def at_rate(cls, rate_per_s: float, _quota: Quota) -> Self:
        """The rate at the end of the ramp, which begins at none."""
        return cls(end_per_s=rate_per_s)

    def program(self) -> Program:
        """Next instant = previous intended instant + the gap of the ramp there."""
        start, end = (round(rate * RATE_SCALE) for rate in (self.start_per_s, self.end_per_s))
        gap = ramp_on(start, end, self.over_ns)
        return compiled(forever(gap, ask()))
