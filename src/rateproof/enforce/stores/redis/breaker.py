"""A circuit breaker: a server that does not answer costs a few waits, then nothing."""

import time
from typing import Final

__all__ = ["Breaker"]

FAILURES: Final = 3
"""So many failures in a row open it."""

REST_NS: Final = 1_000_000_000
"""How long nobody asks once it is open."""


class Breaker:
    """Whether it is worth asking: shared by all threads and coroutines of a process.

    It opens after `FAILURES` in a row. Then one caller in every `REST_NS` may
    ask, and the first answer closes it again.

    No lock, which a fork could leave held: at worst two callers ask where one would do.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._rests_until_ns = 0

    def allows(self) -> bool:
        """Whether this caller may ask now; who asks then says how it went."""
        if self._failures < FAILURES:
            return True
        now_ns = time.monotonic_ns()
        if now_ns < self._rests_until_ns:
            return False
        self._rests_until_ns = now_ns + REST_NS
        return True

    def answered(self) -> bool:
        """It answered. True if it had not before."""
        again = self._failures > 0
        self._failures = 0
        return again

    def failed(self) -> bool:
        """It did not answer. True if it had before."""
        self._failures += 1
        self._rests_until_ns = time.monotonic_ns() + REST_NS
        return self._failures == 1
