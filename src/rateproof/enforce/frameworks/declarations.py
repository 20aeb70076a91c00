"""What every framework declares alike: limits, and what a request is charged by them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, Literal, NamedTuple, TypeAlias, TypedDict, TypeVar, Unpack

from rateproof.clock import Clock
from rateproof.enforce.http.addresses import ClientAddress
from rateproof.enforce.http.keys import KeyLike, key_reader, part
from rateproof.enforce.http.middleware import Failures
from rateproof.enforce.http.validation import (
    checked_status,
    checked_texts,
    is_whole,
    without_waiting,
)
from rateproof.enforce.http.views import RequestView
from rateproof.enforce.limiter import PolicyLike, policy_of
from rateproof.errors import InvalidArgument, NeverPossible
from rateproof.policy import Policy

__all__ = ["Charge", "Extension", "Limit", "LimiterOptions", "PolicySource"]

D = TypeVar("D")
R = TypeVar("R")
read_policy = lru_cache(1024)(policy_of)
PolicySource: TypeAlias = PolicyLike | Callable[[R], PolicyLike | None]


class LimiterOptions(TypedDict, total=False):
    """What a `Limiter` can be told, where a framework opens it."""

    clock: Clock | None
    on_full: Literal["deny", "admit"]
    on_error: Literal["deny", "admit", "local"]
    capacity: int
    shadow: bool


class LimitOptions(TypedDict, Generic[R], total=False):
    """What a limit can be told, where it is declared; see `Extension.limit`."""

    key: KeyLike[R] | None
    cost: int | Callable[[R], int]
    methods: str | Collection[str] | None
    per_method: bool
    exempt_when: Callable[[R], bool] | None
    override: bool


class Charge(NamedTuple):
    """What one limit takes of one request."""

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
        """What a request is charged; None if the limit does not concern it.

        Args:
            request: in the form that the framework has it in.
            method: of the request, in capitals.
            route: the name of what answers it, the same in every worker.

        Raises:
            InvalidArgument: a function says a cost or a policy that cannot be.
        """
        if self.methods is not None and method not in self.methods:
            return None
        if self.exempt_when is not None and self.exempt_when(request):
            return None
        policy = self.policy(request) if callable(self.policy) else self.policy
        if not policy:
            return None
        place = part("route", route.encode()) if self.scope is None else self._shared
        if self.per_method:
            place += part("method", method.encode())
        cost = checked_cost(self.cost(request)) if callable(self.cost) else self.cost
        return Charge(place + self.key(request), cost, read_policy(policy))

    @property
    def _shared(self) -> bytes:
        return part("scope", (self.scope or "").encode())


class Extension(ABC, Generic[R, D]):
    """Limits are declared on it: what `RateLimit` is in every framework.

    Each route is counted by itself, unless a limit is shared. Functions given for
    keys, policies, costs and exemptions are called with the request.

    Args:
        key: where a request says whose it is, such as `header:X-Api-Key|ip`, or
            a function; where neither says anything, the client's address counts.
        status: the code of a denial, 400 to 599.
        address: how the address of a client is found behind proxies.
        x_ratelimit: whether answers carry X-RateLimit-* as well.
        exempt_when: a function that tells whether a request is counted at all.

    Raises:
        InvalidArgument: one of these cannot be.
    """

    _view: Callable[[R], RequestView]
    """What a specification of a key reads of a request."""

    def __init__(
        self,
        *,
        key: KeyLike[R],
        status: int,
        address: ClientAddress,
        x_ratelimit: bool,
        exempt_when: Callable[[R], bool] | None,
    ) -> None:
        self._address = address
        self._key = key_reader(key, self._view, address)
        self._exempt_when = _condition(exempt_when)
        self._status = checked_status(status)
        self._x_ratelimit = x_ratelimit
        self._failures = Failures()

    def limit(self, policy: PolicySource[R], **options: Unpack[LimitOptions[R]]) -> D:
        """A limit that counts each route by itself; several on one route all hold.

        Args:
            policy: such as `5 per 5s`, or a function that knows; one that says
                None does not limit the request.
            options: any of these.
                `key`: whose the request is, if not as the instance says.
                `cost`: how many admissions a request takes, or a function.
                `methods`: those, or the one, that are limited; None for all.
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
        return self._declare(self._make(policy, scope=scope, **options))

    @abstractmethod
    def _declare(self, limit: Limit[R]) -> D:
        """What puts the limit on a route."""

    def _make(
        self,
        policy: PolicySource[R],
        *,
        key: KeyLike[R] | None = None,
        cost: int | Callable[[R], int] = 1,
        scope: str | None = None,
        methods: str | Collection[str] | None = None,
        per_method: bool = False,
        exempt_when: Callable[[R], bool] | None = None,
        override: bool = True,
    ) -> Limit[R]:
        """A limit; see `Limit`.

        Raises:
            InvalidArgument: one of these cannot be.
            NeverPossible: the cost is above a limit of the policy.
        """
        if callable(policy):
            without_waiting("policy", policy)
        else:
            policy = read_policy(policy)
        if callable(cost):
            without_waiting("cost", cost)
        else:
            checked_cost(cost, policy)
        named = None if methods is None else checked_texts("methods", methods)
        return Limit(
            policy,
            self._key if key is None else key_reader(key, self._view, self._address),
            cost,
            scope,
            None if named is None else frozenset(method.upper() for method in named),
            per_method,
            self._either(_condition(exempt_when)),
            override,
        )

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
    """How many admissions a request takes.

    Args:
        cost: 1 or more.
        policy: what it is taken of, where that is known.

    Raises:
        InvalidArgument: no whole number, or below 1.
        NeverPossible: above a limit of the policy.
    """
    if not is_whole(cost) or cost < 1:
        raise InvalidArgument(f"cost {cost!r}", "a whole number, 1 or more")
    if isinstance(policy, Policy) and cost > min(quota.burst for quota in policy.quotas):
        raise NeverPossible(
            f"cost {cost} is above a limit of {str(policy)!r}", "no wait would help"
        )
    return cost
