"""Ranks drawn from Zipf's law: one of many."""

import math

from rateproof.simulate.programs.rng import Rng

_LEAST = math.nextafter(-1.0, 0.0)
_SMALL = 1e-8


class ZipfRanks:
    """P(rank = k) proportional to k**-s, for k = 1 to n, without a table.

    Rejection-inversion: a draw of the continuous density x**-s on (1/2, n + 1/2)
    by inversion of its integral H, rounded, and kept or drawn again. Source: Hörmann and Derflinger, "Rejection-Inversion
    to Generate Variates from Monotone Discrete Distributions", ACM TOMACS 6
    (1996).

    Args:
        n: how many ranks, 1 or more.
        s: the exponent, above 0.
    """

    __slots__ = ("_first", "_guard", "_last", "_n", "_s")

    def __init__(self, n: int, s: float) -> None:
        self._n = n
        self._s = s
        self._first = self._integral(1.5) - 1.0
        self._last = self._integral(n + 0.5)
        self._guard = 2.0 - self._inverse(self._integral(2.5) - self._density(2.0))

    def draw(self, rng: Rng) -> int:
        """A rank from 1, the likeliest, to n."""
        while True:
            u = self._last + rng.unit() * (self._first - self._last)
            x = self._inverse(u)
            k = min(self._n, max(1, int(x + 0.5)))
            if k - x <= self._guard or u >= self._integral(k + 0.5) - self._density(k):
                return k

    def _density(self, x: float) -> float:
        return math.exp(-self._s * math.log(x))

    def _integral(self, x: float) -> float:
        """H(x) = (x**(1-s) - 1) / (1-s), which is ln x where s = 1."""
        log = math.log(x)
        t = (1.0 - self._s) * log
        if abs(t) > _SMALL:
            return math.expm1(t) / t * log
        return (1.0 + t * 0.5 * (1.0 + t / 3.0 * (1.0 + 0.25 * t))) * log

    def _inverse(self, y: float) -> float:
        t = max(_LEAST, y * (1.0 - self._s))
        if abs(t) > _SMALL:
            return math.exp(math.log1p(t) / t * y)
        return math.exp((1.0 - t * (0.5 - t * (1.0 / 3.0 - 0.25 * t))) * y)
