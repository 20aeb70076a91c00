"""A limiter in front of a WSGI application: denials never reach it."""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rateproof.core import native
from rateproof.enforce.http.addresses import DIRECT, ClientAddress
from rateproof.enforce.http.answers import Fields
from rateproof.enforce.http.joining import joined
from rateproof.enforce.http.keys import KeyLike, plain_reader
from rateproof.enforce.http.middleware import Answer, Middleware
from rateproof.enforce.http.request import WsgiRequest
from rateproof.enforce.limiter import Limiter
from rateproof.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import OptExcInfo

__all__ = ["RateLimitMiddleware"]

_LISTS = 2
"""RateLimit-Policy and RateLimit."""


class RateLimitMiddleware(Middleware[WSGIEnvironment]):
    """A WSGI application that asks a limiter before each request to another one.

    Every answer that the limiter decided about, admitted or denied, carries
    RateLimit-Policy and RateLimit. No client's key appears in any of them, nor
    in a log. When the limiter's storage fails, requests are denied with 503 and
    the failure is logged, at most once a second.

    Args:
        app: the application to protect.
        limiter: asked once for each request.
        key: where a request says whose it is, or a function of the environ that
            knows; where neither says anything, the client's address counts.
        status: the code of a denial, 400 to 599; 429 or 503 are meant for it.
        exempt: paths, or one (PATH_INFO, exactly), that are never counted nor limited.
        address: how the address of a client is found behind proxies.
        x_ratelimit: whether answers carry X-RateLimit-Limit, -Remaining and
            -Reset as well.
        name: what the policy is called in RateLimit and RateLimit-Policy, which
            tells it from that of another limiter before or behind this one:
            letters, digits, dots, hyphens and underscores.

    Raises:
        InvalidArgument: one of these cannot be.
    """

    def __init__(
        self,
        app: WSGIApplication,
        limiter: Limiter,
        *,
        key: KeyLike[WSGIEnvironment],
        status: int = 429,
        exempt: str | Collection[str] = ("/healthz",),
        address: ClientAddress = DIRECT,
        x_ratelimit: bool = False,
        name: str = "default",
    ) -> None:
        super().__init__(
            limiter,
            key=key,
            view=WsgiRequest,
            status=status,
            exempt=exempt,
            address=address,
            x_ratelimit=x_ratelimit,
            name=name,
        )
        self._app = app
        self._serve = self._desk(key, address) or self._answer

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        return self._serve(environ, start_response)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in self._exempt:
            return self._app(environ, start_response)
        try:
            decision = self._limiter.hit(self._key(environ))
        except StoreError as error:
            return self._refuse(error, environ, start_response)
        if decision.admitted:
            start = partial(_start, start_response, self._fields(decision))
            return self._app(environ, start)
        answer = self._denied(decision, environ.get("HTTP_ACCEPT"))
        return _send(answer, environ, start_response)

    def _refuse(
        self, error: StoreError, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        answer = self._failed(error, environ.get("HTTP_ACCEPT"))
        return _send(answer, environ, start_response)

    def _desk(
        self, key: KeyLike[WSGIEnvironment], address: ClientAddress
    ) -> WSGIApplication | None:
        """The native core's way to all of this, where it knows one."""
        module, gate = native(), self._limiter.gate
        read = plain_reader(key, WsgiRequest, address)
        if module is None or gate is None or read is None or self._x_ratelimit:
            return None
        write = module.LimitFields(self._announced.names, self._announced.policy)
        desk = module.WsgiDesk(
            gate, read, write, self._exempt, self._app,
            compose=self._denied, otherwise=self._answer, refuse=self._refuse,
        )  # fmt: skip
        serve: WSGIApplication = desk.serve
        return serve


def _send(
    answer: Answer, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    denial, fields = answer
    start_response(denial.line, list(fields))
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [denial.body]


def _start(
    start_response: StartResponse,
    fields: Fields,
    status: str,
    headers: Fields,
    exc_info: "OptExcInfo | None" = None,
    /,
) -> Callable[[bytes], object]:
    # Without the older fields there are only lists, and nothing to look for.
    all_fields = joined(headers, fields) if len(fields) > _LISTS else headers + fields
    return start_response(status, all_fields, exc_info)
