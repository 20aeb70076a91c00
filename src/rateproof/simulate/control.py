"""What somebody can do to a run while it goes on."""

import sys
import threading

from rateproof.errors import InvalidArgument

__all__ = ["Control"]


class Control:
    """Stops, pauses and steers a run from any thread; a transport obeys within 50 ms.

    One control belongs to one run. Every method returns at once, but `wait`.

    Args:
        stop: an event that ends the run when set, shared with whoever sets it
            (a handler of signals, say); a new one if not given.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = threading.Event() if stop is None else stop
        self._lock = threading.Lock()
        self._paused = False
        self._bursts = 0
        self._extra = 0
        self._low, self._high = -sys.maxsize, sys.maxsize

    def stop(self) -> None:
        """End the run for good: requests in flight finish, nothing new is sent."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether the run was told to stop, or stopped because it failed."""
        return self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep until the run is told to stop, for `seconds` at most.

        Returns:
            True once the run is stopping, False when the time is over.
        """
        return self._stop.wait(seconds)

    def pause(self) -> None:
        """Send nothing more until `resume`; the clock of the run stands still.

        Requests in flight finish. To pause what is paused changes nothing.
        """
        self._paused = True

    def resume(self) -> None:
        """Go on where `pause` interrupted: every intended instant is later by the pause."""
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether the run was told to pause and not yet to resume."""
        return self._paused

    def burst(self) -> None:
        """Let every client that waits for its instant send its next request now.

        While paused: once resumed. Clients with a request in flight do not
        wait and are passed over. Several bursts that a transport finds at once
        are one.
        """
        with self._lock:
            self._bursts += 1

    @property
    def bursts(self) -> int:
        """How often a burst was asked for."""
        return self._bursts

    def add_clients(self, count: int) -> None:
        """Add clients to the scenario's last group, or take some away from it.

        Args:
            count: how many; below 0 takes away. What exceeds the bounds (see
                `bound_clients`) is left out.
        """
        with self._lock:
            self._extra = min(max(self._extra + count, self._low), self._high)

    @property
    def extra_clients(self) -> int:
        """How many clients more than the scenario says there are to be; below 0: fewer."""
        return self._extra

    def bound_clients(self, low: int, high: int) -> None:
        """Keep `extra_clients` from `low` to `high`, as they are now and from now on.

        A transport calls it with what the scenario and the machine allow, so
        that nobody counts clients that cannot be.

        Raises:
            InvalidArgument: `low` above `high`.
        """
        if low > high:
            raise InvalidArgument(
                f"bounds of {low} to {high} clients", "the lower bound first, or twice the same"
            )
        with self._lock:
            self._low, self._high = low, high
            self._extra = min(max(self._extra, low), high)
