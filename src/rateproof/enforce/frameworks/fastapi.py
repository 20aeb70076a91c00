"""Limits on the routes of a FastAPI application, as dependencies."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from re import Pattern
from typing import NamedTuple, Self, Unpack

from fastapi import FastAPI, Response, WebSocket
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount, compile_path

from rateproof.enforce.decision import Decision
from rateproof.enforce.frameworks.account import Account, SharedLimiter
from rateproof.enforce.frameworks.declarations import Extension, ExtensionOptions, Limit
from rateproof.enforce.http.answers import Refusal
from rateproof.enforce.http.asgi import (
    TRY_AGAIN_LATER,
    AsgiApplication,
    Receive,
    Send,
    announcing,
)
from rateproof.enforce.http.keys import KeyLike
from rateproof.enforce.http.views import AsgiRequest, Scope
from rateproof.errors import InvalidArgument, StoreError
from rateproof.policy import Policy

Dependency = Callable[[HTTPConnection], Awaitable[None]]

_ACCOUNT = "rateproof.account"
_OUTERMOST = "rateproof.outermost"


class FastApiDenied(HTTPException):
    """Raised for a request that a limit stops; an exception handler can answer in its stead.

    Whoever answers, the response carries the fields of the limit and Retry-After.

    Args:
        denial: the answer that is given when nobody else gives one.
        decision: what the limiter said, None if its storage failed.
    """

    def __init__(self, denial: Refusal, decision: Decision | None) -> None:
        super().__init__(denial.status, denial.detail)
        self.denial = denial
        self.decision = decision


class FastApiRateLimit(Extension[HTTPConnection, Dependency]):
    """Makes dependencies that limit routes: `Depends(limits.limit("5 per 5s"))`.

    Each route is counted by itself also where the dependency is one of a router or
    of the whole application. Functions are called with the request of Starlette,
    or the WebSocket whose handshake it is; what they need from elsewhere, an
    earlier dependency can leave in `request.state`.

    Several dependencies decide one after the other: those before the one that
    denies have counted the request. One policy of several quotas is all or
    nothing.

    Args beside those of `Extension`:
        app: an application to set up at once.
        store: as for a `Limiter`.
        enabled: False: nothing is limited.

    Raises:
        InvalidArgument: one of these cannot be.
    """

    @staticmethod
    def _view(request: HTTPConnection) -> AsgiRequest:
        return AsgiRequest(request.scope)

    def __init__(
        self,
        app: FastAPI | None = None,
        *,
        key: KeyLike[HTTPConnection],
        store: str = "memory://",
        enabled: bool = True,
        **options: Unpack[ExtensionOptions[HTTPConnection]],
    ) -> None:
        super().__init__(key=key, **options)
        self._limiter = SharedLimiter(store, self._guarded, **self._options)
        self._enabled = enabled
        if app is not None:
            self.init_app(app)

    def init_app(self, app: FastAPI) -> None:
        """Let the answers of an application, and of those mounted in it, say what was decided.

        Needed before the application serves; a handler that it already has for
        `FastApiDenied` is kept.
        """
        app.exception_handlers.setdefault(FastApiDenied, _answer)  # type: ignore[arg-type]  # WebSockets too
        app.add_middleware(_Announcing, x_ratelimit=self._x_ratelimit)

    def _declare(self, limit: Limit[HTTPConnection]) -> Dependency:
        if not limit.override:
            raise InvalidArgument("override=False in FastAPI", "all dependencies hold as it is")
        if self._enabled and isinstance(limit.policy, Policy):
            self._limiter.prepare(limit.policy)

        async def check(request: HTTPConnection) -> None:
            if self._enabled:
                await self._check(limit, request)

        return check

    async def _check(self, limit: Limit[HTTPConnection], request: HTTPConnection) -> None:
        account, route = _found(request)
        charge = limit.charge(request, request.scope.get("method", "GET"), route)
        for due in account.due(self._limiter, [charge] if charge else []):
            try:
                decision = await self._limiter.ahit(due, request)
            except StoreError as error:
                self._failures.log(error)
                raise self._denied(request, account, None) from error
            if not decision.admitted:
                raise self._denied(request, account, decision)
            account.admit(self._limiter, [due], decision)

    def _denied(
        self, request: HTTPConnection, account: Account, decision: Decision | None
    ) -> FastApiDenied:
        accept = request.headers.get("accept")
        return FastApiDenied(account.deny(decision, status=self._status, accept=accept), decision)


class _Announcing:
    """Keeps the account of each request, and lets its answer say what stands there."""

    def __init__(self, app: AsgiApplication, *, x_ratelimit: bool) -> None:
        self._app = app
        self._x_ratelimit = x_ratelimit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            account: Account | None = scope.get(_ACCOUNT)
            if account is None:
                account = scope[_ACCOUNT] = Account()
                scope[_OUTERMOST] = _Outermost.of(scope)
                send = announcing(send, account.fields)
            account.x_ratelimit |= self._x_ratelimit
        await self._app(scope, receive, send)


async def _answer(connection: HTTPConnection, error: Exception) -> Response | None:
    if not isinstance(error, FastApiDenied):
        raise error
    extensions = connection.scope.get("extensions") or {}
    if isinstance(connection, WebSocket) and "websocket.http.response" not in extensions:
        await connection.close(TRY_AGAIN_LATER)
        return None
    return Response(error.denial.body, error.denial.status, dict(error.denial.fields))


def _found(request: HTTPConnection) -> tuple[Account, str]:
    """The account of a request, and the name of its route."""
    account: Account | None = request.scope.get(_ACCOUNT)
    if account is None:
        raise InvalidArgument(
            "RateLimit does not know the application", "RateLimit(app, …) or init_app(app)"
        )
    return account, _route_name(request.scope, request.scope[_OUTERMOST])


class _Outermost(NamedTuple):
    """The application that a request came to first: its routes, and where it is mounted."""

    routes: Sequence[BaseRoute]
    root: str

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """From the scope as this application has it."""
        return cls(scope["app"].routes, scope.get("root_path", ""))


def _route_name(scope: Scope, outermost: _Outermost) -> str:
    """The path as it was declared, from the outermost application on, and the function.

    No part of it is a client's choice: where a path has parameters they stand
    for their values. So a mount that is not found is left out, for what the
    request calls it may be such a value.
    """
    endpoint = scope["endpoint"]
    name = getattr(endpoint, "__qualname__", type(endpoint).__qualname__)
    return f"{_mount(scope, outermost)}{_declared_path(scope)} {endpoint.__module__}.{name}"


def _declared_path(scope: Scope) -> str:
    """The declared path with the prefixes of all routers that it was included by.

    Newer versions of FastAPI have these not in the route, which can be included
    twice, but in what stands for it in each router.
    """
    included = scope.get("fastapi", {}).get("effective_route_context")
    path: str = getattr(included, "path", "") or getattr(scope.get("route"), "path", "")
    return path


def _mount(scope: Scope, outermost: _Outermost) -> str:
    root: str = scope.get("root_path", "")
    mounted = root.removeprefix(outermost.root)
    if not mounted:
        return ""
    return next((path for path in _mounts(outermost.routes) if _compiled(path).match(mounted)), "")


def _mounts(routes: Iterable[BaseRoute], before: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield before + route.path
            yield from _mounts(route.routes, before + route.path)


@lru_cache(1024)
def _compiled(path: str) -> Pattern[str]:
    return compile_path(path)[0]
