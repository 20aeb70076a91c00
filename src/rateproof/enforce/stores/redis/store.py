"""Redis and Valkey: every machine decides on the same admissions, in one round trip.

One script decides, by the server's clock. `docs/enforce/redis.md` says what
stays exact when.
"""

import itertools
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeAlias

from rateproof.core import native
from rateproof.enforce.counters import DecisionCounters
from rateproof.enforce.decision import Answer, Ruling
from rateproof.enforce.stores.protocols import Ledger, Store, at_once
from rateproof.enforce.stores.redis.address import parse_address
from rateproof.enforce.stores.redis.cluster import RedisCluster
from rateproof.enforce.stores.redis.command import Command, Mode, digest_of
from rateproof.enforce.stores.redis.denials import Denials
from rateproof.enforce.stores.redis.outages import store_error
from rateproof.enforce.stores.redis.single import Server
from rateproof.enforce.stores.tables import check_quota
from rateproof.errors import InvalidArgument, StoreError, StoreUnreachable
from rateproof.policy import Quota

if TYPE_CHECKING:
    from rateproof import _native

Link: TypeAlias = Server | RedisCluster

_STUMBLES: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors that redis-py raises on a reply that no Redis gives."""


class RedisStore:
    """The quotas of one server or Cluster, for every machine that reaches it; see `Store`.

    The first decision connects. So a service starts while the server is down, and
    decides by `on_error`.

    Args:
        url: see `address`.
        beside: tables of this process: its counters, and its ledgers if `local`. Closed with
            the store.
        local: decide by these while the server does not answer.

    Raises:
        InvalidArgument: the URL or one of its options cannot be, or redis-py is missing.
    """

    def __init__(self, url: str, beside: Store, *, local: bool) -> None:
        self.address = parse_address(url)
        shown = self.address.shown
        try:
            import redis
            import redis.asyncio
            import redis.asyncio.cluster
        except ModuleNotFoundError:
            raise InvalidArgument(
                f"store {shown!r} needs the package redis", "pip install redis"
            ) from None
        try:
            kind = RedisCluster if self.address.nodes else Server
            self._link: Link | None = kind(redis, self.address)
        except (TypeError, ValueError, redis.RedisError) as error:
            raise InvalidArgument(f"store {shown!r}: {error}", "options of redis-py") from None
        known = redis.exceptions
        self.errors = (known.RedisError, known.RedisClusterException, OSError, *_STUMBLES)
        self._redis = redis
        module = native()
        self.denials: Denials | _native.Denials
        self.denials = Denials() if module is None else module.Denials()
        self.local = local
        self._beside = beside
        # No lock, which a fork could leave held: of two ledgers made at once one is forgotten.
        self._ledgers: dict[tuple[Quota, ...], RedisLedger] = {}
        self._numbers = itertools.count()

    @property
    def link(self) -> Link:
        """The server or Cluster.

        Raises:
            StoreError: it is closed.
        """
        if self._link is None:
            raise StoreError("the limiter is closed", "open another one")
        return self._link

    def error(self, error: Exception) -> StoreError:
        """Return what to raise for an error of redis-py or of a socket, or for a reply that is no decision."""
        return store_error(self._redis, error, self.address)

    def ledger(self, quotas: Sequence[Quota]) -> "RedisLedger":
        """The ledger of these quotas; see `Store`."""
        quotas = tuple(quotas)
        _ = self.link
        if quotas not in self._ledgers:
            for quota in quotas:
                check_quota(quota, capacity=1)
            local = self._beside.ledger(quotas) if self.local else None
            number = next(self._numbers)  # never twice: denials are remembered by it
            self._ledgers[quotas] = RedisLedger(self, number, quotas, local)
        return self._ledgers[quotas]

    def counters(self) -> DecisionCounters:
        """Counters of this process; with the native core also of the children that it forks."""
        return self._beside.counters()

    def retain(self, quotas: Sequence[Quota]) -> None:
        """Let go of ledgers with other quotas, and of their tables; see `Store`."""
        self._ledgers = {
            kept: ledger for kept, ledger in self._ledgers.items() if set(kept) <= set(quotas)
        }
        self._beside.retain(quotas)

    def close(self) -> None:
        """Let go of the connections, once or more often."""
        link, self._link = self._link, None
        if link is not None:
            self.denials.clear()
            link.close()
            self._beside.close()


class RedisLedger:
    """One policy's states in Redis, and the denials of it that are remembered here; see `Ledger`.

    Args:
        store: what is asked.
        number: of this ledger in the store.
        quotas: in the order of the answers.
        local: decides while the server does not answer, if anything does.
    """

    def __init__(
        self, store: RedisStore, number: int, quotas: Sequence[Quota], local: Ledger | None
    ) -> None:
        self.quotas = quotas
        self._store = store
        self._number = number
        self._local = local
        self._command = Command(store.address.prefix, quotas)

    def hit(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """Decide in one round trip, or in none if the denial is remembered; see `Ledger`."""
        return at_once(self._decide("hit", key, cost, now_ns, skip_full=skip_full))

    def peek(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """Say what `hit` would decide, changing nothing; see `Ledger`."""
        return at_once(self._decide("peek", key, cost, now_ns, skip_full=skip_full))

    async def ahit(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> Ruling:
        """`hit` for coroutines, over connections of the running loop."""
        return await self._decide("hit", key, cost, now_ns, skip_full=skip_full, waits=True)

    def reset(self, key: bytes) -> None:
        """Forget every admission of the key: here, in Redis, and in no other process's memory.

        Raises:
            StoreUnreachable: the server does not answer.
        """
        store, link, digest = self._store, self._store.link, digest_of(key)
        breaker = link.breaker(digest)
        if self._local is not None:
            self._local.reset(key)
        try:
            link.delete(self._command.keys(digest))
        except store.errors as error:
            raise breaker.failed(store.error(error)) from None
        finally:
            store.denials.forget(key)
        breaker.answered()

    def clear(self) -> None:
        """Forget every admission of every key: searches all that Redis keeps, bit by bit.

        Raises:
            StoreUnreachable: the server does not answer.
        """
        store, link = self._store, self._store.link
        if self._local is not None:
            self._local.clear()
        try:
            for pattern in self._command.keys(b"*"):
                link.delete_all(pattern)
        except store.errors as error:
            raise link.breaker(b"").failed(store.error(error)) from None
        finally:
            store.denials.clear()

    @property
    def source(self) -> "tuple[_native.Denials, int] | None":
        """The denials that the native core remembers, and answers by alone; see `Ledger`."""
        denials = self._store.denials
        return None if isinstance(denials, Denials) else (denials, self._number)

    async def _decide(
        self,
        mode: Mode,
        key: bytes,
        cost: int,
        now_ns: int | None,
        *,
        skip_full: bool,
        waits: bool = False,
    ) -> Ruling:
        """Decide; only if it `waits`, others go on meanwhile."""
        store = self._store
        if now_ns is not None:
            raise InvalidArgument(
                "a clock for a store that has its own", "on Redis the server's clock decides"
            )
        known = store.denials.answers(key, self._number, cost)
        if known is not None:
            answers = [Answer._make(each) for each in known]
            return Ruling(admitted=False, answers=answers, reason="cached")
        link, digest = store.link, digest_of(key)
        prompt = False  # with the whole time for the server
        try:
            async with link.loops.turn() if waits else nullcontext(enter_result=True) as prompt:
                breaker = link.breaker(digest, waits=waits)
                breaker.check()
                resets, sent_ns = store.denials.resets, time.monotonic_ns()
                reply = await link.ask(self._command, digest, mode, cost, waits=waits)
        except StoreUnreachable as error:
            return self._locally(error, mode, key, cost, skip_full=skip_full)
        except store.errors as error:
            failure = store.error(error)
            if prompt:
                breaker.failed(failure)
            return self._locally(failure, mode, key, cost, skip_full=skip_full)
        breaker.answered()
        return self._ruling(key, cost, sent_ns, resets, reply)

    def _ruling(self, key: bytes, cost: int, sent_ns: int, resets: int, reply: object) -> Ruling:
        try:
            admitted, answers = self._command.read(reply, cost)
        except ValueError as error:
            raise self._store.error(error) from None
        if not admitted and resets == self._store.denials.resets:
            self._store.denials.keep(key, self._number, cost, sent_ns, answers)
        return Ruling(admitted, answers)

    def _locally(
        self, failure: StoreError, mode: Mode, key: bytes, cost: int, *, skip_full: bool
    ) -> Ruling:
        if self._local is None or not isinstance(failure, StoreUnreachable):
            raise failure from None
        decide = self._local.hit if mode == "hit" else self._local.peek
        return decide(key, cost, None, skip_full=skip_full)._replace(reason="local")
