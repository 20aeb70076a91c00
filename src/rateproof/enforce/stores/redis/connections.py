"""Connections of redis-py to one server, kept for the next who asks.

A pool of redis-py takes a fifth of the time of a round trip, in part to find out
whether the connection is still good: here only one that rested is asked. And
some pools connect for one coroutine after another, which adds up their waits.
"""

import os
import time
from typing import Any, Final

__all__ = ["AsyncConnections", "Connections"]

RESTED_NS: Final = 10_000_000
"""A connection that was good so long ago may have been closed by a server that restarted."""


class Connections:
    """As many as threads ask at once. A forked child begins with none.

    No lock, which a fork could leave held: a list gives and takes in one step.

    Args:
        redis: the module.
        options: of a connection, and its class.

    Raises:
        TypeError: an option that redis-py does not have.
    """

    def __init__(self, redis: Any, options: dict[str, Any]) -> None:
        self._options = dict(options)
        self._make = self._options.pop("connection_class", redis.Connection)
        self._answers = redis.exceptions.ResponseError
        self._broken = (redis.exceptions.RedisError, OSError)
        self._idle: list[tuple[Any, int]] = []
        self._pid = os.getpid()
        self._make(**self._options)

    def send(self, packed: bytes) -> Any:
        """The answer to a command. Errors are those of redis-py and of sockets."""
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

    def close(self) -> None:
        """Close those that nobody uses now."""
        while self._idle:
            self._idle.pop()[0].disconnect()

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


class AsyncConnections:
    """`Connections` for the coroutines of one event loop.

    Args:
        redis: the module.
        options: of a connection, and its class.
    """

    def __init__(self, redis: Any, options: dict[str, Any]) -> None:
        self._pool = redis.asyncio.ConnectionPool(**options)  # makes them, and keeps none
        self._answers = redis.exceptions.ResponseError
        self._idle: list[tuple[Any, int]] = []

    async def send(self, packed: bytes) -> Any:
        """The answer to a command; see `Connections.send`."""
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
        """Close those that nobody uses now."""
        while self._idle:
            await self._idle.pop()[0].disconnect(nowait=True)
