"""Limits on the views of a Django project: middleware, decorators, and the settings of both."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import wraps
from inspect import isawaitable, signature
from re import fullmatch
from threading import RLock
from typing import Any, Final, TypeVar, Unpack

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string
from django.views import View

from rateproof.enforce.frameworks.account import Account, SharedLimiter
from rateproof.enforce.frameworks.declarations import (
    Extension,
    ExtensionOptions,
    Limit,
    LimitOptions,
    PolicySource,
)
from rateproof.enforce.http.addresses import ClientAddress
from rateproof.enforce.http.answers import Refusal
from rateproof.enforce.http.keys import KeyLike
from rateproof.enforce.http.validation import (
    checked_flag,
    checked_whole,
    function_name,
    without_waiting,
)
from rateproof.enforce.http.views import WsgiRequest
from rateproof.enforce.limiter import check_options
from rateproof.enforce.stores import MAX_CAPACITY, NETWORK_SCHEMES, check_url
from rateproof.enforce.stores.tables import check_quota
from rateproof.errors import InvalidArgument, StoreError
from rateproof.policy import Policy

T = TypeVar("T", bound=Callable[..., Any])
DjangoLimit = Limit[HttpRequest]
Declaration = Callable[["DjangoRateLimit"], DjangoLimit]
"""A limit as a view has it: it is made anew when settings change, as they do in tests."""

_ACCOUNT = "rateproof.account"
_DECLARED = "_rateproof"


class DjangoRateLimit(Extension[HttpRequest, DjangoLimit]):
    """The settings in `RATEPROOF` of a project, in small letters.

    Args beside those of `Extension`, whose `address` is told in three:
        policy: that of the middleware, for all views together; or a function.
        store: as for a `Limiter`.
        denied_view: called with the request and a `Refusal`; its answer is the denial.
        enabled: False: nothing is limited.
        proxies, proxy_header, ipv6_prefix: as in `ClientAddress`.

    Raises:
        InvalidArgument: one of these cannot be.
        TypeError: it is of a kind that cannot be.
    """

    @staticmethod
    def _view(request: HttpRequest) -> WsgiRequest:
        """The request as a key reads it: `META`, where a middleware may have put the address of the client."""
        scope = getattr(request, "scope", None)
        if scope is None:
            return WsgiRequest(request.META)
        query = scope.get("query_string", b"")  # Django decodes it for `META`
        raw = query.encode() if isinstance(query, str) else query  # text in Django's test client
        return WsgiRequest({**request.META, "QUERY_STRING": raw.decode("latin-1")})

    def __init__(
        self,
        *,
        key: KeyLike[HttpRequest] = "ip",
        policy: PolicySource[HttpRequest] | None = None,
        store: str = "memory://",
        denied_view: Callable[[HttpRequest, Refusal], HttpResponseBase] | None = None,
        enabled: bool = True,
        proxies: int | Collection[str] = 0,
        proxy_header: str = "X-Forwarded-For",
        ipv6_prefix: int = 128,
        **options: Unpack[ExtensionOptions[HttpRequest]],
    ) -> None:
        self.address = options["address"] = ClientAddress(proxies, proxy_header, ipv6_prefix)
        super().__init__(key=key, **options)
        if denied_view is not None and not callable(denied_view):
            raise InvalidArgument(f"denied_view {denied_view!r}", "a view, or its dotted path")
        self._denied_view = denied_view and without_waiting(
            "denied_view", denied_view, ("request", "refusal")
        )
        self._enabled = checked_flag("enabled", enabled)
        self._check_now(store, **self._options)
        self._limiter = SharedLimiter(store, self._guarded, **self._options)
        self.waits = store.startswith(NETWORK_SCHEMES)
        self._made: dict[Declaration, DjangoLimit] = {}
        self._site = () if policy is None else (self.shared_limit(policy, "application"),)

    def _check_now(
        self, store: object, *, capacity: int = 1, shadow: bool = False, **options: Any
    ) -> None:
        """Check what a limiter is opened with before the first request."""
        if not isinstance(store, str):
            raise InvalidArgument(f"store {store!r}", "such as 'shm://my-site'")
        check_url(store)
        checked_flag("x_ratelimit", self._x_ratelimit)
        checked_flag("shadow", shadow)
        checked_whole("capacity", capacity, 1, MAX_CAPACITY)
        check_options(store, **options)

    def prepare(self) -> None:
        """Open the store for the policy of the middleware, before workers are forked."""
        for limit in self._site:
            if self._enabled and isinstance(limit.policy, Policy):
                self._limiter.prepare(limit.policy)

    def refuse(
        self, request: HttpRequest, declared: Iterable[Declaration] | None = None, view: str = ""
    ) -> HttpResponseBase | None:
        """The answer to a request that the limits of a view stop; None for one that may pass.

        Without limits of a view it is the policy of the middleware.
        """
        limits = self._site if declared is None else map(self._limit_of, declared)
        match = getattr(request, "resolver_match", None)
        refusal = self.decide(request, limits, f"{match.view_name if match else ''} {view}")
        if refusal is None:
            return None
        if self._denied_view is not None:
            answer: object = self._denied_view(request, refusal)
            if isinstance(answer, HttpResponseBase):
                return answer
            view = f"denied_view {function_name(self._denied_view)}"
            raise TypeError(f"{view} returned {type(answer).__name__}, not an HttpResponse")
        body = b"" if request.method == "HEAD" else refusal.body
        return HttpResponse(body, status=refusal.status, headers=dict(refusal.fields))

    def decide(
        self, request: HttpRequest, limits: Iterable[DjangoLimit], route: str
    ) -> Refusal | None:
        """Decide about what a request has not paid yet; None if it may pass."""
        if not self._enabled:
            return None
        account: Account = request.META.setdefault(_ACCOUNT, Account())
        account.x_ratelimit = self._x_ratelimit
        new = [limit for limit in limits if limit not in account.considered]
        charges = [limit.charge(request, request.method or "", route) for limit in new]
        due = account.due(self._limiter, [charge for charge in charges if charge is not None])
        if due:
            try:
                decision = self._limiter.hit(due, request)
            except StoreError as error:
                self._failures.log(error)
                decision = None
            if decision is None or not decision.admitted:
                accept = request.META.get("HTTP_ACCEPT")
                return account.deny(decision, status=self._status, accept=accept)
            account.admit(self._limiter, due, decision)
        account.considered.update(new)
        return None

    def _limit_of(self, declaration: Declaration) -> DjangoLimit:
        if declaration not in self._made:
            self._made.setdefault(declaration, declaration(self))
        return self._made[declaration]

    def _declare(self, limit: DjangoLimit) -> DjangoLimit:
        """The limit itself: decorators outlive the settings."""
        if not limit.override:
            raise InvalidArgument("override=False in Django", "all limits hold as it is")
        for quota in limit.policy.quotas if isinstance(limit.policy, Policy) else ():
            check_quota(quota, self._options.get("capacity", 1))
        return limit


_NAMES: Final = {
    name.upper(): name
    for name in (*signature(DjangoRateLimit).parameters, *ExtensionOptions.__annotations__)
    if name not in {"options", "address"}
}
_FUNCTIONS: Final = {"KEY", "POLICY", "EXEMPT_WHEN", "DENIED_VIEW", "CLOCK"}


def arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a `DjangoRateLimit` from `RATEPROOF`, where functions can be dotted paths.

    Raises:
        InvalidArgument: a name that there is not, or a path that leads nowhere.
    """
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"RATEPROOF is {given!r}", 'a dict, such as {"STORE": "shm://site"}')
    read = {}
    for name, value in given.items():
        if name not in _NAMES:
            raise InvalidArgument(f"there is no {name!r}", f"one of {', '.join(sorted(_NAMES))}")
        text = value if isinstance(value, str) and name in _FUNCTIONS else ""
        try:
            path = fullmatch(r"\w+(\.\w+)+", text)
            read[_NAMES[name]] = import_string(text) if path else value
        except ImportError as error:
            raise InvalidArgument(f"{name} {value!r}: {error}", "a dotted path") from None
    return read


