"""Servers that cannot serve: the errors of redis-py that mean so, and when to ask again."""

import logging
import time
from typing import Any, Final

from rateproof.enforce.stores.redis.address import Address
from rateproof.errors import StoreError, StoreUnreachable

FAILURES: Final = 3
"""So many failures in a row open a breaker."""

REST_NS: Final = 1_000_000_000
"""The time for which nobody asks once it is open."""

_log = logging.getLogger("rateproof")

_PASSING: Final = ("BUSY ", "MISCONF ", "NOREPLICAS ", "OOM ", "MASTERDOWN ", "LOADING ")
"""Answers of a server that is too busy, has no disk, no replicas or no memory: it may soon have."""


class Breaker:
    """A circuit breaker: a server that does not answer costs a few waits, then nothing.

    Shared by all threads and coroutines of a process. It opens after `FAILURES` in
    a row. Then one caller in every `REST_NS` may ask, and the first answer closes it
    again. Both are logged.

    No lock, which a fork could leave held: at worst two callers ask where one would do.
    """

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._failures = 0
        self._rests_until_ns = 0

    def check(self) -> None:
        """Let this caller ask, who says then how it went.

        Raises:
            StoreUnreachable: it is not worth asking now.
        """
        if self._failures < FAILURES:
            return
        now_ns = time.monotonic_ns()
        if now_ns < self._rests_until_ns:
            raise StoreUnreachable(f"{self._shown} did not answer lately and is left alone")
        self._rests_until_ns = now_ns + REST_NS

    def answered(self) -> None:
        """It answered."""
        if self._failures:
            self._failures = 0
            _log.warning("%s answers again", self._shown)

    def failed(self, error: StoreError) -> StoreError:
        """It did not answer, or with this error, which is returned."""
        if isinstance(error, StoreUnreachable):
            self._failures += 1
            self._rests_until_ns = time.monotonic_ns() + REST_NS
            if self._failures == 1:
                _log.warning("%s", error)
        else:
            self.answered()
        return error


def store_error(redis: Any, error: BaseException, address: Address) -> StoreError:
    """Return what to raise for an error of redis-py or of a socket at this address."""
    known = redis.exceptions
    error = _reason(known, error)
    shown, said = address.shown, address.censored(str(error)) or "timed out"
    refused = (known.AuthenticationError, known.AuthorizationError, known.NoPermissionError)
    if isinstance(error, refused):
        return StoreError(f"{shown} refuses us: {said}", "check user, password and permissions")
    outages = (
        OSError,  # builtin TimeoutError included
        known.BusyLoadingError,
        known.ClusterError,
        known.ConnectionError,
        known.OutOfMemoryError,
        known.ReadOnlyError,
        known.RedisClusterException,
        known.TimeoutError,
        known.TryAgainError,
    )
    if isinstance(error, outages) or said.startswith(_PASSING):
        return StoreUnreachable(f"{shown} does not answer: {said}")
    return StoreError(
        f"{shown} answers with an error: {said}",
        "is it a Redis or Valkey server, a Cluster where the URL says so, and the prefix ours?",
    )


def _reason(known: Any, error: BaseException) -> BaseException:
    """The error of a node, where redis-py says instead that there is no Cluster to be reached."""
    cause, before = error.__cause__, error.__context__
    if not isinstance(error, known.RedisClusterException):
        return error
    if cause is not None:
        return _reason(known, cause)
    return before if before is not None and isinstance(before, known.RedisError) else error
