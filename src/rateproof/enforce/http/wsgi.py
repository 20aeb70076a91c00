"""A limiter in front of a WSGI application: denials never reach it."""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rateproof.core import native
from rateproof.enforce.http.addresses import DIRECT, ClientAddress
from rateproof.enforce.http.answers import Denial, Fields
from rateproof.enforce.http.joining import joined
from rateproof.enforce.http.keys import KeyLike, plain_reader
from rateproof.enforce.http.middleware import Middleware
from rateproof.enforce.http.request import WsgiRequest
from rateproof.enforce.limiter import Limiter
from rateproof.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import OptExcInfo

__all__ = ["RateLimitMiddleware"]

_LISTS = 2
"""RateLimit-Policy and RateLimit."""

Written: TypeAlias = tuple[str, Fields, bytes]
"""A denial: status line, all its fields, and body."""

Ask: TypeAlias = Callable[[WSGIEnvironment], Fields | Written | None]


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
        self._ask = None if x_ratelimit else self._desk(key, address)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if environ.get("PATH_INFO") in self._exempt:
            return self._app(environ, start_response)
        try:
            said = None if self._ask is None else self._ask(environ)
            if said is None:
                decision = self._limiter.hit(self._key(environ))
                if decision.admitted:
                    said = self._fields(decision)
                else:
                    said = _written(self._denied(decision, environ.get("HTTP_ACCEPT")))
        except StoreError as error:
            said = _written(self._failed(error, environ.get("HTTP_ACCEPT")))
        if isinstance(said, list):
            return self._app(environ, partial(_start, start_response, said))
        line, fields, body = said
        start_response(line, fields)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]

    def _desk(self, key: KeyLike[WSGIEnvironment], address: ClientAddress) -> Ask | None:
        """The native core's way to all of this, where it knows one; None leaves it to us."""
        module, gate = native(), self._limiter.gate
        read = plain_reader(key, WsgiRequest, address)
        if module is None or gate is None or read is None:
            return None
        write = module.LimitFields(self._announced.names, self._announced.policy)
        ask: Ask = module.WsgiDesk(gate, read, write, self._denied).ask
        return ask


def _written(answer: tuple[Denial, Iterable[tuple[str, str]]]) -> Written:
    denial, fields = answer
    return denial.line, list(fields), denial.body


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