_built: list[DjangoRateLimit] = []
_mutex = RLock()  # what a dotted path imports may ask for the limits


def current() -> DjangoRateLimit:
    """The limits of the project, with its one limiter, made when they are asked for first.

    Raises:
        InvalidArgument: the settings have something that cannot be.
    """
    with _mutex:
        if not _built:
            _built.append(DjangoRateLimit(**arguments(getattr(settings, "RATEPROOF", {}))))
        return _built[0]


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    """Make them anew: a test has overridden the settings."""
    if setting == "RATEPROOF":
        with _mutex:
            _built.clear()


def user(request: HttpRequest) -> str | None:
    """A key: who is logged in; all others count by their address."""
    who = getattr(request, "user", None)
    return str(who.pk) if who is not None and who.is_authenticated else None


def limit(
    policy: PolicySource[HttpRequest], **options: Unpack[LimitOptions[HttpRequest]]
) -> Callable[[T], T]:
    """A decorator of views, their classes and methods; see `Extension.limit`."""
    return _decorator(lambda limits: limits.limit(policy, **options))


def shared_limit(
    policy: PolicySource[HttpRequest], scope: str, **options: Unpack[LimitOptions[HttpRequest]]
) -> Callable[[T], T]:
    """`limit` for views that are counted together: those with the same scope."""
    return _decorator(lambda limits: limits.shared_limit(policy, scope, **options))


