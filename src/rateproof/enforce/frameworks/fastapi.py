"""Limits on the routes of a FastAPI application, as dependencies."""

from collections.abc import Awaitable, Callable, Collection
from typing import Unpack

from fastapi import FastAPI, Response, WebSocket
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from rateproof.enforce.decision import Decision
from rateproof.enforce.frameworks.account import Account
from rateproof.enforce.frameworks.decide import SharedLimiter
from rateproof.enforce.frameworks.fastapi_routes import Outermost, route_name
from rateproof.enforce.frameworks.limits import (
    Limit,
    LimiterOptions,
    LimitFactory,
    PolicySource,
)
from rateproof.enforce.http.addresses import DIRECT, ClientAddress
from rateproof.enforce.http.answers import Denial
from rateproof.enforce.http.asgi import (
    TRY_AGAIN_LATER,
    AsgiApplication,
    Receive,
    Send,
    announcing,
)
from rateproof.enforce.http.failures import Failures
from rateproof.enforce.http.keys import KeyLike
from rateproof.enforce.http.request import AsgiRequest, Scope
from rateproof.errors import InvalidArgument, StoreError
from rateproof.policy import Policy

__all__ = ["Denied", "RateLimit"]

Dependency = Callable[[HTTPConnection], Awaitable[None]]

_ACCOUNT = "rateproof.account"
_OUTERMOST = "rateproof.outermost"


class Denied(HTTPException):
    """Raised for a request that a limit stops; an exception handler can answer in its stead.

    Whoever answers, the response carries the fields of the limit and Retry-After.

    Args:
        denial: the answer that is given when nobody else gives one.
        decision: what the limiter said, None if its storage failed.
    """

    def __init__(self, denial: Denial, decision: Decision | None) -> None:
        super().__init__(denial.status, denial.detail)
        self.denial = denial
        self.decision = decision


class RateLimit:
    """Makes dependencies that limit routes: `Depends(limits.limit("5 per 5s"))`.

    Each route is counted by itself, unless a limit is shared; also where the
    dependency is one of a router or of the whole application. Functions given
    for keys, policies, costs and exemptions are called with the request (of
    Starlette, or the WebSocket whose handshake it is); what they need from
    elsewhere, an earlier dependency can leave in `request.state`.

    Several dependencies decide one after the other: those before the one that
    denies have counted the request. One policy of several quotas is all or
    nothing.

    Args:
        app: an application to set up at once.
        key: where a request says whose it is, such as `header:X-Api-Key|ip`, or
            a function; where neither says anything, the client's address counts.
        store: as for a `Limiter`.
        status: the code of a denial, 400 to 599.
        address: how the address of a client is found behind proxies.
        x_ratelimit: whether answers carry X-RateLimit-* as well.
        exempt_when: a function that tells whether a request is counted at all.
        enabled: False: nothing is limited.
        options: `clock`, `on_full`, `on_error`, `capacity` and `shadow` of a
            `Limiter`.

    Raises:
        InvalidArgument: one of these cannot be.
    """

    def __init__(
        self,
        app: FastAPI | None = None,
        *,
        key: KeyLike[HTTPConnection],
        store: str = "memory://",
        status: int = 429,
        address: ClientAddress = DIRECT,
        x_ratelimit: bool = False,
        exempt_when: Callable[[HTTPConnection], bool] | None = None,
        enabled: bool = True,
        **options: Unpack[LimiterOptions],
    ) -> None:
        self._make = LimitFactory(
            key, _view, status=status, address=address, exempt_when=exempt_when
        )
        self._limiter = SharedLimiter(store, **options)
        self._enabled = enabled
        self._x_ratelimit = x_ratelimit
        self._failures = Failures()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: FastAPI) -> None:
        """Let the answers of an application, and of those mounted in it, say what was decided.

        Needed before the application serves; a handler that it already has for
        `Denied` is kept.
        """
        app.exception_handlers.setdefault(Denied, _answer)  # type: ignore[arg-type]  # WebSockets too
        app.add_middleware(_Announcing, x_ratelimit=self._x_ratelimit)

    def limit(
        self,
        policy: PolicySource[HTTPConnection],
        *,
        key: KeyLike[HTTPConnection] | None = None,
        cost: int | Callable[[HTTPConnection], int] = 1,
        methods: str | Collection[str] | None = None,
        per_method: bool = False,
        exempt_when: Callable[[HTTPConnection], bool] | None = None,
    ) -> Dependency:
        """A dependency that counts each route by itself.

        Args:
            policy: such as `5 per 5s`, or a function that knows; one that says
                None does not limit the request.
            key: whose the request is, if not as the instance says.
            cost: how many admissions a request takes, or a function.
            methods: those, or the one, that are limited; None for all.
            per_method: whether each method is counted by itself.
            exempt_when: a function that tells whether a request is not counted.

        Raises:
            InvalidArgument: one of these cannot be.
            NeverPossible: the cost is above a limit of the policy.
            StoreError: the store cannot be opened.
        """
        return self._dependency(
            self._make(
                policy,
                key=key,
                cost=cost,
                methods=methods,
                per_method=per_method,
                exempt_when=exempt_when,
            )
        )

    def shared_limit(
        self,
        policy: PolicySource[HTTPConnection],
        scope: str,
        *,
        key: KeyLike[HTTPConnection] | None = None,
        cost: int | Callable[[HTTPConnection], int] = 1,
        exempt_when: Callable[[HTTPConnection], bool] | None = None,
    ) -> Dependency:
        """A dependency that counts all routes with the same scope together.

        Args:
            policy: see `limit`, as for the others.
            scope: the name under which they are counted.
            key: see `limit`.
            cost: see `limit`.
            exempt_when: see `limit`.
        """
        return self._dependency(
            self._make(policy, key=key, cost=cost, scope=scope, exempt_when=exempt_when)
        )

    def _dependency(self, limit: Limit[HTTPConnection]) -> Dependency:
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
                decision = await self._limiter.ahit(due)
            except StoreError as error:
                self._failures.log(error)
                raise self._denied(request, account, None) from error
            if not decision.admitted:
                raise self._denied(request, account, decision)
            account.admit(self._limiter, [due], decision)

    def _denied(
        self, request: HTTPConnection, account: Account, decision: Decision | None
    ) -> Denied:
        accept = request.headers.get("accept")
        return Denied(account.deny(decision, status=self._make.status, accept=accept), decision)


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
                scope[_OUTERMOST] = Outermost.of(scope)
                send = announcing(send, account.fields)
            account.x_ratelimit |= self._x_ratelimit
        await self._app(scope, receive, send)


async def _answer(connection: HTTPConnection, error: Exception) -> Response | None:
    """The exception handler for `Denied`."""
    if not isinstance(error, Denied):
        raise error
    extensions = connection.scope.get("extensions") or {}
    if isinstance(connection, WebSocket) and "websocket.http.response" not in extensions:
        await connection.close(TRY_AGAIN_LATER)
        return None
    return Response(error.denial.body, error.denial.status, dict(error.denial.fields))


def _view(request: HTTPConnection) -> AsgiRequest:
    return AsgiRequest(request.scope)


def _found(request: HTTPConnection) -> tuple[Account, str]:
    """The account of a request, and the name of its route."""
    account: Account | None = request.scope.get(_ACCOUNT)
    if account is None:
        raise InvalidArgument(
            "RateLimit does not know the application", "RateLimit(app, …) or init_app(app)"
        )
    return account, route_name(request.scope, request.scope[_OUTERMOST])
