"""The carrier of a probe's requests: to a server, or to a limiter that is simulated."""

from collections.abc import Sequence
from typing import Protocol

from rateproof.probe.seen import Seen, Steps
from rateproof.probe.several import Hit


class Sender(Protocol):
    """Carries requests to a server, or to a limiter that is simulated."""

    delaying: bool
    reconnecting: bool

    @property
    def requests(self) -> int:
        """The number of requests sent in all."""
        ...

    def now_ns(self) -> int:
        """The clock of everything that is seen."""
        ...

    def search(self, most: int, delays_ns: Sequence[int]) -> list[Seen]:
        """Fill a fresh key on one connection until it denies, then poll until it admits."""
        ...

    def send(
        self, schedules: Sequence[Steps], start_ns: int, keys: Sequence[int | None] = ()
    ) -> list[list[Seen]]:
        """Send all schedules at the same time, each on a fresh key, or on the key of an earlier one.

        Args:
            schedules: the requests of each.
            start_ns: when their 0 is.
            keys: of each the number of an earlier schedule, of all that were sent, whose key
                goes on; None, and none at all: a fresh one.
        """
        ...

    def hitter(self, *, fresh: bool) -> Hit:
        """Return what sends to one key, each time on new connections."""
        ...

    def keep(self, hit: Hit) -> None:
        """Let schedules go on with the fresh key of a hitter, as with that of an earlier schedule: the last one so far."""
        ...

    def waits(self, requests: int) -> tuple[list[int], int]:
        """Send at once on a fresh key: how long what is admitted waits, and the denials."""
        ...
