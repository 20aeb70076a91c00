"""Declarations in every framework alike: limits, and what a request is charged by them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypedDict, TypeVar, Unpack

from rateproof.clock import Clock
from rateproof.enforce.http.addresses import DIRECT, ClientAddress
from rateproof.enforce.http.flooding import Flooding, check_flood_exempt
from rateproof.enforce.http.keys import KeyLike, key_reader, part
from rateproof.enforce.http.middleware import Failures
from rateproof.enforce.http.validation import (
    checked_flag,
    checked_methods,
    checked_status,
    is_whole,
    without_waiting,
)
from rateproof.enforce.http.views import RequestView
from rateproof.enforce.limiter import Limiter
from rateproof.errors import InvalidArgument, NeverPossible
from rateproof.policy import Policy, PolicyLike, policy_of

D = TypeVar("D")
R = TypeVar("R")
read_policy = lru_cache(1024)(policy_of)
PolicySource: TypeAlias = PolicyLike | Callable[[R], PolicyLike | None]


class LimiterOptions(TypedDict, total=False):
    """Arguments of the `Limiter` that a framework opens."""

    clock: Clock | None
    on_full: Literal["deny", "admit"]
    on_error: Literal["deny", "admit", "local"]
    capacity: int
    shadow: bool


class ExtensionOptions(LimiterOptions, Generic[R], total=False):
    """Arguments of `RateLimit` in every framework; see `Extension`."""

    status: int
    address: ClientAddress
    flood_exempt: str | Collection[str]
    x_ratelimit: bool
    exempt_when: Callable[[R], bool] | None


class LimitOptions(TypedDict, Generic[R], total=False):
    """Arguments of a limit where it is declared; see `Extension.limit`."""

    key: KeyLike[R] | None
    cost: int | Callable[[R], int]
    methods: str | Collection[str] | None
    per_method: bool
    exempt_when: Callable[[R], bool] | None
    override: bool


class Charge(NamedTuple):
    """The charge of one limit for one request."""

    key: bytes
    cost: int
    policy: Policy


@dataclass(frozen=True, slots=True, eq=False)
class Limit(Generic[R]):
    """One limit as it was declared; see `Extension.limit` for what is what.

    `scope` is the name under which several routes are counted together; a limit
    without one counts each route by itself. `override` says whether limits that
    are declared further out are left aside for this one.
    """

    policy: Policy | Callable[[R], PolicyLike | None]
    key: Callable[[R], bytes]
    cost: int | Callable[[R], int] = 1
    scope: str | None = None
    methods: frozenset[str] | None = None
    per_method: bool = False
    exempt_when: Callable[[R], bool] | None = None
    override: bool = True

    def charge(self, request: R, method: str, route: str) -> Charge | None:
        """The charge of a request; None if the limit does not concern it.

        The name of the route is the same in every worker. A function may say a cost or a policy
        that cannot be: InvalidArgument.
        """
        if self.methods is not None and method not in self.methods:
            return None
        if self.exempt_when is not None and self.exempt_when(request):
            return None
        policy = self.policy(request) if callable(self.policy) else self.policy
        if policy is None:
            return None
        place = part("route" if self.scope is None else "scope", (self.scope or route).encode())
        if self.per_method:
            place += part("method", method.encode())
        cost = checked_cost(self.cost(request)) if callable(self.cost) else self.cost
        return Charge(place + self.key(request), cost, read_policy(policy))


class Extension(ABC, Generic[R, D]):
    """Limits are declared on it: what `RateLimit` is in every framework.

    Each route is counted by itself, unless a limit is shared. Functions given for
    keys, policies, costs and exemptions are called with the request.

    Args:
        key: where a request says whose it is, such as `header:X-Api-Key|ip`, or
            a function; where neither says anything, the client's address counts.
        status: the code of a denial, 400 to 599.
        address: how the address of a client is found behind proxies.
        flood_exempt: whose new keys get places without end; see `Middleware`.
        x_ratelimit: whether answers carry X-RateLimit-* as well.
        exempt_when: a function that tells whether a request is counted at all.
        options: `clock`, `on_full`, `on_error`, `capacity` and `shadow` of a `Limiter`.

    Raises:
        InvalidArgument: one of these cannot be.
    """

    _view: Callable[[R], RequestView]
    """The part of a request that a specification of a key reads."""

    def __init__(
        self,
        *,
        key: KeyLike[R],
        status: int = 429,
        address: ClientAddress = DIRECT,
        flood_exempt: str | Collection[str] = (),
        x_ratelimit: bool = False,
        exempt_when: Callable[[R], bool] | None = None,
        **options: Unpack[LimiterOptions],
    ) -> None:
        self._address = address
        self._key = key_reader(key, self._view, address)
        self._exempt_when = _condition(exempt_when)
        self._flood_exempt = check_flood_exempt(flood_exempt)
        self._status = checked_status(status)
        self._x_ratelimit = x_ratelimit
        self._options = options
        self._failures = Failures()

    def limit(self, policy: PolicySource[R], **options: Unpack[LimitOptions[R]]) -> D:
        """A limit that counts each route by itself; several on one route all hold.

        Args:
            policy: such as `5 per 5s`, or a function that knows; one that says
                None does not limit the request.
            options: any of these.
                `key`: whose the request is, if not as the instance says.
                `cost`: how many admissions a request takes, or a function.
                `methods`: those, or the one, that are limited, with GET also
                HEAD; None for all.
                `per_method`: whether each method is counted by itself.
                `exempt_when`: a function that tells whether a request is not counted.
                `override`: False: the limits of Flask's blueprint and the
                default hold beside it.

        Raises:
            InvalidArgument: one of these cannot be.
            NeverPossible: the cost is above a limit of the policy.
            StoreError: the store cannot be opened.
        """
        return self._declare(self._make(policy, **options))

    def shared_limit(
        self, policy: PolicySource[R], scope: str, **options: Unpack[LimitOptions[R]]
    ) -> D:
        """`limit` for routes that are counted together: those with the same scope."""
        if not isinstance(scope, str) or not scope:
            raise InvalidArgument(f"scope {scope!r}", "a text, such as 'writing'")
        return self._declare(self._make(policy, scope=scope, **options))

    def _guarded(self, limiter: Limiter) -> Flooding[R]:
        """The limiter, so that no address can flood it."""
        return Flooding(limiter, self._view, self._address, self._flood_exempt)

    @abstractmethod
    def _declare(self, limit: Limit[R]) -> D:
        """The decorator that puts the limit on a route."""

    def _make(
        self,
        policy: PolicySource[R],
        scope: str | None = None,
        **options: Unpack[LimitOptions[R]],
    ) -> Limit[R]:
        read = without_waiting("policy", policy) if callable(policy) else policy_of(policy)
        given: dict[str, Any] = {"key": None, "cost": 1, "methods": None, **options}
        if callable(given["cost"]):
            without_waiting("cost", given["cost"])
        else:
            checked_cost(given["cost"], read)
        for flag in {"per_method", "override"} & given.keys():
            checked_flag(flag, given[flag])
        key = given["key"]
        given["key"] = self._key if key is None else key_reader(key, self._view, self._address)
        if given["methods"] is not None:
            given["methods"] = checked_methods(given["methods"])
        given["exempt_when"] = self._either(_condition(given.get("exempt_when")))
        return Limit(read, scope=scope, **given)

    def _either(self, other: Callable[[R], bool] | None) -> Callable[[R], bool] | None:
        always = self._exempt_when
        if always is None or other is None:
            return always or other
        return lambda request: always(request) or other(request)


def _condition(exempt_when: Callable[[R], bool] | None) -> Callable[[R], bool] | None:
    if exempt_when is not None:
        if not callable(exempt_when):
            raise InvalidArgument(f"exempt_when {exempt_when!r}", "a function of the request")
        without_waiting("exempt_when", exempt_when)
    return exempt_when


def checked_cost(cost: int, policy: object = None) -> int:
    """A number of admissions, 1 or more, and within the limits of the policy where that is known."""
    if not is_whole(cost) or cost < 1:
        raise InvalidArgument(f"cost {cost!r}", "a whole number, 1 or more")
    if isinstance(policy, Policy) and cost > min(quota.burst for quota in policy.quotas):
        raise NeverPossible(
            f"cost {cost} is above a limit of {str(policy)!r}", "no wait would help"
        )
    return cost