def _decorator(declaration: Declaration) -> Callable[[Any], Any]:
    declaration(DjangoRateLimit())  # what cannot be is an error where it is written

    def decorate(target: Any) -> Any:
        if isinstance(target, type) and hasattr(target, "dispatch"):
            target.dispatch = _limited(target.dispatch, declaration)
            return target
        if isinstance(target, type) or not callable(target):
            raise InvalidArgument(f"a limit on {target!r}", "a view, its class or a method of it")
        return _limited(target, declaration)

    return decorate


def _limited(target: Any, declaration: Declaration) -> Any:
    """A view, or a method of one, that asks first; limits of decorators further in come with it."""
    declared = (declaration, *getattr(target, _DECLARED, ()))

    @wraps(target)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        request, view = _request_in(args, kwargs), _view_of(target, args)
        answer = await _ask(request, declared, _name(target, view))
        if answer is None:
            answer = target(*args, **kwargs)
        return _announced(request, await answer if isawaitable(answer) else answer)

    @wraps(target)
    def limited(*args: Any, **kwargs: Any) -> Any:
        view = _view_of(target, args)
        if getattr(view, "view_is_async", False):  # its `dispatch` is not, but returns coroutines
            return awaited(*args, **kwargs)
        request = _request_in(args, kwargs)
        refusal = current().refuse(request, declared, _name(target, view))
        return _announced(request, target(*args, **kwargs) if refusal is None else refusal)

    chosen = awaited if iscoroutinefunction(target) else limited
    setattr(chosen, _DECLARED, declared)
    return chosen


class DjangoMiddleware:
    """Holds all views together to the policy of the settings, and lets each answer say its limits.

    Limits of views work without it, but an error that a view raises is then
    answered without the fields of its limits.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
        current().prepare()

    def __call__(self, request: HttpRequest) -> Any:
        """The answer of the views, or a denial."""
        if iscoroutinefunction(self):
            return self._serve(request)
        refusal = current().refuse(request)
        return _announced(request, self._get_response(request) if refusal is None else refusal)

    async def _serve(self, request: HttpRequest) -> Any:
        refusal = await _ask(request)
        answer = await self._get_response(request) if refusal is None else refusal
        return _announced(request, answer)


async def _ask(request: HttpRequest, *view: Any) -> HttpResponseBase | None:
    """`refuse` in the event loop, or in a thread where that has to wait."""
    limits = current()
    if not limits.waits:
        try:
            return limits.refuse(request, *view)
        except SynchronousOnlyOperation:  # a function asks the database; nothing is decided yet
            pass
    return await sync_to_async(limits.refuse)(request, *view)


def _request_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> HttpRequest:
    """The request that a view is called with, behind `self` in a method."""
    for given in (*args[:2], kwargs.get("request")):
        if hasattr(given, "META"):
            request: HttpRequest = given
            return request
    raise TypeError("a view with a limit is called without a request")


def _view_of(target: Any, args: tuple[Any, ...]) -> type | None:
    """The class of a view that is called by a method, or was made by `as_view`; None for others."""
    # `method_decorator` hands over a bound method; a plain one is called with `self`.
    owner = getattr(getattr(target, "func", target), "__self__", args[0] if args else None)
    return type(owner) if isinstance(owner, View) else getattr(target, "view_class", None)


def _name(target: Any, view: type | None) -> str:
    """The name that a view counts under: classes that inherit a method differ, and lambdas."""
    named = target if hasattr(target, "__qualname__") else getattr(target, "func", type(target))
    lines = "<lambda>" in named.__qualname__ and hasattr(named, "__code__")
    line = named.__code__.co_firstlineno if lines else ""
    owner = f"{view.__module__}.{view.__qualname__}" if view else ""
    return f"{owner} {named.__module__}.{named.__qualname__} {line}"


def _announced(request: HttpRequest, response: Any) -> Any:
    """The response, with the fields of all that was decided about the request."""
    account: Account | None = request.META.get(_ACCOUNT)
    if account is not None and isinstance(response, HttpResponseBase):
        for name, value in account.fields():
            response.headers[name] = value
    return response
