"""Arrivals whose rate changes with time: the gaps of a ramp."""

import math

from rateproof.simulate.programs.rng import Rng

__all__ = ["RATE_SCALE", "ramp_gap"]

RATE_SCALE = 1_000_000
"""Rates in a program are whole numbers: so many of them are one request a second."""

_PER_NS = 1e-15  # 1 / (RATE_SCALE * 10**9)


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
