"""Time, injected: integer nanoseconds of a clock that never steps back, and what two may differ."""

import time
from dataclasses import dataclass
from typing import Final, Protocol

from rateproof.errors import InvalidArgument

__all__ = ["EXACT", "MILLION", "Clock", "Interval", "ManualClock", "SystemClock", "Tolerance"]

MILLION: Final = 1_000_000

Interval = tuple[int, int]
"""The instants at which a request was sent and answered, in ns: its decision lies in between."""


class Clock(Protocol):
    """Anything that tells a monotonic time."""

    def now_ns(self) -> int:
        """The current time in nanoseconds since an arbitrary origin, never decreasing."""
        ...


class SystemClock:
    """The machine's monotonic clock, the same for every process on it.

    On Linux this is CLOCK_MONOTONIC: it does not step when the wall clock is
    set, and it restarts at boot.
    """

    __slots__ = ()

    def now_ns(self) -> int:
        """Nanoseconds since the machine's monotonic origin."""
        return time.monotonic_ns()

    def __repr__(self) -> str:
        return "SystemClock()"


class ManualClock:
    """A clock that stands still until it is told to move, for tests.

    Args:
        now_ns: the first reading, at least 0.

    >>> clock = ManualClock()
    >>> clock.advance(5_000_000_000)
    >>> clock.now_ns()
    5000000000
    """

    __slots__ = ("_now_ns",)

    def __init__(self, now_ns: int = 0) -> None:
        if now_ns < 0:
            raise InvalidArgument(f"now_ns is {now_ns}", "a clock reads 0 or more")
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """The reading it was last moved to."""
        return self._now_ns

    def advance(self, ns: int) -> None:
        """Move on by `ns` nanoseconds; 0 is allowed, going back is not.

        Raises:
            InvalidArgument: `ns` is negative.
        """
        if ns < 0:
            raise InvalidArgument(f"cannot advance by {ns} ns", "a clock never steps back")
        self._now_ns += ns

    def __repr__(self) -> str:
        return f"ManualClock(now_ns={self._now_ns})"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The most that the limiter's clock may differ from the clock of the log.

    Args:
        ppm: how far either clock's rate may be off as the other measures it,
            in parts per million, 0 or more and below a million.
        granularity_ns: the step of the limiter's clock, 0 if it is as fine as
            the log's; 1,000,000 for nginx and HAProxy, which count whole ms.

    Raises:
        InvalidArgument: a value out of these bounds.
    """

    ppm: int = 500
    granularity_ns: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.ppm < MILLION:
            raise InvalidArgument(f"tolerance {self.ppm} ppm", "0 or more, below 1000000 ppm")
        if not 0 <= self.granularity_ns < 2**61:
            raise InvalidArgument(f"granularity {self.granularity_ns} ns", "0 or more nanoseconds")

    def at_most_ns(self, window_ns: int) -> int:
        """The longest that the limiter's `window_ns` can last on the log's clock.

        W/(1-rho) and not W*(1+rho): it is the larger of the two, so it is safe
        whichever of the clocks rho was measured against.
        """
        rate = MILLION - self.ppm
        return -(-window_ns * MILLION // rate) + self.granularity_ns


EXACT = Tolerance(ppm=0)
"""One clock, read to the nanosecond."""
