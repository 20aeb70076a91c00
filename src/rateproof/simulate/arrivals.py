"""How long until the next request: intervals drawn from closed forms.

Pure: no clock, no I/O. Every draw takes its randomness from `Random.getrandbits`
alone, by inversion of the distribution function, so that one seed gives one
sequence on every Python version.

In the formulas below U is uniform on the open interval (0, 1).
"""

import math
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import ClassVar, Protocol

from rateproof.errors import InvalidArgument
from rateproof.simulate.checks import check_duration
from rateproof.units import MAX_DURATION_NS

__all__ = ["INTERVALS", "Constant", "Exponential", "Interval", "LogNormal", "Uniform"]

MAX_INTERVAL_NS = MAX_DURATION_NS - 1
MAX_SIGMA = 10.0

_BITS = 52
_NORMAL = NormalDist()


def unit(rng: Random) -> float:
    """A draw of U, never 0 and never 1.

    The midpoints of 2**52 equal cells: (k + 1/2) / 2**52 needs 53 bits, which
    a double has; one bit more and the last midpoint would round to 1.
    """
    return (rng.getrandbits(_BITS) + 0.5) / (1 << _BITS)


class Interval(Protocol):
    """A distribution of intervals in nanoseconds."""

    name: ClassVar[str]

    def draw(self, rng: Random) -> int:
        """The next interval in ns, from 0 to below 2**61."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same interval: a point mass at `interval_ns`.

    Args:
        interval_ns: 1 ns to below 73 years.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "constant"

    interval_ns: int

    def __post_init__(self) -> None:
        check_duration("interval_ns", self.interval_ns)

    def draw(self, rng: Random) -> int:  # noqa: ARG002 - the protocol passes it
        """`interval_ns`; takes nothing from `rng`."""
        return self.interval_ns


@dataclass(frozen=True, slots=True)
class Uniform:
    """Equally likely anywhere between two bounds.

    F(x) = (x - low) / (high - low), so x = low + (high - low) * U.

    Args:
        low_ns: the shortest interval, 0 or more.
        high_ns: the longest, above 0, not below `low_ns`, below 73 years.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "uniform"

    low_ns: int
    high_ns: int

    def __post_init__(self) -> None:
        check_duration("low_ns", self.low_ns, low=0)
        check_duration("high_ns", self.high_ns)
        if self.high_ns < self.low_ns:
            raise InvalidArgument(
                f"high_ns {self.high_ns} is below low_ns {self.low_ns}", "low_ns <= high_ns"
            )

    def draw(self, rng: Random) -> int:
        """An interval in ns from `low_ns` to `high_ns`, both included."""
        return self.low_ns + round((self.high_ns - self.low_ns) * unit(rng))


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless intervals: the gaps between arrivals of a Poisson process.

    F(x) = 1 - exp(-x / mean), so x = -mean * ln(U) (U and 1 - U are alike).
    Source: Kingman, "Poisson Processes" (1993), section 4.1, the interval theorem.

    Args:
        mean_ns: the mean, 1 ns to below 73 years. Also the standard deviation.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "exponential"

    mean_ns: int

    def __post_init__(self) -> None:
        check_duration("mean_ns", self.mean_ns)

    def draw(self, rng: Random) -> int:
        """An interval in ns; at most 36.8 means, the end of 52 random bits."""
        return min(MAX_INTERVAL_NS, round(-self.mean_ns * math.log(unit(rng))))


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Mostly short, now and then very long: how people pause.

    F(x) = Phi(ln(x / median) / sigma), so x = median * exp(sigma * Phi^-1(U)).
    The mean is median * exp(sigma**2 / 2). Source: Johnson, Kotz and Balakrishnan,
    "Continuous Univariate Distributions" vol. 1 (1994), chapter 14.

    Args:
        median_ns: half of the intervals are shorter, 1 ns to below 73 years.
        sigma: standard deviation of the logarithm, above 0 and at most 10.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "lognormal"

    median_ns: int
    sigma: float

    def __post_init__(self) -> None:
        check_duration("median_ns", self.median_ns)
        if not isinstance(self.sigma, int | float) or not 0 < self.sigma <= MAX_SIGMA:
            raise InvalidArgument(f"sigma is {self.sigma!r}", f"above 0 and at most {MAX_SIGMA:g}")

    def draw(self, rng: Random) -> int:
        """An interval in ns, cut at 73 years."""
        factor = math.exp(self.sigma * _NORMAL.inv_cdf(unit(rng)))
        return min(MAX_INTERVAL_NS, round(self.median_ns * factor))


INTERVALS: dict[str, type[Interval]] = {
    kind.name: kind for kind in (Constant, Uniform, Exponential, LogNormal)
}
"""Every distribution by name."""
