"""What every framework declares alike: limits, and what a request is charged by them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, Literal, NamedTuple, TypeAlias, TypedDict, TypeVar

from rateproof.clock import Clock
from rateproof.enforce.http.addresses import ClientAddress
from rateproof.enforce.http.answers import checked_status
from rateproof.enforce.http.keys import KeyLike, key_reader, part
from rateproof.enforce.http.request import Request
from rateproof.enforce.limiter import PolicyLike
from rateproof.policy import Policy, Quota

__all__ = ["Charge", "Limit", "LimitFactory", "LimiterOptions", "PolicySource"]

R = TypeVar("R")
PolicySource: TypeAlias = PolicyLike | Callable[[R], PolicyLike | None]


class LimiterOptions(TypedDict, total=False):
    """What a `Limiter` can be told, where a framework opens it."""

    clock: Clock | None
    on_full: Literal["deny", "admit"]
    on_error: Literal["deny", "admit", "local"]
    capacity: int
    shadow: bool


class Charge(NamedTuple):
    """What one limit takes of one request."""

    key: bytes
    cost: int
    policy: Policy


@dataclass(frozen=True, slots=True, eq=False)
class Limit(Generic[R]):
    """One limit as it was declared; see `RateLimit.limit` of a framework for what is what.

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
        cost = self.cost(request) if callable(self.cost) else self.cost
        return Charge(place + self.key(request), cost, read_policy(policy))

    @property
    def _shared(self) -> bytes:
        return part("scope", (self.scope or "").encode())


class LimitFactory(Generic[R]):
    """Makes limits of what was said once for an application and what is said for each.

    Args:
        key: where a request says whose it is, or a function that knows.
        view: what a specification of a key reads of a request.
        status: the code of a denial.
        address: how the address of a client is found.
        exempt_when: whether a request is counted by no limit at all.

    Raises:
        InvalidArgument: one of these cannot be.
    """

    def __init__(
        self,
        key: KeyLike[R],
        view: Callable[[R], Request],
        *,
        status: int,
        address: ClientAddress,
        exempt_when: Callable[[R], bool] | None,
    ) -> None:
        self._view = view
        self._address = address
        self._key = key_reader(key, view, address)
        self._exempt_when = exempt_when
        self.status = checked_status(status)

    def __call__(
        self,
        policy: PolicySource[R],
        *,
        key: KeyLike[R] | None = None,
        cost: int | Callable[[R], int] = 1,
        scope: str | None = None,
        methods: Collection[str] | None = None,
        per_method: bool = False,
        exempt_when: Callable[[R], bool] | None = None,
        override: bool = True,
    ) -> Limit[R]:
        """A limit; see `Limit`.

        Raises:
            InvalidArgument: the policy or the key cannot be read.
        """
        return Limit(
            policy if callable(policy) else read_policy(policy),
            self._key if key is None else key_reader(key, self._view, self._address),
            cost,
            scope,
            None if methods is None else frozenset(method.upper() for method in methods),
            per_method,
            self._either(exempt_when),
            override,
        )

    def _either(self, other: Callable[[R], bool] | None) -> Callable[[R], bool] | None:
        always = self._exempt_when
        if always is None or other is None:
            return always or other
        return lambda request: always(request) or other(request)


@lru_cache(1024)
def read_policy(policy: PolicyLike) -> Policy:
    """The policy that is meant.

    Raises:
        InvalidPolicy: a text that is none.
        TypeError: neither text nor quota nor policy.
    """
    if isinstance(policy, str):
        return Policy.parse(policy)
    if isinstance(policy, Quota):
        return Policy((policy,))
    if isinstance(policy, Policy):
        return policy
    raise TypeError(f"policy is {type(policy).__name__}, not str, Quota or Policy")
