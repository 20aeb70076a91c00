"""What was decided about one request so far, and what its answer says of it."""

from collections.abc import Iterable

from rateproof.enforce.decision import Decision
from rateproof.enforce.frameworks.decide import SharedLimiter, combined
from rateproof.enforce.frameworks.limits import Charge
from rateproof.enforce.http.answers import (
    Announcement,
    Denial,
    Fields,
    announcement,
    denial,
    limit_fields,
    x_ratelimit_fields,
)
from rateproof.policy import Policy, Quota

__all__ = ["Account"]

_NOTHING = Announcement((), (), "")


class Account:
    """Decisions about one request, made where its limits were declared.

    A quota of a key in a store is charged once for a request, however many
    limits have it in common, and of several costs the greatest.
    """

    def __init__(self) -> None:
        self.considered: set[object] = set()
        """Limits that have let this request pass."""
        self.x_ratelimit = False
        """Whether the answer carries X-RateLimit-* as well."""
        self.told_on: object = None
        """The answer that the fields stand on."""
        self._paid: dict[tuple[object, bytes, Quota], int] = {}
        self._decisions: list[Decision] = []
        self._denial: Denial | None = None

    def due(self, limiter: SharedLimiter, charges: list[Charge]) -> list[Charge]:
        """What of these charges the request has not paid yet, as few charges as can be."""
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

    def admit(self, limiter: SharedLimiter, charges: Iterable[Charge], decision: Decision) -> None:
        """One more decision, that did not stop the request.

        Where it was not the store that decided, other limiters on it still will.
        """
        payee = limiter.store if decision.reason == "quota" else limiter
        for key, cost, policy in charges:
            for quota in policy.quotas:
                at = payee, key, quota
                self._paid[at] = self._paid.get(at, 0) + cost
        self._decisions.append(decision)

    def deny(self, decision: Decision | None, *, status: int, accept: str | None) -> Denial:
        """The answer to a request that is stopped by a decision, or for lack of one (None)."""
        announced = _NOTHING
        if decision is not None:
            self._decisions.append(decision)
            announced = _announced(decision)
        self._denial = denial(decision, announced, status=status, accept=accept)
        return self._denial

    def fields(self) -> Fields:
        """What the answer carries, whoever wrote it."""
        fields: Fields = []
        if self._denial is not None:
            kept = ("Retry-After", "Cache-Control")
            fields += [(name, value) for name, value in self._denial.fields if name in kept]
        if self._decisions:
            decision = combined(self._decisions)
            fields += limit_fields(decision, _announced(decision))
            if self.x_ratelimit:
                fields += x_ratelimit_fields(decision)
        return fields


def _announced(decision: Decision) -> Announcement:
    return announcement(Policy(tuple(state.quota for state in decision.quotas)))
