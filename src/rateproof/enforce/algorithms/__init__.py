"""The algorithms that are enforced, as pure functions of a small state: the specification of both cores.

A *state* is all that an algorithm remembers of one key: a tuple of integers
below 2**63, all 0 for a key never seen. Each algorithm is a module here with
the functions of `Rule`, and its documentation proves the gap that `rateproof.policy`
declares for it.

Times are integer ns of one clock, 0 to 2**60 - 1, that never goes back between
two calls on one state. A cost is 1 to the quota's burst.

*Order.* A state is stored number by number, from left to right. Who dies in
between leaves a prefix of the new state before a rest of the old one: by each
module's proof this admits no more than the old state did.
"""

from typing import Protocol, TypeAlias

from rateproof.policy import Quota
from rateproof.registry import modules_in

__all__ = ["RULES", "Rule", "State"]

State: TypeAlias = tuple[int, ...]


class Rule(Protocol):
    """The questions that each algorithm answers. None of the functions changes anything."""

    def width(self, quota: Quota, /) -> int:
        """Number of integers in a state."""
        ...

    def retry_after_ns(self, quota: Quota, state: State, now_ns: int, cost: int, /) -> int:
        """The least wait after which `cost` passes if nothing else does. Admit iff it is 0."""
        ...

    def charged(self, quota: Quota, state: State, now_ns: int, cost: int, /) -> State:
        """The state after an admission of `cost`, for which no wait is needed."""
        ...

    def remaining(self, quota: Quota, state: State, now_ns: int, /) -> int:
        """Number of admissions of cost 1 that would pass now."""
        ...

    def reset_after_ns(self, quota: Quota, state: State, now_ns: int, /) -> int:
        """The least wait after which the whole quota is free if nothing passes.

        0 exactly when the state no longer binds: it admits what that of a key
        never seen does, now and ever after.
        """
        ...


RULES: dict[str, Rule] = modules_in(__name__)
"""The rule of each algorithm in `rateproof.policy.ALGORITHMS` that is enforced, by its name."""
