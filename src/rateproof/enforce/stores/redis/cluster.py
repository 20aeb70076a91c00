"""A Redis or Valkey Cluster, asked by redis-py's own client, which follows its slots."""

import asyncio
from contextlib import suppress
from typing import Any

from rateproof.enforce.stores.redis.address import Address
from rateproof.enforce.stores.redis.bounds import bounded, one_call
from rateproof.enforce.stores.redis.command import Command, Mode
from rateproof.enforce.stores.redis.loops import LoopClients
from rateproof.enforce.stores.redis.outages import Breaker

__all__ = ["Cluster"]


class Cluster:
    """A Cluster; one node that does not answer leaves the keys of the others alone.

    Args:
        redis: the module.
        address: where some of its nodes are.

    Raises:
        TypeError: an option that redis-py does not have.
    """

    def __init__(self, redis: Any, address: Address) -> None:
        self._redis = redis
        self._address = address
        # Which node has a key is asked of one after the other, and of each not for longer.
        self._longest_s = address.timeout_s * (1 + len(address.nodes))
        options = address.options(redis.connection.parse_url(address.url))
        redis.ConnectionPool(**options).make_connection()
        self._options = {
            name: value
            for name, value in options.items()
            if name not in {"host", "port", "db", "connection_class"}
        }
        self._options["ssl"] = address.url.startswith("rediss:")
        self._client: Any = None
        self._loops = LoopClients(lambda: self._make(redis.asyncio, **self._options))
        self._breakers: dict[str, Breaker] = {}

    def breaker(self, digest: bytes) -> Breaker:
        """The breaker of the node that answers for this digest, as far as is known."""
        return self._breaker_of(self._client, digest)

    def abreaker(self, digest: bytes) -> Breaker:
        """`breaker` for coroutines."""
        return self._breaker_of(self._loops.current()[0], digest)

    def ask(self, command: Command, digest: bytes, mode: Mode, cost: int) -> object:
        """Run the script; see `Server.ask`."""
        with one_call(self._longest_s):
            client = self._connected()
            with suppress(self._redis.exceptions.NoScriptError):
                return _run(client, command.words(digest, mode, cost))
            return _run(client, command.words(digest, mode, cost, whole=True))

    async def aask(self, command: Command, digest: bytes, mode: Mode, cost: int) -> object:
        """`ask` for coroutines."""
        client, _ = self._loops.current()
        async with asyncio.timeout(self._longest_s):
            with suppress(self._redis.exceptions.NoScriptError):
                return await _run(client, command.words(digest, mode, cost))
            return await _run(client, command.words(digest, mode, cost, whole=True))

    def gate(self) -> asyncio.Semaphore:
        """The gate that lets some coroutines of the running loop ask at once."""
        return self._loops.current()[1]

    def delete(self, keys: list[bytes]) -> None:
        """Forget these states, which share a slot."""
        with one_call(self._longest_s):
            _run(self._connected(), [b"DEL", *keys])

    def delete_all(self, pattern: bytes) -> None:
        """Forget the states whose keys match."""
        client = self._connected()
        primaries = client.PRIMARIES
        for key in client.scan_iter(match=pattern, count=1000, target_nodes=primaries):
            self.delete([key])

    def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.close()
        self._loops.close()

    def _connected(self) -> Any:
        # Made when first needed, since making it connects. No lock, which a fork
        # could leave held: at worst the topology is read twice.
        if self._client is None:
            self._client = self._make_bounded()
        return self._client

    def _make_bounded(self) -> Any:
        """A client for threads, all of whose connections wait no longer than a call."""
        redis = self._redis

        def pool(connection_class: Any = redis.Connection, **options: Any) -> Any:
            return redis.ConnectionPool(connection_class=bounded(connection_class), **options)

        options = {name: value for name, value in self._options.items() if name != "ssl"}
        return self._make(redis, url=self._address.url, connection_pool_class=pool, **options)

    def _make(self, flavour: Any, **options: Any) -> Any:
        return flavour.cluster.RedisCluster(
            startup_nodes=[flavour.cluster.ClusterNode(*node) for node in self._address.nodes],
            retry=flavour.retry.Retry(self._redis.backoff.NoBackoff(), 0),
            require_full_coverage=False,
            **options,
        )

    def _breaker_of(self, client: Any, digest: bytes) -> Breaker:
        name = ""
        if client is not None:
            # Unknown until the topology was read, and for a slot that no node serves.
            with suppress(self._redis.exceptions.RedisClusterException):
                name = client.get_node_from_key(b"{%b}" % digest).name
        return self._breakers.setdefault(name, Breaker(self._address.shown))


def _run(client: Any, words: list[bytes]) -> Any:
    name, *rest = words
    return client.execute_command(name.decode(), *rest)
