"""A ceiling on the rate of all clients together."""

import threading

from rateproof.simulate.behaviours import rate_interval_ns

__all__ = ["Pacer"]


class Pacer:
    """Hands out send slots at equal distances, in the order in which they are asked for.

    Slots that nobody wanted are gone: no burst follows a pause.

    Args:
        rate_per_s: slots a second.
    """

    def __init__(self, rate_per_s: float) -> None:
        self._interval_ns = rate_interval_ns(rate_per_s)
        self._next_ns = 0
        self._lock = threading.Lock()

    def reserve(self, now_ns: int) -> int:
        """The next free slot: an instant not before `now_ns`, for this caller alone."""
        with self._lock:
            slot_ns = max(self._next_ns, now_ns)
            self._next_ns = slot_ns + self._interval_ns
        return slot_ns
