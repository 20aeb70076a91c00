"""New keys that take the places of a limiter, by the address that a request counts under."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import Generic, TypeAlias, TypeVar

from rateproof.enforce.decision import Decision
from rateproof.enforce.http.addresses import ClientAddress, Networks, written
from rateproof.enforce.http.validation import checked_texts
from rateproof.enforce.http.views import RequestView
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.room import Room
from rateproof.errors import StoreError
from rateproof.policy import Policy

R = TypeVar("R")
Lacking: TypeAlias = tuple[Room, int]

_log = logging.getLogger("rateproof")

FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
"""Fields of a request that a proxy passed on."""

_SITE_BITS = 64
"""Of an IPv6 address: who has one of a /64 has them all."""


def check_flood_exempt(told: str | Collection[str]) -> Networks | None:
    """The networks of the option `flood_exempt`; None where it says `all`."""
    texts = checked_texts("flood_exempt", told)
    networks = Networks((text for text in texts if text != "all"), "flood_exempt")
    return None if "all" in texts else networks


class Flooding(Generic[R]):
    """A limiter that lets no address take the places of all others with new keys.

    Args:
        limiter: that decides.
        view: what is read of a request.
        address: how the address of a client is found.
        exempt: the networks that may take any number, None for all of them.
    """

    def __init__(
        self,
        limiter: Limiter,
        view: Callable[[R], RequestView],
        address: ClientAddress,
        exempt: Networks | None,
    ) -> None:
        self._limiter, self._view = limiter, view
        self._proxied = bool(address.proxies)
        self._address, self._site_bits = address, min(_SITE_BITS, address.ipv6_prefix)
        self._defends = exempt is not None
        self._exempt = exempt or Networks((), "flood_exempt")
        self._rooms: dict[Policy | None, Room | None] = {}
        self._said = self._failed = False

    def room(self, policy: Policy | None = None) -> Room | None:
        """The places that keys under a policy take; None where nobody is refused any."""
        if policy not in self._rooms:
            self._rooms[policy] = self._limiter.room(policy) if self._defends else None
        return self._rooms[policy]

    def hit(self, key: bytes, request: R, cost: int = 1, policy: Policy | None = None) -> Decision:
        """`Limiter.hit` for the key of a request."""
        room = self.room(policy)
        if lacking := self._lacking(room, key, request):
            return self.refuse(*lacking, request)
        decision = self._limiter.hit(key, cost, policy=policy)
        self._note(room, decision, cost, request)
        return decision

    async def ahit(
        self, key: bytes, request: R, cost: int = 1, policy: Policy | None = None
    ) -> Decision:
        """`Limiter.ahit` for the key of a request."""
        room = self.room(policy)
        if lacking := self._lacking(room, key, request):
            return self.refuse(*lacking, request)
        decision = await self._limiter.ahit(key, cost, policy=policy)
        self._note(room, decision, cost, request)
        return decision

    def lacking(self, keys: Iterable[tuple[bytes, Policy]], request: R) -> list[Lacking | None]:
        """The arguments of `refuse` for each key, once those before it have their places; None: it has one."""
        new: Counter[bytes] = Counter()
        return [self._lacking(self.room(policy), key, request, new) for key, policy in keys]

    def refuse(self, room: Room, wait_ns: int, request: R) -> Decision:
        """Decide about a request whose key may not have a place; said on stderr once."""
        view = self._view(request)
        if not self._said:
            self._said = True
            hint = ""
            if not self._proxied and any(map(view.header, FORWARDED)):
                hint = (
                    f": {view.peer} seems to be a proxy that is not configured"
                    " (proxies=, --proxies), so all its clients are one address"
                )
            _log.warning(
                "an address holds a thousandth of the places, and its new clients get no more%s",
                hint,
            )
        return room.refuse(wait_ns)

    def take(self, room: Room, request: R) -> None:
        """Note that a new key of this request took a place; the request has been decided."""
        try:
            room.take(self._taker(self._view(request)))
        except StoreError as error:
            self._fails(error)

    def _note(self, room: Room | None, decision: Decision, cost: int, request: R) -> None:
        if room is not None and room.took(decision, cost):
            self.take(room, request)

    def _lacking(
        self, room: Room | None, key: bytes, request: R, new: Counter[bytes] | None = None
    ) -> Lacking | None:
        """The room in which a key lacks a place, and the time until it may have one.

        `new` counts the places that keys of the same request need, by their tables.
        """
        if room is None or not room.crowded:
            return None
        new = Counter() if new is None else new
        try:
            if room.knows(key):
                return None
            new[room.table] += 1
            wait_ns = room.wait_ns(self._taker(self._view(request)), new[room.table])
        except StoreError as error:
            self._fails(error)
            return None
        return None if wait_ns is None else (room, wait_ns)

    def _fails(self, error: StoreError) -> None:
        if not self._failed:
            self._failed = True
            _log.warning("what an address takes of the places cannot be counted: %s", error)

    def _taker(self, request: RequestView) -> bytes:
        """The address whose share counts; empty without one, or if it is exempt."""
        return _counted(self._address.hop(request), self._site_bits, self._exempt)


@lru_cache(4096)  # of all limiters: one with a cache of its own would be in a circle with it
def _counted(hop: str, site_bits: int, exempt: Networks) -> bytes:
    whole = written(hop, 128).decode("utf-8", "replace")
    if not whole or whole.startswith("unix:") or whole in exempt:
        return b""
    return written(hop, site_bits)
