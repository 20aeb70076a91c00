"""One limiter for the policies of many routes, and one decision about several charges."""

import threading
from collections.abc import Sequence
from typing import Unpack

from rateproof.enforce.decision import Decision
from rateproof.enforce.frameworks.limits import Charge, LimiterOptions
from rateproof.enforce.limiter import Limiter
from rateproof.policy import Policy

__all__ = ["SharedLimiter", "combined"]


class SharedLimiter:
    """A limiter that is opened with the first policy that it hears of.

    Policies that are known early are opened early: what is in `memory://` is
    shared with children only if it was there before they were forked.

    Args:
        store: where admissions are kept.
        options: those of a `Limiter`.
    """

    def __init__(self, store: str, **options: Unpack[LimiterOptions]) -> None:
        self.store: object = self if store.startswith("memory:") else store
        """What is equal for two limiters only if they count together."""
        self._location = store
        self._options = options
        self._mutex = threading.Lock()
        self._limiter: Limiter | None = None

    def prepare(self, policy: Policy) -> None:
        """Open what a policy needs now rather than at the first request.

        Raises:
            InvalidArgument: the policy or an option cannot be.
            StoreError: the store cannot be opened.
        """
        limiter = self._opened(policy)
        if policy != limiter.policy:
            limiter.peek(b"", policy=policy)

    def hit(self, charges: Sequence[Charge]) -> Decision:
        """Decide about at least one charge: all are made, or none is.

        Charges on different keys cannot be made at one instant. They are looked
        at first and the one that would be denied is tried first, so only a race
        with another request can leave some made: that is stricter, never looser.
        """
        limiter = self._opened(charges[0].policy)
        if len(charges) == 1:
            key, cost, policy = charges[0]
            return limiter.hit(key, cost, policy=policy)
        decisions = [limiter.peek(key, cost, policy=policy) for key, cost, policy in charges]
        for index in sorted(range(len(charges)), key=lambda index: decisions[index].admitted):
            key, cost, policy = charges[index]
            decisions[index] = limiter.hit(key, cost, policy=policy)
            if not decisions[index].admitted:
                break
        return combined(decisions)

    async def ahit(self, charge: Charge) -> Decision:
        """Decide about one charge, without blocking the event loop."""
        key, cost, policy = charge
        return await self._opened(policy).ahit(key, cost, policy=policy)

    def _opened(self, policy: Policy) -> Limiter:
        if self._limiter is None:
            with self._mutex:
                if self._limiter is None:
                    self._limiter = Limiter(policy, store=self._location, **self._options)
        return self._limiter


def combined(decisions: Sequence[Decision]) -> Decision:
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
