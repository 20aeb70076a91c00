"""A Redis or Valkey Cluster, asked by redis-py's own client, which follows its slots."""

from contextlib import nullcontext, suppress
from typing import Any, Final

from rateproof.enforce.stores.protocols import at_once
from rateproof.enforce.stores.redis.address import Address
from rateproof.enforce.stores.redis.bounds import OneCall, bounded
from rateproof.enforce.stores.redis.command import Command, Mode
from rateproof.enforce.stores.redis.loops import LoopClients
from rateproof.enforce.stores.redis.outages import Breaker

_SHARE: Final = 0.85
"""Of what is left of a call, one wait gets: then there is time to ask other nodes who has the key.

Of the default that is still more than TCP takes to send a lost packet again.
"""


class RedisCluster:
    """A Cluster; one node that does not answer leaves the keys of the others alone.

    Raises:
        TypeError: an option that redis-py does not have.
    """

    def __init__(self, redis: Any, address: Address) -> None:
        self._redis = redis
        self._address = address
        self._timeout_s = address.timeout_s
        options = address.options(redis.connection.parse_url(address.url))
        redis.ConnectionPool(**options).make_connection()
        self._options = {
            name: value
            for name, value in options.items()
            if name not in {"host", "port", "db", "connection_class"}
        }
        self._options["ssl"] = address.url.startswith("rediss:")
        self._client: Any = None
        self.loops = LoopClients(self._make_for_loop, address.timeout_s)
        self._breakers: dict[str, Breaker] = {}

    def breaker(self, digest: bytes, *, waits: bool = False) -> Breaker:
        """The breaker of the node that answers for this digest, as far as is known."""
        client, name = self.loops.current if waits else self._client, ""
        if client is not None:
            # Unknown until the topology was read, and for a slot that no node serves.
            with suppress(self._redis.exceptions.RedisClusterException):
                name = client.get_node_from_key(b"{%b}" % digest).name
        return self._breakers.setdefault(name, Breaker(self._address.shown))

    async def ask(
        self, command: Command, digest: bytes, mode: Mode, cost: int, *, waits: bool
    ) -> object:
        """Run the script; see `Server.ask`."""
        with nullcontext() if waits else OneCall(self._timeout_s, _SHARE):
            client = self.loops.current if waits else self._connected()
            with suppress(self._redis.exceptions.NoScriptError):
                return await _run(client, command.words(digest, mode, cost), waits=waits)
            return await _run(client, command.words(digest, mode, cost, whole=True), waits=waits)

    def delete(self, keys: list[bytes]) -> None:
        """Forget these states, which share a slot."""
        with OneCall(self._timeout_s, _SHARE):
            at_once(_run(self._connected(), [b"DEL", *keys]))

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
        self.loops.close()

    def _connected(self) -> Any:
        # Made when first needed, since making it connects. No lock, which a fork
        # could leave held: at worst the topology is read twice.
        if self._client is None:
            self._client = self._make_bounded()
        return self._client

    def _make_bounded(self) -> Any:
        """A client for threads, all of whose connections wait no longer than a call."""
        redis = self._redis

        cluster: Any = redis.cluster.RedisCluster

        class Frugal(cluster):
            """Reads the list of all commands when it first needs it, not before it can decide."""

            def command(self) -> dict[str, Any]:
                return {}

        def prompt(connection: Any) -> Any:
            in_time: Any = bounded(connection)

            class Prompt(in_time):
                """Says that a node is lost where redis-py would sleep and then ask the others."""

                def read_response(self, *args: Any, **named: Any) -> Any:
                    try:
                        return super().read_response(*args, **named)
                    except redis.exceptions.ClusterDownError as error:
                        raise redis.exceptions.ConnectionError(str(error)) from error

            return Prompt

        def pool(connection_class: Any = redis.Connection, **options: Any) -> Any:
            return redis.ConnectionPool(connection_class=prompt(connection_class), **options)

        options = {name: value for name, value in self._options.items() if name != "ssl"}
        return self._made(
            redis, Frugal, url=self._address.url, connection_pool_class=pool, **options
        )

    def _make_for_loop(self) -> Any:
        """A client for the coroutines of one loop, which wait for a node as long as threads do."""
        waits = ("socket_timeout", "socket_connect_timeout")
        shares = {name: self._options[name] * _SHARE for name in waits}
        flavour = self._redis.asyncio
        client = self._made(flavour, flavour.cluster.RedisCluster, **self._options | shares)
        client.commands_parser = _NoCommands()
        return client

    def _made(self, flavour: Any, kind: Any, **options: Any) -> Any:
        return kind(
            startup_nodes=[flavour.cluster.ClusterNode(*node) for node in self._address.nodes],
            retry=flavour.retry.Retry(self._redis.backoff.NoBackoff(), 0),
            require_full_coverage=False,
            **options,
        )


class _NoCommands:
    """The list of all commands, which takes as long to read as many decisions: scripts need none."""

    async def initialize(self, node: object = None) -> None:
        """Read nothing."""


async def _run(client: Any, words: list[bytes], *, waits: bool = False) -> Any:
    name, *rest = words
    answer = client.execute_command(name.decode(), *rest)
    return await answer if waits else answer
