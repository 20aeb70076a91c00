"""Failures of a limiter's storage, in the log."""

import logging

from rateproof.clock import SystemClock
from rateproof.errors import StoreError

__all__ = ["Failures"]

_log = logging.getLogger("rateproof")

_LOG_INTERVAL_NS = 1_000_000_000


class Failures:
    """Logged at most once a second, and never lost from the count."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._silent_until_ns = 0
        self._unlogged = 0

    def log(self, error: StoreError) -> None:
        """One more request was denied since the storage failed."""
        self._unlogged += 1
        now_ns = self._clock.now_ns()
        if now_ns >= self._silent_until_ns:
            self._silent_until_ns = now_ns + _LOG_INTERVAL_NS
            _log.error("%d denied without a decision: %s", self._unlogged, error)
            self._unlogged = 0
