"""Limits on the routes of a Flask application."""

from collections.abc import Callable, Iterable
from functools import lru_cache, wraps
from typing import Any, Protocol, TypeVar, Unpack
from weakref import WeakSet

import flask
from flask.sansio.blueprints import Blueprint
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, default_exceptions

from rateproof.enforce.decision import Decision
from rateproof.enforce.frameworks.account import Account, SharedLimiter
from rateproof.enforce.frameworks.declarations import (
    Charge,
    Extension,
    ExtensionOptions,
    Limit,
    PolicySource,
)
from rateproof.enforce.http.answers import Refusal, joined
from rateproof.enforce.http.keys import KeyLike
from rateproof.enforce.http.views import WsgiRequest
from rateproof.errors import StoreError
from rateproof.policy import Policy

T = TypeVar("T", bound=Callable[..., Any] | Blueprint)
FlaskLimit = Limit[flask.Request]

_ACCOUNT = "rateproof.account"


class Declared(Protocol):
    """A decorator of views, below `route`, and of blueprints."""

    def __call__(self, target: T, /) -> T:
        """The view with the limit, or the blueprint itself."""
        ...


class FlaskDenied(HTTPException):
    """Raised for a request that a limit stops; an `errorhandler` can answer in its stead.

    Whoever answers, the response carries the fields of the limit and Retry-After.

    Args:
        denial: the answer that is given when nobody else gives one.
        decision: what the limiter said, None if its storage failed.
    """

    def __init__(self, denial: Refusal, decision: Decision | None) -> None:
        super().__init__(denial.detail)
        self.decision = decision
        self._denial = denial

    def get_response(self, *_: object, **__: object) -> flask.Response:
        """The answer of the limiter."""
        return flask.Response(
            self._denial.body, self._denial.status, headers=list(self._denial.fields)
        )


