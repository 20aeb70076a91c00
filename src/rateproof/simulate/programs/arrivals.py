"""How long until the next request: intervals drawn from closed forms.

Pure: no clock, no I/O. Every draw takes its randomness from `Rng.bits` alone, by
inversion of the distribution function, so that one seed gives one sequence on
every Python version and, bit for bit, in the native engine (`interval.rs`).

In the formulas below U is uniform on the open interval (0, 1).
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from rateproof.errors import InvalidArgument
from rateproof.simulate.programs.parameters import DURATION, Checked, ValueRange, check_parameters
from rateproof.simulate.programs.rng import Rng
from rateproof.units import MAX_DURATION_NS

__all__ = ["INTERVALS", "Exponential", "Fixed", "Interval", "LogNormal", "Uniform"]

MAX_INTERVAL_NS = MAX_DURATION_NS - 1
MAX_SIGMA = 10.0

_BITS = 52


def unit(rng: Rng) -> float:
    """A draw of U, never 0 and never 1.

    The midpoints of 2**52 equal cells: (k + 1/2) / 2**52 needs 53 bits, which
    a double has; one bit more and the last midpoint would round to 1.
    """
    return (rng.bits(_BITS) + 0.5) / (1 << _BITS)


# Numerators and denominators of Algorithm AS241, highest power first.
_CENTRE = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
_MIDDLE = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
)
_TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


def normal_quantile(p: float) -> float:
    """Phi^-1(p) for 0 < p < 1: what `statistics.NormalDist().inv_cdf` gives, to a few ulps.

    Written out, since the library's may be compiled with fused multiply-adds,
    which would give other bits. Source: Wichura, "Algorithm AS241: The
    Percentage Points of the Normal Distribution", Applied Statistics 37 (1988).
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        return _rational(_CENTRE, 0.180625 - q * q) * q
    r = math.sqrt(-math.log(p if q <= 0.0 else 1.0 - p))
    x = _rational(_MIDDLE, r - 1.6) if r <= 5.0 else _rational(_TAIL, r - 5.0)
    return -x if q < 0.0 else x


def _rational(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: float) -> float:
    above, below = 0.0, 0.0
    for a, b in zip(*coefficients, strict=True):
        above = above * r + a
        below = below * r + b
    return above / below


class Interval(Protocol):
    """A distribution of intervals in nanoseconds."""

    name: ClassVar[str]

    def draw(self, rng: Rng) -> int:
        """The next interval in ns, from 0 to below 2**61."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed(Checked):
    """Always the same interval: a point mass at `interval_ns`.

    Args:
        interval_ns: 1 ns to below 73 years.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "constant"

    interval_ns: int = field(metadata=DURATION)

    def draw(self, rng: Rng) -> int:  # noqa: ARG002 - the protocol passes it
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

    low_ns: int = field(metadata={"bounds": ValueRange("duration", "ns", 0, MAX_INTERVAL_NS)})
    high_ns: int = field(metadata=DURATION)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.high_ns < self.low_ns:
            raise InvalidArgument(
                f"high_ns {self.high_ns} is below low_ns {self.low_ns}", "low_ns <= high_ns"
            )

    def draw(self, rng: Rng) -> int:
        """An interval in ns from `low_ns` to `high_ns`, both included."""
        return self.low_ns + round((self.high_ns - self.low_ns) * unit(rng))


@dataclass(frozen=True, slots=True)
class Exponential(Checked):
    """Memoryless intervals: the gaps between arrivals of a Poisson process.

    F(x) = 1 - exp(-x / mean), so x = -mean * ln(U) (U and 1 - U are alike).
    Source: Kingman, "Poisson Processes" (1993), section 4.1, the interval theorem.

    Args:
        mean_ns: the mean, 1 ns to below 73 years. Also the standard deviation.

    Raises:
        InvalidArgument: out of these bounds.
    """

    name: ClassVar[str] = "exponential"

    mean_ns: int = field(metadata=DURATION)

    def draw(self, rng: Rng) -> int:
        """An interval in ns; at most 36.8 means, the end of 52 random bits."""
        return min(MAX_INTERVAL_NS, round(-self.mean_ns * math.log(unit(rng))))


@dataclass(frozen=True, slots=True)
class LogNormal(Checked):
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

    median_ns: int = field(metadata=DURATION)
    sigma: float = field(
        metadata={"bounds": ValueRange("number", "", 0, MAX_SIGMA, above_low=True)}
    )

    def draw(self, rng: Rng) -> int:
        """An interval in ns, cut at 73 years."""
        factor = math.exp(self.sigma * normal_quantile(unit(rng)))
        return min(MAX_INTERVAL_NS, round(self.median_ns * factor))


INTERVALS: dict[str, type[Interval]] = {
    kind.name: kind for kind in (Fixed, Uniform, Exponential, LogNormal)
}
"""Every distribution by name."""
