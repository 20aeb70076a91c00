"""What a policy says of the k-th admission's instant, given the earlier ones.

Every algorithm of `rateproof.policy` keeps a gap that is a staircase: of
`width*j + lag + 1` admissions in a row, the last comes at least `j*rise` after
the first, for every j. Only the three figures differ:

    sliding log of N per W        width N   lag 0      rise W
    window opened by a first hit  width N   lag N-1    rise W
    window on the epoch, counter  width N   lag N      rise W
    bucket of B, N per W          width 1   lag B-1    rise W/N
    leaky queue, N per W          width 1   lag 0      rise W/N

The tolerance, what two clocks may disagree on, is applied here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Final

from rateproof.errors import InvalidArgument
from rateproof.policy import Policy, Quota
from rateproof.prove.terms import EXACT, MILLION, Tolerance

__all__ = ["EXACT", "SEARCHED", "Bounds", "Family", "Model", "Stair", "Tolerance"]


@dataclass(frozen=True, slots=True)
class Family:
    """The windows of one quota, for a search over where they may begin.

    Args:
        algorithm: a name from `SEARCHED`.
        limit: N.
        window_ns: W.
        tolerance: what the clocks may disagree on.
    """

    algorithm: str
    limit: int
    window_ns: int
    tolerance: Tolerance

    @classmethod
    def of(cls, quota: Quota, tolerance: Tolerance) -> "Family | None":
        """The family of a quota, None where its gap says all, or nothing more can be said."""
        if quota.algorithm not in SEARCHED or tolerance.ppm > MOST_PPM:
            return None
        return cls(quota.algorithm, quota.limit, quota.window_ns, tolerance)

    def figures(self) -> tuple[str, int, int, int, int]:
        """The family as the native core takes it."""
        tolerance = self.tolerance
        return self.algorithm, self.limit, self.window_ns, tolerance.ppm, tolerance.granularity_ns

    @property
    def monotone(self) -> bool:
        """Whether leaving out admissions never breaks what kept the limit.

        An opening by a first hit is not: a hit that is left out may have opened
        the window that the others need. It is searched only where every request
        of a key is known.
        """
        return self.algorithm != "first-hit-window"

    @property
    def least_ns(self) -> int:
        """The shortest that a window can last on the log's clock, rounded down."""
        shortest_ns = self.window_ns * (MILLION - self.tolerance.ppm) // MILLION
        return shortest_ns - self.tolerance.granularity_ns

    @property
    def widening_ns(self) -> int:
        """What the limiter's reading may lag by: its step, and the part of a ns between clocks."""
        return 0 if self.tolerance == EXACT else self.tolerance.granularity_ns + 1


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
        """The gap of a quota, shortened by the tolerance.

        Raises:
            InvalidArgument: an algorithm for which no gap is known here.
        """
        n = quota.limit
        shapes = {
            "sliding-log": (n, 0, 1),
            "first-hit-window": (n, n - 1, 1),
            "fixed-window": (n, n, 1),
            "sliding-counter": (n, n, 1),
            "token-bucket": (1, quota.burst - 1, n),
            "leaky-queue": (1, 0, n),
        }
        if quota.algorithm not in shapes:
            raise InvalidArgument(
                f"cannot judge algorithm {quota.algorithm!r}", f"one of {', '.join(shapes)}"
            )
        width, lag, parts = shapes[quota.algorithm]
        num = quota.window_ns * (MILLION - tolerance.ppm)
        den = parts * MILLION
        shared = gcd(num, den)
        return cls(width, lag, num // shared, den // shared, tolerance.granularity_ns)

    def size(self, steps: int) -> int:
        """How many admissions in a row are held apart by `steps` steps."""
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


@dataclass(frozen=True, slots=True)
class Model:
    """The staircases of all quotas of a policy; all of them hold.

    Args:
        stairs: one for each quota.
        families: the quotas of which their gap does not say everything.
    """

    stairs: tuple[Stair, ...]
    families: tuple[Family, ...] = ()

    @classmethod
    def of(cls, policy: Policy, tolerance: Tolerance = EXACT) -> "Model":
        """What the policy promises of admissions, shortened by the tolerance."""
        families = (Family.of(quota, tolerance) for quota in policy.quotas)
        return cls(
            tuple(Stair.of(quota, tolerance) for quota in policy.quotas),
            tuple(family for family in families if family is not None),
        )

    def figures(self) -> list[tuple[int, int, int, int, int]]:
        """The stairs as the native core takes them."""
        return [(s.width, s.lag, s.rise_num, s.rise_den, s.slack_ns) for s in self.stairs]

    def family_figures(self) -> list[tuple[str, int, int, int, int]]:
        """The families as the native core takes them."""
        return [family.figures() for family in self.families]

    def gap(self, m: int) -> int:
        """The least time that `m` admissions in a row may span."""
        return max(stair.gap(m) for stair in self.stairs)

    @property
    def horizon_ns(self) -> int:
        """After a pause this long, what came before no longer matters."""
        return max(stair.horizon_ns for stair in self.stairs)


class Bounds:
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


def bounds_of(model: Model, positions: int) -> Sequence[Bounds]:
    """One `Bounds` for each stair that so many positions can climb at all."""
    return [Bounds(stair, positions) for stair in model.stairs if stair.size(1) <= positions]


SEARCHED: Final = frozenset({"fixed-window", "sliding-counter", "first-hit-window"})
"""The algorithms whose gap is only necessary; the gap of all others says everything."""


MOST_PPM: Final = 100_000
"""Beyond a tenth, a window may have any phase against the next: nothing to search."""
