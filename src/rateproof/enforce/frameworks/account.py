"""One limiter for the policies of many routes, and what was decided about one request so far."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, Unpack

from rateproof.enforce.decision import Decision
from rateproof.enforce.frameworks.declarations import Charge, LimiterOptions
from rateproof.enforce.http.answers import (
    Announcement,
    Fields,
    Refusal,
    announcement,
    denial,
    limit_fields,
    x_ratelimit_fields,
)
from rateproof.enforce.http.flooding import Flooding
from rateproof.enforce.limiter import Limiter
from rateproof.policy import Policy, Quota

R = TypeVar("R")
_NOTHING = Announcement((), (), "")


class SharedLimiter(Generic[R]):
    """A limiter that is opened with the first policy that it hears of.

    Policies that are known early are opened early: what is in `memory://` is
    shared with children only if it was there before they were forked.
    """

    def __init__(
        self,
        store: str,
        guarded: Callable[[Limiter], Flooding[R]],
        **options: Unpack[LimiterOptions],
    ) -> None:
        self.store: object = self if store.startswith("memory:") else store
        """A value that is equal for two limiters only if they count together."""
        self._location, self._guarded = store, guarded
        self._options = options
        self._mutex = threading.Lock()
        self._limiter: tuple[Limiter, Flooding[R]] | None = None

    def prepare(self, policy: Policy) -> None:
        """Open what a policy needs now rather than at the first request."""
        limiter, guarded = self._opened(policy)
        limiter.prepare(policy)
        guarded.room(policy)

    def hit(self, charges: Sequence[Charge], request: R) -> Decision:
        """Decide about at least one charge of a request: all are made, or none is.

        Charges on different keys cannot be made at one instant. They are looked
        at first and the one that would be denied is tried first, so only a race
        with another request can leave some made: that is stricter, never looser.
        """
        limiter, guarded = self._opened(charges[0].policy)
        if len(charges) == 1:
            key, cost, policy = charges[0]
            return guarded.hit(key, request, cost, policy)
        decisions = [limiter.peek(key, cost, policy=policy) for key, cost, policy in charges]
        lacking = guarded.lacking([(key, policy) for key, _, policy in charges], request)

        def passes(index: int) -> bool:
            return decisions[index].admitted and lacking[index] is None

        for index in sorted(range(len(charges)), key=passes):
            key, cost, policy = charges[index]
            if lack := lacking[index]:
                decisions[index] = guarded.refuse(*lack, request)
            else:
                decisions[index] = guarded.hit(key, request, cost, policy)
            if not decisions[index].admitted:
                break
        return _combined(decisions)

    async def ahit(self, charge: Charge, request: R) -> Decision:
        """Decide about one charge of a request, without blocking the event loop."""
        key, cost, policy = charge
        return await self._opened(policy)[1].ahit(key, request, cost, policy)

    def _opened(self, policy: Policy) -> tuple[Limiter, Flooding[R]]:
        if self._limiter is None:
            with self._mutex:
                if self._limiter is None:
                    limiter = Limiter(policy, store=self._location, **self._options)
                    self._limiter = limiter, self._guarded(limiter)
        return self._limiter


class Account:
    """Decisions about one request, made where its limits were declared.

    A quota of a key in a store is charged once for a request, however many
    limits have it in common, and of several costs the greatest.
    """

    def __init__(self) -> None:
        self.considered: set[object] = set()
        """Limits that have let this request pass."""
        self.x_ratelimit = False
        """True if the answer carries X-RateLimit-* as well."""
        self.told_on: object = None
        """The answer that the fields stand on."""
        self._paid: dict[tuple[object, bytes, Quota], int] = {}
        self._decisions: list[Decision] = []
        self._denial: Refusal | None = None

    def due(self, limiter: SharedLimiter[Any], charges: list[Charge]) -> list[Charge]:
        """The part of these charges that the request has not paid yet, in as few charges as can be."""
        if len(charges) == 1 and not self._paid:
            return charges  # as below, and the usual case
        costs: dict[tuple[bytes, Quota], int] = {}
        for key, cost, policy in charges:
            for quota in policy.quotas:
                costs[key, quota] = max(cost, costs.get((key, quota), 0))
        payees = {limiter.store, limiter}
        quotas: dict[tuple[bytes, int], list[Quota]] = {}
        for (key, quota), cost in costs.items():
            owed = cost - sum(self._paid.get((payee, key, quota), 0) for payee in payees)
            if owed > 0:
                quotas.setdefault((key, owed), []).append(quota)
        return [Charge(key, cost, Policy(tuple(each))) for (key, cost), each in quotas.items()]

    def admit(
        self, limiter: SharedLimiter[Any], charges: Iterable[Charge], decision: Decision
    ) -> None:
        """One more decision, that did not stop the request.

        Where it was not the store that decided, other limiters on it still will.
        """
        payee = limiter.store if decision.reason == "quota" else limiter
        for key, cost, policy in charges:
            for quota in policy.quotas:
                at = payee, key, quota
                self._paid[at] = self._paid.get(at, 0) + cost
        self._decisions.append(decision)

    def deny(self, decision: Decision | None, *, status: int, accept: str | None) -> Refusal:
        """The answer to a request that is stopped by a decision, or for lack of one (None)."""
        announced = _NOTHING
        if decision is not None:
            self._decisions.append(decision)
            announced = _announced(decision)
        self._denial = denial(decision, announced, status=status, accept=accept)
        return self._denial

    def fields(self) -> Fields:
        """Header fields of the answer, whoever wrote it."""
        fields: Fields = []
        if self._denial is not None:
            kept = ("Retry-After", "Cache-Control")
            fields += [(name, value) for name, value in self._denial.fields if name in kept]
        if self._decisions:
            decision = _combined(self._decisions)
            fields += limit_fields(decision, _announced(decision))
            if self.x_ratelimit:
                fields += x_ratelimit_fields(decision)
        return fields


def _announced(decision: Decision) -> Announcement:
    return announcement(Policy(tuple(state.quota for state in decision.quotas)))


def _combined(decisions: Sequence[Decision]) -> Decision:
    """Several decisions about one request as one, with the quotas of all."""
    if len(decisions) == 1:
        return decisions[0]
    denials = [decision for decision in decisions if not decision.admitted]
    shadows = [decision for decision in decisions if decision.reason == "shadow"]
    return Decision(
        not denials,
        min(decision.remaining for decision in decisions),
        max(decision.retry_after_ns for decision in decisions),
        max(decision.reset_after_ns for decision in decisions),
        tuple(state for decision in decisions for state in decision.quotas),
        [*denials, *shadows, *decisions][0].reason,
    )