class FlaskRateLimit(Extension[flask.Request, Declared]):
    """The extension: limits are declared on it and checked by it.

    A view that has limits of its own is checked when it is called, after all
    `before_request` functions; any other before those that were registered after
    `init_app`. The most specific limits hold: those of the view, else those of
    its blueprint (of nested ones the innermost that has any), else `default`.
    The limits of `application` hold beside them. Static files are not limited.

    Args beside those of `Extension`:
        app: an application to set up at once.
        default: the policy of each route without limits, or a function.
        application: the policy of all routes together, and of requests for which
            there is none, or a function.
        store: as for a `Limiter`. None: `RATEPROOF_STORE` of the application's
            configuration, else `memory://`, which worker processes do not share.
        enabled: False: nothing is limited. None: `RATEPROOF_ENABLED` of the
            application's configuration, else True.

    Raises:
        InvalidArgument: one of these cannot be.
        StoreError: the store cannot be opened.
    """

    @staticmethod
    def _view(request: flask.Request) -> WsgiRequest:
        return WsgiRequest(request.environ)

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        key: KeyLike[flask.Request],
        default: PolicySource[flask.Request] | None = None,
        application: PolicySource[flask.Request] | None = None,
        store: str | None = None,
        enabled: bool | None = None,
        **options: Unpack[ExtensionOptions[flask.Request]],
    ) -> None:
        super().__init__(key=key, **options)
        self._store = store
        self._enabled = enabled
        self._mark = f"_rateproof_{id(self)}"
        self._policies: list[Policy] = []
        self._limiters: WeakSet[SharedLimiter[flask.Request]] = WeakSet()
        self._blueprints: dict[Blueprint, tuple[FlaskLimit, ...]] = {}
        self._exempt: set[Blueprint] = set()
        self._default = self._outer(default, scope=None)
        self._application = self._outer(application, scope="application")
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Check the requests to an application; each has a limiter of its own.

        Raises:
            InvalidArgument: a policy or an option cannot be.
            StoreError: the store cannot be opened.
        """
        enabled = self._enabled
        if enabled is None:
            enabled = app.config.get("RATEPROOF_ENABLED", True)
        if not enabled:
            return
        store = self._store or app.config.get("RATEPROOF_STORE", "memory://")
        limiter = SharedLimiter(store, self._guarded, **self._options)
        for policy in self._policies:
            limiter.prepare(policy)
        self._limiters.add(limiter)
        app.extensions[self._mark] = limiter
        app.before_request(self._before)
        app.after_request(self._after)

    def exempt(self, target: T) -> T:
        """A decorator of views and blueprints that are never limited nor counted."""
        if isinstance(target, Blueprint):
            self._exempt.add(target)
        else:
            setattr(target, self._mark, None)
        return target

    def _outer(
        self, policy: PolicySource[flask.Request] | None, scope: str | None
    ) -> tuple[FlaskLimit, ...]:
        if policy is None:
            return ()
        limit = self._make(policy, scope=scope)
        self._expect(limit)
        return (limit,)

    def _expect(self, limit: FlaskLimit) -> None:
        if isinstance(limit.policy, Policy):
            self._policies.append(limit.policy)
            for limiter in self._limiters:
                limiter.prepare(limit.policy)

    def _declare(self, limit: FlaskLimit) -> Declared:
        self._expect(limit)

        def decorate(target: T) -> T:
            if isinstance(target, Blueprint):
                self._blueprints[target] = (*self._blueprints.get(target, ()), limit)
                return target
            limits = (limit, *(getattr(target, self._mark, None) or ()))

            @wraps(target)
            def limited(*args: Any, **kwargs: Any) -> Any:
                self._check(limits)
                return flask.current_app.ensure_sync(target)(*args, **kwargs)

            setattr(limited, self._mark, limits)
            return limited  # type: ignore[return-value]  # a function for a function

        return decorate

    def _before(self) -> None:
        request = _current_request()
        view = flask.current_app.view_functions.get(request.endpoint or "")
        own = getattr(view, self._mark, ())
        if own is None or _is_static(request.endpoint, view):
            return
        if not own or _answered_by_flask(request):
            self._check(())

    def _check(self, own: tuple[FlaskLimit, ...]) -> None:
        app, request = flask.current_app, _current_request()
        limiter: SharedLimiter[flask.Request] | None = app.extensions.get(self._mark)
        blueprints = [app.blueprints[name] for name in request.blueprints]
        if limiter is None or not self._exempt.isdisjoint(blueprints):
            return
        account: Account = request.environ.setdefault(_ACCOUNT, Account())
        account.x_ratelimit |= self._x_ratelimit
        if own and account.considered.issuperset(own):
            return
        declared = [self._blueprints.get(blueprint, ()) for blueprint in blueprints]
        default = self._default if request.endpoint else ()
        charges = _charges_of(request, [own, *declared, default])
        charges += _charges_of(request, [self._application])
        due = account.due(limiter, charges)
        if due:
            self._decide(limiter, due, request, account)
        account.considered.update(own)

    def _decide(
        self,
        limiter: SharedLimiter[flask.Request],
        charges: list[Charge],
        request: flask.Request,
        account: Account,
    ) -> None:
        try:
            decision = limiter.hit(charges, request)
        except StoreError as error:
            self._failures.log(error)
            raise self._denied(request, account, None) from error
        if not decision.admitted:
            raise self._denied(request, account, decision)
        account.admit(limiter, charges, decision)

    def _denied(
        self, request: flask.Request, account: Account, decision: Decision | None
    ) -> FlaskDenied:
        accept = request.headers.get("Accept")
        answer = account.deny(decision, status=self._status, accept=accept)
        return _denied_class(answer.status)(answer, decision)

    def _after(self, response: flask.Response) -> flask.Response:
        account: Account | None = flask.request.environ.get(_ACCOUNT)
        if account is not None and account.told_on is not response:
            account.told_on = response
            response.headers = Headers(joined(list(response.headers), account.fields()))
        return response


def _current_request() -> flask.Request:
    """The request itself: each access by the proxy costs a look-up."""
    return flask.request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def _answered_by_flask(request: flask.Request) -> bool:
    """True if the view is not called, for Flask knows the answer: which methods there are."""
    automatic: bool = getattr(request.url_rule, "provide_automatic_options", False)
    return automatic and request.method == "OPTIONS"


def _is_static(endpoint: str | None, view: Callable[..., Any] | None) -> bool:
    """True if it is Flask's own view of static files, and not one that is called `static`."""
    named = (endpoint or "").rpartition(".")[2] == "static"
    return named and getattr(view, "__module__", "").startswith("flask.")


def _charges_of(
    request: flask.Request, levels: Iterable[Iterable[Limit[flask.Request]]]
) -> list[Charge]:
    """Charges of the limits that hold for a request, the most specific level first."""
    charges = []
    for level in levels:
        overriding = False
        for limit in level:
            charge = limit.charge(request, request.method, request.endpoint or "")
            if charge is not None:
                charges.append(charge)
                overriding |= limit.override
        if overriding:
            break
    return charges


@lru_cache
def _denied_class(status: int) -> type[FlaskDenied]:
    """The class for a status: Flask finds an `errorhandler` for a code by the class of that code."""
    return type(
        "Denied", (FlaskDenied, default_exceptions.get(status, HTTPException)), {"code": status}
    )
