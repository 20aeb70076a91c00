"""One policy's states in Redis, and the denials of it that are remembered here."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rateproof.core import native
from rateproof.enforce.decision import Answer, Ruling
from rateproof.enforce.stores.redis.command import Command, Mode, digest_of
from rateproof.enforce.stores.redis.service import Link, Service
from rateproof.errors import InvalidArgument, StoreError, StoreUnreachable
from rateproof.policy import Quota

if TYPE_CHECKING:
    from rateproof._native import Denials
    from rateproof.enforce.stores import Ledger

__all__ = ["RedisLedger"]


class RedisLedger:
    """One policy's states in Redis; see `Ledger`.

    Args:
        service: what is asked.
        number: of this ledger in the store.
        quotas: in the order of the answers.
        local: decides while the server does not answer, if anything does.
    """

    def __init__(
        self, service: Service, number: int, quotas: Sequence[Quota], local: "Ledger | None"
    ) -> None:
        self.quotas = quotas
        self._service = service
        self._number = number
        self._local = local
        self._command = Command(service.address.prefix, quotas)
        self._denials = service.denials
        self._link: Link | None = service.link

    def hit(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """Decide in one round trip, or in none if the denial is remembered; see `Ledger`."""
        denied = self._remembered(key, cost, now_ns)
        return denied or self._asked("hit", key, cost, skip_full=skip_full)

    def peek(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """What `hit` would decide, changing nothing; see `Ledger`."""
        denied = self._remembered(key, cost, now_ns)
        return denied or self._asked("peek", key, cost, skip_full=skip_full)

    async def ahit(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> Ruling:
        """`hit` for coroutines, over connections of the running loop."""
        denied = self._remembered(key, cost, now_ns)
        if denied is not None:
            return denied
        service, link, digest = self._service, self._open_link(), digest_of(key)
        async with link.gate():
            breaker = link.abreaker(digest)
            if not breaker.allows():
                return self._locally(service.resting(), "hit", key, cost, skip_full=skip_full)
            resets, sent_ns = self._denials.resets, time.monotonic_ns()
            try:
                reply = await link.aask(self._command, digest, "hit", cost)
            except service.errors as error:
                failure = service.failed(breaker, error)
                return self._locally(failure, "hit", key, cost, skip_full=skip_full)
        service.answered(breaker)
        return self._ruling(key, cost, sent_ns, resets, reply)

    def reset(self, key: bytes) -> None:
        """Forget every admission of the key: here, in Redis, and in no other process's memory.

        Raises:
            StoreUnreachable: the server does not answer.
        """
        service, link, digest = self._service, self._open_link(), digest_of(key)
        breaker = link.breaker(digest)
        if self._local is not None:
            self._local.reset(key)
        try:
            link.delete(self._command.keys(digest))
        except service.errors as error:
            raise service.failed(breaker, error) from None
        finally:
            service.denials.forget(key)
        service.answered(breaker)

    def clear(self) -> None:
        """Forget every admission of every key: searches all that Redis keeps, bit by bit.

        Raises:
            StoreUnreachable: the server does not answer.
        """
        service, link = self._service, self._open_link()
        if self._local is not None:
            self._local.clear()
        try:
            for pattern in self._command.patterns():
                link.delete_all(pattern)
        except service.errors as error:
            raise service.failed(link.breaker(b""), error) from None
        finally:
            service.denials.clear()

    def census(self, now_ns: int | None) -> Sequence[tuple[int, int]]:  # noqa: ARG002 - as in `Ledger`
        """Nothing: Redis does not count keys by their beginning."""
        return ()

    @property
    def source(self) -> "tuple[Denials, int] | None":
        """What the native core decides by alone: denials that it remembers; see `Ledger`."""
        module = native()
        if module is None or not isinstance(self._denials, module.Denials):
            return None
        return self._denials, self._number

    def close(self) -> None:
        """Decide no more."""
        self._link = None

    def _remembered(self, key: bytes, cost: int, now_ns: int | None) -> Ruling | None:
        if now_ns is not None:
            raise InvalidArgument(
                "a clock for a store that has its own", "on Redis the server's clock decides"
            )
        answers = self._denials.answers(key, self._number, cost)
        if answers is None:
            return None
        return Ruling(False, [Answer._make(each) for each in answers], "cached")  # noqa: FBT003 - `admitted`

    def _asked(self, mode: Mode, key: bytes, cost: int, *, skip_full: bool) -> Ruling:
        service, link, digest = self._service, self._open_link(), digest_of(key)
        breaker = link.breaker(digest)
        if not breaker.allows():
            return self._locally(service.resting(), mode, key, cost, skip_full=skip_full)
        resets, sent_ns = self._denials.resets, time.monotonic_ns()
        try:
            reply = link.ask(self._command, digest, mode, cost)
        except service.errors as error:
            failure = service.failed(breaker, error)
            return self._locally(failure, mode, key, cost, skip_full=skip_full)
        service.answered(breaker)
        return self._ruling(key, cost, sent_ns, resets, reply)

    def _ruling(self, key: bytes, cost: int, sent_ns: int, resets: int, reply: object) -> Ruling:
        try:
            admitted, answers = self._command.read(reply, cost)
        except ValueError as error:
            raise self._service.mistake(error) from None
        if not admitted and resets == self._denials.resets:
            self._denials.keep(key, self._number, cost, sent_ns, answers)
        return Ruling(admitted, answers)

    def _locally(
        self, failure: StoreError, mode: Mode, key: bytes, cost: int, *, skip_full: bool
    ) -> Ruling:
        if self._local is None or not isinstance(failure, StoreUnreachable):
            raise failure from None
        decide = self._local.hit if mode == "hit" else self._local.peek
        return decide(key, cost, None, skip_full=skip_full)._replace(reason="local")

    def _open_link(self) -> Link:
        if self._link is None:
            raise StoreError("the limiter is closed", "open another one")
        return self._link
