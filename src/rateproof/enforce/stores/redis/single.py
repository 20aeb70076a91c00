"""One Redis or Valkey server, asked over connections of redis-py, kept for the next who asks.

They are used directly: `execute_command` adds a third to the time of a round trip, and a
pool of redis-py a fifth, in part to find out whether the connection is still good: here only
one that rested is asked. And some pools connect for one coroutine after another, which adds
up their waits.
"""

import os
import time
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

from rateproof.enforce.stores.protocols import at_once
from rateproof.enforce.stores.redis.address import Address
from rateproof.enforce.stores.redis.bounds import OneCall, bounded
from rateproof.enforce.stores.redis.command import Command, Mode, pack
from rateproof.enforce.stores.redis.loops import LoopClients
from rateproof.enforce.stores.redis.outages import Breaker

RESTED_NS: Final = 10_000_000
"""A connection that was good so long ago may have been closed by a server that restarted."""


class Server:
    """A single server. Errors are those of redis-py and of sockets.

    It has as many connections as threads ask at once. A forked child begins with none.

    No lock, which a fork could leave held: a list gives and takes in one step.

    Raises:
        TypeError: an option that redis-py does not have.
    """

    def __init__(self, redis: Any, address: Address) -> None:
        self._options = _options(redis, redis, address)
        self._make = bounded(self._options.pop("connection_class", redis.Connection))
        self._timeout_s = address.timeout_s
        self._make(**self._options)
        known = redis.exceptions
        self._no_script, self._answers = known.NoScriptError, known.ResponseError
        self._broken = (known.RedisError, OSError)
        self._idle: list[tuple[Any, int]] = []
        self._pid = os.getpid()
        options = _options(redis, redis.asyncio, address)
        make = partial(_AsyncConnections, redis, options)
        self.loops = LoopClients(make, address.timeout_s)
        self._breaker = Breaker(address.shown)

    def breaker(self, digest: bytes, *, waits: bool = False) -> Breaker:  # noqa: ARG002 - as in a Cluster
        """The breaker of what answers for this digest."""
        return self._breaker

    async def ask(
        self, command: Command, digest: bytes, mode: Mode, cost: int, *, waits: bool
    ) -> object:
        """Run the script: in one round trip, or in two where the server has lost it.

        Only a coroutine `waits`, in its turn.
        """
        send = self.loops.current.send if waits else self._send
        with nullcontext() if waits else OneCall(self._timeout_s):
            try:
                return await send(command.packed(digest, mode, cost))
            except self._no_script:
                return await send(pack(*command.words(digest, mode, cost, whole=True)))

    def delete(self, keys: list[bytes]) -> None:
        """Forget these states."""
        with OneCall(self._timeout_s):
            at_once(self._send(pack(b"DEL", *keys)))

    def delete_all(self, pattern: bytes) -> None:
        """Forget the states whose keys match."""
        cursor = b"0"
        while True:
            with OneCall(self._timeout_s):
                words = (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"1000")
                cursor, keys = at_once(self._send(pack(*words)))
            if keys:
                self.delete(keys)
            if cursor == b"0":
                return

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        while self._idle:
            self._idle.pop()[0].disconnect()
        self.loops.close()

    async def _send(self, packed: bytes) -> Any:
        connection = self._take()
        try:
            connection.send_packed_command((packed,))
            answer = connection.read_response()
        except self._answers:
            self._idle.append((connection, time.monotonic_ns()))
            raise
        except BaseException:
            # An answer may be on its way: nobody else may take it for theirs.
            connection.disconnect()
            raise
        self._idle.append((connection, time.monotonic_ns()))
        return answer

    def _take(self) -> Any:
        if self._pid != os.getpid():
            self._idle, self._pid = [], os.getpid()
        try:
            connection, used_ns = self._idle.pop()
        except IndexError:
            return self._make(**self._options)
        if time.monotonic_ns() - used_ns > RESTED_NS and not self._is_good(connection):
            connection.disconnect()  # sending connects again
        return connection

    def _is_good(self, connection: Any) -> bool:
        try:
            return not connection.can_read()
        except self._broken:
            return False


class _AsyncConnections:
    """The same for the coroutines of one event loop."""

    def __init__(self, redis: Any, options: dict[str, Any]) -> None:
        self._pool = redis.asyncio.ConnectionPool(**options)  # makes them, and keeps none
        self._answers = redis.exceptions.ResponseError
        self._idle: list[tuple[Any, int]] = []

    async def send(self, packed: bytes) -> Any:
        connection, used_ns = self._idle.pop() if self._idle else (self._pool.make_connection(), 0)
        try:
            if time.monotonic_ns() - used_ns > RESTED_NS:
                await self._pool.ensure_connection(connection)
            await connection.send_packed_command((packed,))
            answer = await connection.read_response()
        except self._answers:
            self._idle.append((connection, time.monotonic_ns()))
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append((connection, time.monotonic_ns()))
        return answer

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop()[0].disconnect(nowait=True)


def _options(redis: Any, flavour: Any, address: Address) -> dict[str, Any]:
    options = address.options(flavour.connection.parse_url(address.url))
    return options | {"retry": flavour.retry.Retry(redis.backoff.NoBackoff(), 0)}
