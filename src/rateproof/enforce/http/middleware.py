"""The common part of both middlewares: the limiter, how it is asked, and what is answered."""

import logging
from collections.abc import Callable, Collection
from typing import ClassVar, Generic, TypeAlias, TypeVar

from rateproof.clock import SystemClock
from rateproof.enforce.decision import Decision
from rateproof.enforce.http.addresses import DIRECT, ClientAddress
from rateproof.enforce.http.answers import (
    Fields,
    Refusal,
    announcement,
    denial,
    limit_fields,
    x_ratelimit_fields,
)
from rateproof.enforce.http.flooding import Flooding, check_flood_exempt
from rateproof.enforce.http.keys import KeyLike, key_reader
from rateproof.enforce.http.validation import checked_status, checked_texts
from rateproof.enforce.http.views import RequestView
from rateproof.enforce.limiter import Limiter
from rateproof.errors import StoreError

A = TypeVar("A")
R = TypeVar("R")
WholeRefusal: TypeAlias = tuple[Refusal, tuple[tuple[str, str], ...]]
"""A denial, and all fields that it is sent with."""

_log = logging.getLogger("rateproof")

_LOG_INTERVAL_NS = 1_000_000_000


class Failures:
    """Failures of a limiter's storage: logged at most once a second, none lost from the count."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._silent_until_ns = 0
        self._unlogged = 0

    def log(self, error: StoreError) -> None:
        """One more request was denied since the storage failed."""
        self._unlogged += 1
        now_ns = self._clock.now_ns()
        if now_ns >= self._silent_until_ns:
            self._silent_until_ns = now_ns + _LOG_INTERVAL_NS
            _log.error("%d denied without a decision: %s", self._unlogged, error)
            self._unlogged = 0


class Middleware(Generic[A, R]):
    """An application that asks a limiter before each request to another one.

    Every answer that the limiter decided about, admitted or denied, carries
    RateLimit-Policy and RateLimit. No client's key appears in any of them, nor
    in a log. When the limiter's storage fails, requests are denied with 503 and
    the failure is logged, at most once a second.

    Args:
        app: the application to protect.
        limiter: asked once for each request.
        key: where a request says whose it is, or a function of the environ or
            scope that knows; where neither says anything, the client's address
            counts.
        status: the code of a denial, 400 to 599; 429 or 503 are meant for it.
        exempt: paths, or one, that are never counted nor limited: PATH_INFO, or
            the path without `root_path`, exactly.
        address: how the address of a client is found behind proxies.
        x_ratelimit: whether answers carry X-RateLimit-Limit, -Remaining and
            -Reset as well.
        name: what the policy is called in RateLimit and RateLimit-Policy, which
            tells it from that of another limiter before or behind this one:
            letters, digits, dots, hyphens and underscores.
        flood_exempt: addresses and networks whose new keys get places without
            end, or `all`; of any other address (IPv6: its /64) they get none
            while it holds a thousandth of them and more than half are held.

    Raises:
        InvalidArgument: one of these cannot be.
    """

    _view: ClassVar[Callable[..., RequestView]]
    """The part of a request that is read."""

    def __init__(  # noqa: PLR0913 - each is a choice of its own, by keyword
        self,
        app: A,
        limiter: Limiter,
        *,
        key: KeyLike[R],
        status: int = 429,
        exempt: str | Collection[str] = ("/healthz",),
        address: ClientAddress = DIRECT,
        x_ratelimit: bool = False,
        name: str = "default",
        flood_exempt: str | Collection[str] = (),
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._spec, self._address = key, address
        self._key = key_reader(key, self._view, address)
        self._status = checked_status(status)
        self._exempt = frozenset(checked_texts("exempt", exempt))
        self._x_ratelimit = x_ratelimit
        self._announced = announcement(limiter.policy, name)
        self._failures = Failures()
        exempted = check_flood_exempt(flood_exempt)
        self._flooding: Flooding[R] = Flooding(limiter, self._view, address, exempted)
        self._room = self._flooding.room()

    def _fields(self, decision: Decision) -> Fields:
        fields = limit_fields(decision, self._announced)
        return fields + x_ratelimit_fields(decision) if self._x_ratelimit else fields

    def _denied(self, decision: Decision, accept: str | None) -> WholeRefusal:
        answer = denial(decision, self._announced, status=self._status, accept=accept)
        return answer, (*answer.fields, *self._fields(decision))

    def _failed(self, error: StoreError, accept: str | None) -> WholeRefusal:
        self._failures.log(error)
        answer = denial(None, self._announced, status=self._status, accept=accept)
        return answer, (*answer.fields, ("RateLimit-Policy", self._announced.policy))
