"""A policy as a limiter enforces it: read, and with what its store keeps of it."""

from typing import Literal

from rateproof.enforce.decision import Answer, Decision, Ruling, decide
from rateproof.enforce.stores import Ledger
from rateproof.errors import InvalidArgument, NeverPossible
from rateproof.policy import Policy

_ERROR_WAIT_NS = 1_000_000_000


class EnforcedPolicy:
    """A policy and what the store keeps of it."""

    def __init__(self, policy: Policy, ledger: Ledger) -> None:
        self.policy = policy
        self.ledger = ledger
        self._most = min(quota.burst for quota in policy.quotas)
        kept = list(ledger.quotas)
        self.order = [(quota, kept.index(quota)) for quota in policy.quotas]

    def check(self, cost: int) -> None:
        """Accept a cost that every quota can admit."""
        if not isinstance(cost, int) or isinstance(cost, bool):
            raise TypeError(f"cost is {type(cost).__name__}, not int")
        if cost < 1:
            raise InvalidArgument(f"cost {cost}", "a cost is 1 or more")
        if cost > self._most:
            # Python refuses to write out integers of more than 4,300 digits.
            shown = str(cost) if cost.bit_length() < 10_000 else f"of {cost.bit_length()} bits"
            raise NeverPossible(
                f"cost {shown} is above the limit {self._most} of {str(self.policy)!r}",
                "no wait would let it pass",
            )

    def decision(self, ruling: Ruling, *, shadow: bool) -> Decision:
        """The decision that a ruling is; in shadow mode nothing is denied."""
        answers = ((quota, ruling.answers[index]) for quota, index in self.order)
        if shadow and not ruling.admitted:
            return decide(answers, admitted=True, reason="shadow")
        return decide(answers, admitted=ruling.admitted, reason=ruling.reason)

    def untouched(self, reason: Literal["exempt", "error"], *, admitted: bool) -> Decision:
        """The answer where no store was asked: all quotas free, or nothing known of them."""
        wait_ns = 0 if admitted else _ERROR_WAIT_NS
        answers = [
            Answer._make((admitted, False, quota.burst if admitted else 0, wait_ns, wait_ns))
            for quota in self.policy.quotas
        ]
        pairs = zip(self.policy.quotas, answers, strict=True)
        return decide(pairs, admitted=admitted, reason=reason)
