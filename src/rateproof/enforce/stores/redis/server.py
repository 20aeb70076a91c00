"""One Redis or Valkey server, asked over connections of redis-py.

Connections are used directly: `execute_command` adds a third to the time of a
round trip.
"""

import asyncio
from typing import Any

from rateproof.enforce.stores.redis.address import Address
from rateproof.enforce.stores.redis.breaker import Breaker
from rateproof.enforce.stores.redis.command import Command, Mode, pack
from rateproof.enforce.stores.redis.connections import AsyncConnections, Connections
from rateproof.enforce.stores.redis.lanes import Lanes

__all__ = ["Server"]


class Server:
    """A single server. Errors are those of redis-py and of sockets.

    Args:
        redis: the module.
        address: where it is.

    Raises:
        TypeError: an option that redis-py does not have.
    """

    def __init__(self, redis: Any, address: Address) -> None:
        self._connections = Connections(redis, _options(redis, redis, address))
        self._no_script = redis.exceptions.NoScriptError
        aio = redis.asyncio
        self._lanes = Lanes(lambda: AsyncConnections(redis, _options(redis, aio, address)))
        self._breaker = Breaker()

    def breaker(self, digest: bytes) -> Breaker:  # noqa: ARG002 - as in a Cluster
        """The breaker of what answers for this digest."""
        return self._breaker

    abreaker = breaker

    def ask(self, command: Command, digest: bytes, mode: Mode, cost: int) -> object:
        """What the script says: in one round trip, and in two where the server lost it."""
        try:
            return self._connections.send(command.packed(digest, mode, cost))
        except self._no_script:
            whole = pack(*command.words(digest, mode, cost, whole=True))
            return self._connections.send(whole)

    async def aask(self, command: Command, digest: bytes, mode: Mode, cost: int) -> object:
        """`ask` for coroutines."""
        connections = self._lanes.current().client
        try:
            return await connections.send(command.packed(digest, mode, cost))
        except self._no_script:
            whole = pack(*command.words(digest, mode, cost, whole=True))
            return await connections.send(whole)

    def gate(self) -> asyncio.Semaphore:
        """How many coroutines of the running loop may ask at once."""
        return self._lanes.current().gate

    def delete(self, keys: list[bytes]) -> None:
        """Forget these states."""
        self._connections.send(pack(b"DEL", *keys))

    def delete_all(self, pattern: bytes) -> None:
        """Forget the states whose keys match."""
        cursor = b"0"
        while True:
            cursor, keys = self._connections.send(
                pack(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"1000")
            )
            if keys:
                self.delete(keys)
            if cursor == b"0":
                return

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()
        self._lanes.close()


def _options(redis: Any, flavour: Any, address: Address) -> dict[str, Any]:
    options = address.options(flavour.connection.parse_url(address.url))
    return options | {"retry": flavour.retry.Retry(redis.backoff.NoBackoff(), 0)}
