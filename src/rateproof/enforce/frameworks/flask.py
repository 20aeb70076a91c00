"""Limits on the routes of a Flask application."""

from collections.abc import Callable, Iterable
from functools import lru_cache, wraps
from typing import Any, TypeVar, Unpack
from weakref import WeakSet

import flask
from flask.sansio.blueprints import Blueprint
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, default_exceptions

from rateproof.enforce.decision import Decision
from rateproof.enforce.frameworks.account import Account, SharedLimiter
from rateproof.enforce.frameworks.declarations import (
    Charge,
    Limit,
    LimiterOptions,
    LimitFactory,
    LimitOptions,
    PolicySource,
)
from rateproof.enforce.http.addresses import DIRECT, ClientAddress
from rateproof.enforce.http.answers import Refusal, joined
from rateproof.enforce.http.keys import KeyLike
from rateproof.enforce.http.middleware import Failures
from rateproof.enforce.http.views import WsgiRequest
from rateproof.errors import StoreError
from rateproof.policy import Policy

__all__ = ["FlaskDenied", "FlaskRateLimit"]

T = TypeVar("T", bound=Callable[..., Any] | Blueprint)
FlaskLimit = Limit[flask.Request]

_ACCOUNT = "rateproof.account"


class FlaskLimitOptions(LimitOptions[flask.Request], total=False):
    """And what only Flask knows: limits that are declared further out."""

    override: bool


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


class FlaskRateLimit:
    """The extension: limits are declared on it and checked by it.

    A view that has limits of its own is checked when it is called, after all
    `before_request` functions; any other before those that were registered after
    `init_app`. The most specific limits hold: those of the view, else those of
    its blueprint (of nested ones the innermost that has any), else `default`.
    The limits of `application` hold beside them. Static files are not limited.

    Each route is counted by itself, unless a limit is shared. Functions given for
    keys, policies, costs and exemptions are called with `flask.request`.

    Args:
        app: an application to set up at once.
        key: where a request says whose it is, such as `header:X-Api-Key|ip`, or
            a function; where neither says anything, the client's address counts.
        default: the policy of each route without limits, or a function.
        application: the policy of all routes together, and of requests for which
            there is none, or a function.
        store: as for a `Limiter`. None: `RATEPROOF_STORE` of the application's
            configuration, else `memory://`, which worker processes do not share.
        status: the code of a denial, 400 to 599.
        address: how the address of a client is found behind proxies.
        x_ratelimit: whether answers carry X-RateLimit-* as well.
        exempt_when: a function that tells whether a request is counted at all.
        enabled: False: nothing is limited. None: `RATEPROOF_ENABLED` of the
            application's configuration, else True.
        options: `clock`, `on_full`, `on_error`, `capacity` and `shadow` of a
            `Limiter`.

    Raises:
        InvalidArgument: one of these cannot be.
        StoreError: the store cannot be opened.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own, by keyword
        self,
        app: flask.Flask | None = None,
        *,
        key: KeyLike[flask.Request],
        default: PolicySource[flask.Request] | None = None,
        application: PolicySource[flask.Request] | None = None,
        store: str | None = None,
        status: int = 429,
        address: ClientAddress = DIRECT,
        x_ratelimit: bool = False,
        exempt_when: Callable[[flask.Request], bool] | None = None,
        enabled: bool | None = None,
        **options: Unpack[LimiterOptions],
    ) -> None:
        self._make = LimitFactory(
            key, _view, status=status, address=address, exempt_when=exempt_when
        )
        self._store = store
        self._options = options
        self._enabled = enabled
        self._x_ratelimit = x_ratelimit
        self._failures = Failures()
        self._mark = f"_rateproof_{id(self)}"
        self._policies: list[Policy] = []
        self._limiters: WeakSet[SharedLimiter] = WeakSet()
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
        limiter = SharedLimiter(store, **self._options)
        for policy in self._policies:
            limiter.prepare(policy)
        self._limiters.add(limiter)
        app.extensions[self._mark] = limiter
        app.before_request(self._before)
        app.after_request(self._after)

    def limit(
        self, policy: PolicySource[flask.Request], **options: Unpack[FlaskLimitOptions]
    ) -> Callable[[T], T]:
        """A decorator of views, below `route`, and of blueprints: each route is counted by itself.

        Several on one view all hold.

        Args:
            policy: such as `5 per 5s`, or a function that knows; one that says
                None does not limit the request.
            options: any of these.
                `key`: whose the request is, if not as the extension says.
                `cost`: how many admissions a request takes, or a function.
                `methods`: those, or the one, that are limited; None for all.
                `per_method`: whether each method is counted by itself.
                `exempt_when`: a function that tells whether a request is not counted.
                `override`: False: the limits of the blueprint and the default
                hold beside it.

        Raises:
            InvalidArgument: one of these cannot be.
            NeverPossible: the cost is above a limit of the policy.
        """
        return self._declare(self._make(policy, **options))

    def shared_limit(
        self, policy: PolicySource[flask.Request], scope: str, **options: Unpack[FlaskLimitOptions]
    ) -> Callable[[T], T]:
        """`limit` for views or blueprints that are counted together: those with the same scope."""
        return self._declare(self._make(policy, scope=scope, **options))

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

    def _declare(self, limit: FlaskLimit) -> Callable[[T], T]:
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
        limiter: SharedLimiter | None = app.extensions.get(self._mark)
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
        limiter: SharedLimiter,
        charges: list[Charge],
        request: flask.Request,
        account: Account,
    ) -> None:
        try:
            decision = limiter.hit(charges)
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
        answer = account.deny(decision, status=self._make.status, accept=accept)
        return _denied_class(answer.status)(answer, decision)

    def _after(self, response: flask.Response) -> flask.Response:
        account: Account | None = flask.request.environ.get(_ACCOUNT)
        if account is not None and account.told_on is not response:
            account.told_on = response
            response.headers = Headers(joined(list(response.headers), account.fields()))
        return response


def _view(request: flask.Request) -> WsgiRequest:
    return WsgiRequest(request.environ)


def _current_request() -> flask.Request:
    """The request itself: each access by the proxy costs a look-up."""
    return flask.request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def _answered_by_flask(request: flask.Request) -> bool:
    """Whether the view is not called, for Flask knows the answer: which methods there are."""
    automatic: bool = getattr(request.url_rule, "provide_automatic_options", False)
    return automatic and request.method == "OPTIONS"


def _is_static(endpoint: str | None, view: Callable[..., Any] | None) -> bool:
    """Whether it is Flask's own view of static files, and not one that is called `static`."""
    named = (endpoint or "").rpartition(".")[2] == "static"
    return named and getattr(view, "__module__", "").startswith("flask.")


def _charges_of(
    request: flask.Request, levels: Iterable[Iterable[Limit[flask.Request]]]
) -> list[Charge]:
    """What the limits take that hold for a request, the most specific level first."""
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
