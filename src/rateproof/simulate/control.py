"""Control of a run while it goes on."""

import sys
import threading
import time
from typing import Any

from rateproof.errors import InvalidArgument


class Control:
    """Stops, pauses and steers a run from any thread; a transport obeys within 50 ms.

    One control belongs to one run. Every method returns at once, but `wait`. What a transport
    looks at is not to be set: `paused`, whether the run's clock is to stand still; `bursts`, how
    often a burst was asked for; `extra_clients`, how many more than the scenario says there are to
    be, below 0 fewer; `abandoned`, whether requests in flight are to be given up: then the run is
    `stopping` too.

    Args:
        stop: an event that ends the run when set, shared with whoever sets it
            (a handler of signals, say); a new one if not given.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = threading.Event() if stop is None else stop
        self._lock = threading.Lock()
        self.paused = False
        self.bursts = 0
        self.extra_clients = 0
        self._low, self._high = -sys.maxsize, sys.maxsize
        self.abandoned = False
        self._actions: list[dict[str, Any]] = []

    def stop(self) -> None:
        """End the run for good: requests in flight finish, nothing new is sent."""
        if not self.stopping:
            self._note("stop")
        self._stop.set()

    def abandon(self) -> None:
        """Stop, and do not wait for the requests in flight: they are given up.

        Each of them is a row of the log all the same, with error `other`, and
        with outcome `unknown` unless its status had arrived.
        """
        if not self.abandoned:
            self._note("abandon")
        self.abandoned = True
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """True if the run was told to stop, or stopped because it failed."""
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
        if not self.paused:
            self._note("pause")
        self.paused = True

    def resume(self) -> None:
        """Go on where `pause` interrupted: every intended instant is later by the pause."""
        if self.paused:
            self._note("resume")
        self.paused = False

    def burst(self) -> None:
        """Let every client that waits for its instant send its next request now.

        While paused: once resumed. Clients with a request in flight do not
        wait and are passed over. Several bursts that a transport finds at once
        are one.
        """
        with self._lock:
            self.bursts += 1
        self._note("burst")

    def add_clients(self, count: int) -> None:
        """Add clients to the scenario's last group, or take some away from it.

        Args:
            count: how many; below 0 takes away. What exceeds the bounds (see
                `bound_clients`) is left out.
        """
        with self._lock:
            self._set_extra(self.extra_clients + count)

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
            self._set_extra(self.extra_clients)

    @property
    def actions(self) -> list[dict[str, Any]]:
        """Actions in order, for the log of the run: those that changed nothing are left out.

        Each has `at_ns`, a reading of the monotonic clock, and `what`: `pause`,
        `resume`, `burst`, `clients`, `stop` or `abandon`. `clients` has the
        number of clients more than the scenario's, under the same name.
        """
        return [dict(action) for action in self._actions]

    def _set_extra(self, extra: int) -> None:
        """Called with the lock held."""
        extra = min(max(extra, self._low), self._high)
        if extra != self.extra_clients:
            self._note("clients", clients=extra)
        self.extra_clients = extra

    def _note(self, what: str, **more: int) -> None:
        self._actions.append({"at_ns": time.monotonic_ns(), "what": what, **more})
