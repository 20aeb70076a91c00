"""Gaps: a policy's bound on the k-th admission's instant, given the earlier ones.

Every algorithm of `rateproof.policy` keeps a gap that is a staircase: of
`width*j + lag + 1` admissions in a row, the last comes at least `j*rise` after
the first, for every j. Only the three figures differ; `rateproof.policy` has them.

The tolerance, what two clocks may disagree on, is applied here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from rateproof.clock import EXACT, MILLION, Tolerance
from rateproof.policy import Quota


@dataclass(frozen=True, slots=True)
class Feasible:
    """There is a choice of instants: `instants[i]` for the i-th job."""

    instants: tuple[int, ...]
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Infeasible:
    """No choice of instants keeps what was promised, even for the jobs with these indices alone."""

    core: tuple[int, ...]
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The budget was spent before there was an answer."""

    spent: int = 0


@dataclass(frozen=True, slots=True)
class Explained:
    """A search found no contradiction, as far as it goes."""

    spent: int = 0


@dataclass(frozen=True, slots=True)
class Stair:
    """Of `width*j + lag + 1` admissions in a row the last is `span_ns(j)` after the first.

    Args:
        width: admissions a step, 1 or more.
        lag: admissions before the first step, 0 or more.
        rise_num: height of a step in ns, over `rise_den`: a fraction, since
            the step of a bucket need not be whole.
        rise_den: see `rise_num`.
        slack_ns: what granularity takes off every span, once.
    """

    width: int
    lag: int
    rise_num: int
    rise_den: int
    slack_ns: int

    @classmethod
    def of(cls, quota: Quota, tolerance: Tolerance = EXACT) -> "Stair":
        """The gap of a quota, shortened by the tolerance."""
        width, lag, parts = quota.stair
        num = quota.window_ns * (MILLION - tolerance.ppm)
        den = parts * MILLION
        shared = gcd(num, den)
        return cls(width, lag, num // shared, den // shared, tolerance.granularity_ns)

    def figures(self) -> tuple[int, int, int, int, int]:
        """The fields, as the native core takes them."""
        return self.width, self.lag, self.rise_num, self.rise_den, self.slack_ns

    def size(self, steps: int) -> int:
        """Return how many admissions in a row are held apart by `steps` steps."""
        return self.width * steps + self.lag + 1

    def span_ns(self, steps: int) -> int:
        """The least time they span, rounded down to a whole ns.

        Rounding down keeps it sound for instants between two nanoseconds: if
        real instants keep a gap x apart, their floors keep floor(x) apart.
        """
        return max(0, steps * self.rise_num // self.rise_den - self.slack_ns)

    def gap(self, m: int) -> int:
        """The least time that `m` admissions in a row may span."""
        return self.span_ns(max(0, (m - 1 - self.lag) // self.width))

    @property
    def horizon_ns(self) -> int:
        """After a pause this long, what came before no longer matters.

        It is the h with gap(a) + h + gap(b) >= gap(a+b) for all a and b, which
        is 1 + ceil(lag/width) steps; 2 ns and one slack more for the rounding.
        """
        steps = 1 - (-self.lag // self.width)
        return -(-steps * self.rise_num // self.rise_den) + self.slack_ns + 2


class Earliest:
    """Earliest instants by position, in O(1) each, for one stair.

    With j steps between positions q and k (k = q + width*j + lag) the bound is
    T[q] + j*rise - slack. Over all q of one class modulo `width` the largest
    T[q] - (q // width)*rise is kept as a running maximum, so

        earliest(k) = best[k - lag - width] + ((k - lag) // width)*rise - slack.

    Positions may be recorded again from any k on: `best` at k depends on
    `best` at k - width alone.
    """

    __slots__ = ("_best", "_stair")

    def __init__(self, stair: Stair, positions: int) -> None:
        self._stair = stair
        self._best: list[int] = [0] * positions

    def earliest(self, k: int, otherwise: int) -> int:
        """The bound on position `k`; `otherwise` where nothing bounds it."""
        stair = self._stair
        q = k - stair.lag - stair.width
        if q < 0:
            return otherwise
        scaled = self._best[q] + (k - stair.lag) // stair.width * stair.rise_num
        return max(otherwise, scaled // stair.rise_den - stair.slack_ns)

    def record(self, k: int, instant_ns: int) -> None:
        """Position `k` was given this instant."""
        stair = self._stair
        scaled = instant_ns * stair.rise_den - k // stair.width * stair.rise_num
        if k >= stair.width:
            scaled = max(scaled, self._best[k - stair.width])
        self._best[k] = scaled


def earliest_of(stairs: Sequence[Stair], positions: int) -> Sequence[Earliest]:
    """One `Earliest` for each stair that so many positions can climb at all."""
    return [Earliest(stair, positions) for stair in stairs if stair.size(1) <= positions]
