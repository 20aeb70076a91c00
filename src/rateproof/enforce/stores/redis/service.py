"""A server or Cluster as the ledgers of a store share it."""

import logging
from typing import Any, Final, TypeAlias

from rateproof.enforce.stores.redis.address import Address
from rateproof.enforce.stores.redis.breaker import Breaker
from rateproof.enforce.stores.redis.cluster import Cluster
from rateproof.enforce.stores.redis.denials import open_denials
from rateproof.enforce.stores.redis.outage import store_error
from rateproof.enforce.stores.redis.server import Server
from rateproof.errors import StoreError, StoreUnreachable

__all__ = ["Link", "Service"]

_log = logging.getLogger("rateproof")

Link: TypeAlias = Server | Cluster

_STUMBLES: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What redis-py raises of a reply that no Redis gives."""


class Service:
    """What is asked, what it has denied, and what to make of its failures.

    Args:
        redis: the module.
        address: where it is.

    Raises:
        TypeError: an option that redis-py does not have.
    """

    def __init__(self, redis: Any, address: Address) -> None:
        self.address = address
        self.link: Link = (Cluster if address.nodes else Server)(redis, address)
        self.denials = open_denials()
        known = redis.exceptions
        self.errors = (known.RedisError, known.RedisClusterException, OSError, *_STUMBLES)
        self._redis = redis

    def answered(self, breaker: Breaker) -> None:
        """Note that it answered; say so if it had not."""
        if breaker.answered():
            _log.warning("%s answers again", self.address.shown)

    def failed(self, breaker: Breaker, error: Exception) -> StoreError:
        """Note that it did not answer, or with an error; what to raise of that."""
        found = store_error(self._redis, error, self.address)
        if not isinstance(found, StoreUnreachable):
            self.answered(breaker)
        elif breaker.failed():
            _log.warning("%s", found)
        return found

    def mistake(self, error: ValueError) -> StoreError:
        """What to raise of a reply that is no decision."""
        return store_error(self._redis, error, self.address)

    def resting(self) -> StoreError:
        """What to raise while the breaker lets nobody ask."""
        return StoreUnreachable(f"{self.address.shown} did not answer lately and is left alone")
