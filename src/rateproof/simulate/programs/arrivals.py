"""Intervals until the next request, drawn from closed forms.

Pure: no clock, no I/O. Every draw takes its randomness from `Rng.unit` alone, U in the
formulas below, so that one seed gives one sequence on every Python version and, bit for
bit, in the native engine (`interval.rs`).
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from rateproof.errors import InvalidArgument
from rateproof.options import kinds
from rateproof.simulate.programs.parameters import DURATION, Checked, check_parameters, of_kind
from rateproof.simulate.programs.rng import Rng
from rateproof.units import MAX_DURATION_NS

MAX_INTERVAL_NS = MAX_DURATION_NS - 1
MAX_SIGMA = 10.0

RATE_SCALE = 1_000_000
"""Rates in a program are whole numbers: so many of them are one request a second."""

_PER_NS = 1e-15  # 1 / (RATE_SCALE * 10**9)


class Interval(Protocol):
    """A distribution of intervals in nanoseconds."""

    name: ClassVar[str]

    def draw(self, rng: Rng, /) -> int:
        """The next interval in ns, from 0 to below 2**61."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed(Checked):
    """Always the same interval: a point mass at `interval_ns`.

    Args:
        interval_ns: 1 ns to below 73 years.
    """

    name: ClassVar[str] = "constant"

    interval_ns: int = field(metadata=DURATION)

    def draw(self, _rng: Rng) -> int:
        """`interval_ns`; nothing is drawn."""
        return self.interval_ns


@dataclass(frozen=True, slots=True)
class Uniform:
    """Equally likely anywhere between two bounds.

    F(x) = (x - low) / (high - low), so x = low + (high - low) * U.

    Args:
        low_ns: the shortest interval, 0 or more.
        high_ns: the longest, above 0, not below `low_ns`, below 73 years.
    """

    name: ClassVar[str] = "uniform"

    low_ns: int = field(metadata=of_kind(kinds.duration(0)))
    high_ns: int = field(metadata=DURATION)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.high_ns < self.low_ns:
            raise InvalidArgument(
                f"high_ns {self.high_ns} is below low_ns {self.low_ns}", "low_ns <= high_ns"
            )

    def draw(self, rng: Rng) -> int:
        """An interval in ns from `low_ns` to `high_ns`, both included."""
        return self.low_ns + round((self.high_ns - self.low_ns) * rng.unit())


@dataclass(frozen=True, slots=True)
class Exponential(Checked):
    """Memoryless intervals: the gaps between arrivals of a Poisson process.

    F(x) = 1 - exp(-x / mean), so x = -mean * ln(U) (U and 1 - U are alike).
    Source: Kingman, "Poisson Processes" (1993), section 4.1, the interval theorem.

    Args:
        mean_ns: the mean, 1 ns to below 73 years. Also the standard deviation.
    """

    name: ClassVar[str] = "exponential"

    mean_ns: int = field(metadata=DURATION)

    def draw(self, rng: Rng) -> int:
        """An interval in ns; at most 36.8 means, the end of 52 random bits."""
        return min(MAX_INTERVAL_NS, round(-self.mean_ns * math.log(rng.unit())))


@dataclass(frozen=True, slots=True)
class LogNormal(Checked):
    """Mostly short, now and then very long: how people pause.

    F(x) = Phi(ln(x / median) / sigma), so x = median * exp(sigma * Z) with Z standard normal,
    of two draws of U: sqrt(-2 * ln U1) * cos(2 * pi * U2). The mean is median * exp(sigma**2 / 2).
    Sources: Johnson, Kotz and Balakrishnan, "Continuous Univariate Distributions" vol. 1 (1994),
    chapter 14; Box and Muller, "A Note on the Generation of Random Normal Deviates" (1958).

    Args:
        median_ns: half of the intervals are shorter, 1 ns to below 73 years.
        sigma: standard deviation of the logarithm, above 0 and at most 10.
    """

    name: ClassVar[str] = "lognormal"

    median_ns: int = field(metadata=DURATION)
    sigma: float = field(metadata=of_kind(kinds.number(0, MAX_SIGMA, open_below=True)))

    def draw(self, rng: Rng) -> int:
        """An interval in ns, cut at 73 years."""
        radius = math.sqrt(-2.0 * math.log(rng.unit()))
        normal = radius * math.cos(math.tau * rng.unit())
        return min(MAX_INTERVAL_NS, round(self.median_ns * math.exp(self.sigma * normal)))


INTERVALS: dict[str, type[Interval]] = {
    kind.name: kind for kind in (Fixed, Uniform, Exponential, LogNormal)
}
"""Every distribution by name."""


def ramp_gap(rng: Rng, at_ns: int, start: int, end: int, over_ns: float) -> int | None:
    """The gap in ns from `at_ns` to the next arrival; None: no further arrival.

    The rate is lambda(t) = start + (end - start) * t / over until `over_ns`
    and `end` from there on. The integral of lambda from one arrival to the next
    is exponential with mean 1; solved for the gap g, with E that integral,
    r = lambda(at) and k the slope: r*g + k*g**2/2 = E, so
    g = 2*E / (r + sqrt(r**2 + 2*k*E)). Source: Cinlar, "Introduction to
    Stochastic Processes" (1975), chapter 4, the time transform.

    Args:
        rng: gives E.
        at_ns: the arrival before, or 0; ns since the ramp began.
        start: the rate at 0, in 1/`RATE_SCALE` a second.
        end: the rate from `over_ns` on.
        over_ns: how long the ramp takes.
    """
    left = -math.log(rng.unit())
    first, last = start * _PER_NS, end * _PER_NS
    at, rest = float(at_ns), over_ns - at_ns
    if rest <= 0.0:
        return round(left / last) if end else None
    slope = (last - first) / over_ns
    rate = first + slope * at
    area = (rate + last) * 0.5 * rest
    if left >= area:
        return round(rest + (left - area) / last) if end else None
    return round(2.0 * left / (rate + math.sqrt(max(0.0, rate * rate + 2.0 * slope * left))))
