"""Which errors of redis-py mean that the server cannot serve now, and which that all is wrong."""

from typing import Any, Final

from rateproof.enforce.stores.redis.address import Address
from rateproof.errors import StoreError, StoreUnreachable

__all__ = ["store_error"]

_PASSING: Final = ("BUSY ", "MISCONF ", "NOREPLICAS ", "OOM ", "MASTERDOWN ", "LOADING ")
"""Answers of a server that is too busy, has no disk, no replicas or no memory: it may soon have."""


def store_error(redis: Any, error: BaseException, address: Address) -> StoreError:
    """What to raise for an error of redis-py or of a socket at this address."""
    known = redis.exceptions
    error = _reason(known, error)
    shown, said = address.shown, address.censored(str(error))
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
