"""Whose new keys take the places of a limiter: by the address that a request counts under."""

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Self

from rateproof.enforce.decision import Decision
from rateproof.enforce.http.addresses import ClientAddress, Networks
from rateproof.enforce.http.validation import checked_texts
from rateproof.enforce.http.views import RequestView
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.room import Room
from rateproof.errors import StoreError

__all__ = ["FORWARDED", "Flooding"]

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


class Flooding:
    """The room of a limiter, and the address that takes of it with a request's new key."""

    def __init__(self, room: Room, address: ClientAddress, exempt: Networks) -> None:
        self.room = room
        self._proxied = bool(address.proxies)
        self._address = replace(address, ipv6_prefix=128)
        self._site = replace(address, ipv6_prefix=min(_SITE_BITS, address.ipv6_prefix))
        self._exempt = exempt
        self._said = self._failed = False

    @classmethod
    def of(
        cls, limiter: Limiter, address: ClientAddress, told: str | Collection[str]
    ) -> Self | None:
        """The defence of a limiter, but for the networks that are told; None if there is none."""
        exempt = check_flood_exempt(told)
        room = None if exempt is None else limiter.room()
        return None if exempt is None or room is None else cls(room, address, exempt)

    def take(self, request: RequestView) -> None:
        """Note that a new key of this request took a place; the request has been decided."""
        try:
            self.room.take(self._taker(request))
        except StoreError as error:
            self._fails(error)

    def refusal(self, key: bytes, request: RequestView) -> Decision | None:
        """The decision about a request whose key may not have a place; said on stderr once."""
        try:
            decision = self.room.refusal(key, self._taker(request))
        except StoreError as error:
            self._fails(error)
            return None
        if decision is not None and not self._said:
            self._said = True
            hint = ""
            if not self._proxied and any(map(request.header, FORWARDED)):
                hint = (
                    f": {request.peer} seems to be a proxy that is not configured"
                    " (proxies=, --proxies), so all its clients are one address"
                )
            _log.warning(
                "an address holds a thousandth of the places, and its new clients get no more%s",
                hint,
            )
        return decision

    def _fails(self, error: StoreError) -> None:
        if not self._failed:
            self._failed = True
            _log.warning("what an address takes of the places cannot be counted: %s", error)

    def _taker(self, request: RequestView) -> bytes:
        """The address whose share counts; empty without one, or if it is exempt."""
        whole = self._address.of(request).decode("utf-8", "replace")
        if not whole or whole.startswith("unix:") or whole in self._exempt:
            return b""
        return self._site.of(request)
