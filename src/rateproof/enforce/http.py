"""A limiter in front of a WSGI application: denials never reach it."""

import logging
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rateproof.clock import SystemClock
from rateproof.enforce.answers import Fields, denial, limit_fields, policy_field, quota_names
from rateproof.enforce.decision import Decision
from rateproof.enforce.keys import key_of
from rateproof.enforce.limiter import Limiter
from rateproof.errors import InvalidArgument, StoreError
from rateproof.keyspec import KeySpec

if TYPE_CHECKING:
    from _typeshed import OptExcInfo

__all__ = ["RateLimitMiddleware", "checked_status", "key_of"]

_log = logging.getLogger("rateproof")

_LOG_INTERVAL_NS = 1_000_000_000


def checked_status(status: int) -> int:
    """The code of a denial, as it is.

    Raises:
        InvalidArgument: not an error code of HTTP.
    """
    if not 400 <= status <= 599:
        raise InvalidArgument(f"status {status}", "400 to 599; 429 or 503 are meant for denials")
    return status


class RateLimitMiddleware:
    """A WSGI application that asks a limiter before each request to another one.

    Every answer that the limiter decided about, admitted or denied, carries
    RateLimit-Policy and RateLimit. No client's key appears in any of them, nor
    in a log. When the limiter's storage fails, requests are denied with 503 and
    the failure is logged, at most once a second.

    Args:
        app: the application to protect.
        limiter: asked once for each request.
        key: where a request says whose it is.
        status: the code of a denial, 400 to 599; 429 or 503 are meant for it.
        exempt: paths (PATH_INFO, exactly) that are never counted nor limited.

    Raises:
        InvalidArgument: `status` is out of range.
    """

    def __init__(
        self,
        app: WSGIApplication,
        limiter: Limiter,
        *,
        key: KeySpec | str,
        status: int = 503,
        exempt: Collection[str] = ("/healthz",),
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._key = KeySpec.parse(key) if isinstance(key, str) else key
        self._status = checked_status(status)
        self._exempt = frozenset(exempt)
        self._names = quota_names(limiter.policy)
        self._policy = policy_field(limiter.policy)
        self._failures = _Failures()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if environ.get("PATH_INFO") in self._exempt:
            return self._app(environ, start_response)
        try:
            decision = self._limiter.hit(key_of(environ, self._key))
        except StoreError as error:
            self._failures.log(error)
            return self._deny(environ, start_response, None, [("RateLimit-Policy", self._policy)])
        fields = limit_fields(decision, self._names, self._policy)
        if not decision.admitted:
            return self._deny(environ, start_response, decision, fields)
        return self._app(environ, _announcing(start_response, fields))

    def _deny(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        decision: Decision | None,
        fields: Fields,
    ) -> list[bytes]:
        answer = denial(
            decision, self._names, status=self._status, accept=environ.get("HTTP_ACCEPT")
        )
        start_response(answer.line, answer.fields + fields)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [answer.body]


def _announcing(start_response: StartResponse, fields: Fields) -> StartResponse:
    def start(
        status: str, headers: Fields, exc_info: "OptExcInfo | None" = None, /
    ) -> Callable[[bytes], object]:
        return start_response(status, headers + fields, exc_info)

    return start


class _Failures:
    """Failures of the storage, logged at most once a second and never lost from the count."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._silent_until_ns = 0
        self._unlogged = 0

    def log(self, error: StoreError) -> None:
        self._unlogged += 1
        now_ns = self._clock.now_ns()
        if now_ns >= self._silent_until_ns:
            self._silent_until_ns = now_ns + _LOG_INTERVAL_NS
            _log.error("%d denied without a decision: %s", self._unlogged, error)
            self._unlogged = 0
