"""Answers of a limiter: a denial is a value, not an error."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from rateproof.core import native
from rateproof.policy import Quota

__all__ = [
    "Answer",
    "Decision",
    "PlainDecision",
    "QuotaState",
    "Reason",
    "Ruling",
    "decide",
    "without_room",
]

Reason: TypeAlias = Literal["quota", "cached", "local", "full", "error", "shadow", "exempt"]
"""The decider's name: see `Decision`."""


class Answer(NamedTuple):
    """The answer of one table for one key: the tuple that crosses the seam to the native core.

    Args:
        admitted: at least `cost` admissions are free in this table.
        full: the table has no room for the key, so nothing was or could be
            counted; never true of an admission.
        remaining: admissions left after this call; for a denial, free now.
        retry_after_ns: until the same call can be admitted, 0 if it was.
        reset_after_ns: until every admission is free again.
    """

    admitted: bool
    full: bool
    remaining: int
    retry_after_ns: int
    reset_after_ns: int


def without_room(wait_ns: int) -> Answer:
    """The answer of a table without room for the key, until which time it takes."""
    return Answer(
        admitted=False, full=True, remaining=0, retry_after_ns=wait_ns, reset_after_ns=wait_ns
    )


class Ruling(NamedTuple):
    """The answer of a ledger to one call.

    Args:
        admitted: it passes; every quota that could be counted was charged.
        answers: one for each quota of the ledger, in its order: after charging
            when it passes, as found when it does not.
        reason: `quota`, `cached`, `local` or `full`.
    """

    admitted: bool
    answers: Sequence[Answer]
    reason: Reason = "quota"


@dataclass(frozen=True, slots=True)
class QuotaState:
    """The state of one quota for the key, as `Decision` has it for all."""

    quota: Quota
    remaining: int
    retry_after_ns: int
    reset_after_ns: int


@dataclass(frozen=True, slots=True)
class PlainDecision:
    """May this request pass? True when it may.

    Args:
        admitted: it may; every quota had room and was charged.
        remaining: how many more would be admitted right now: the least over
            the quotas.
        retry_after_ns: until the same request can be admitted, 0 when it was:
            the greatest over the quotas. Waiting exactly this long is enough.
        reset_after_ns: until every quota is all free again, if nothing else is
            admitted: the greatest over the quotas.
        quotas: each quota's own figures, in the order of the policy.
        reason: who decided. `quota`: the policy. `cached`: the policy, by a
            denial that this process remembers. `local`: the policy, by the
            table of this process while the store cannot be reached. `full`:
            `on_full`, since the store had no room to count this key. `error`:
            `on_error`, since the store cannot be reached. `shadow`: the policy
            would have denied it, shadow mode let it pass. `exempt`: nobody, the
            key is not counted.
    """

    admitted: bool
    remaining: int
    retry_after_ns: int
    reset_after_ns: int
    quotas: tuple[QuotaState, ...]
    reason: Reason = "quota"

    def __bool__(self) -> bool:
        return self.admitted


if TYPE_CHECKING:
    from rateproof._native import Decision
else:
    Decision = getattr(native(), "Decision", PlainDecision)
    """The native class where that core is in use: it makes `quotas` when they are read."""


def decide(
    answers: Iterable[tuple[Quota, Answer]], *, admitted: bool, reason: Reason = "quota"
) -> Decision:
    """Sum up the answers of all quotas, at least one."""
    waits = not admitted or reason == "shadow"
    states = tuple(
        QuotaState(quota, said.remaining, said.retry_after_ns if waits else 0, said.reset_after_ns)
        for quota, said in answers
    )
    return Decision(
        admitted,
        min(state.remaining for state in states),
        max(state.retry_after_ns for state in states),
        max(state.reset_after_ns for state in states),
        states,
        reason,
    )
