"""Time, injected: integer nanoseconds of a clock that never steps back."""

import time
from typing import Protocol

from rateproof.errors import InvalidArgument

__all__ = ["Clock", "ManualClock", "SystemClock"]


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
