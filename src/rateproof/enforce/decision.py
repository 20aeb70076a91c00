"""What a limiter answers: a denial is a value, not an error."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from rateproof.policy import Quota

__all__ = ["Answer", "Decision", "QuotaState"]


class Answer(NamedTuple):
    """What one table says of one key: the tuple that crosses the seam to the native core.

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


@dataclass(frozen=True, slots=True)
class QuotaState:
    """How one quota of the policy stands for the key, as `Decision` has it for all."""

    quota: Quota
    remaining: int
    retry_after_ns: int
    reset_after_ns: int


@dataclass(frozen=True, slots=True)
class Decision:
    """May this request pass? True when it may.

    Args:
        admitted: it may; every quota had room and was charged.
        remaining: how many more would be admitted right now: the least over
            the quotas.
        retry_after_ns: until the same request can be admitted, 0 when it was:
            the greatest over the quotas. Waiting exactly this long is enough.
        reset_after_ns: until every quota is all free again, if nothing else is
            admitted: the greatest over the quotas.
        full: the storage had no room to count this key. `on_full` decided, not
            the quotas.
        quotas: each quota's own figures, in the order of the policy.
    """

    admitted: bool
    remaining: int
    retry_after_ns: int
    reset_after_ns: int
    full: bool
    quotas: tuple[QuotaState, ...]

    @classmethod
    def of(cls, admitted: bool, answers: Iterable[tuple[Quota, Answer]]) -> Self:  # noqa: FBT001 - reads as one word with its subject
        """Sum up the answers of all quotas, at least one."""
        full = False
        states = []
        for quota, answer in answers:
            full = full or answer.full
            retry_after_ns = 0 if admitted else answer.retry_after_ns
            states.append(
                QuotaState(quota, answer.remaining, retry_after_ns, answer.reset_after_ns)
            )
        return cls(
            admitted,
            min(state.remaining for state in states),
            max(state.retry_after_ns for state in states),
            max(state.reset_after_ns for state in states),
            full,
            tuple(states),
        )

    def __bool__(self) -> bool:
        return self.admitted
