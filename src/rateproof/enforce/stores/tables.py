"""What holds for the tables of every store: the quotas that one can count, and what they say together."""

from collections.abc import Sequence

from rateproof.enforce.algorithms import RULES
from rateproof.enforce.decision import Answer, Ruling
from rateproof.errors import InvalidArgument
from rateproof.policy import Quota

__all__ = ["check_quota", "ruling_of"]

MAX_LOG_LIMIT = 65_536
MAX_COUNTER_LIMIT = 2**20
MAX_WINDOW_NS = 2**59
MAX_ADMISSIONS = 2**32


def check_quota(quota: Quota, capacity: int) -> None:
    """Whether a table can count it (the bounds of the native layout hold for both cores).

    Raises:
        InvalidArgument: it cannot, naming the bound.
    """
    if quota.algorithm not in RULES:
        raise InvalidArgument(
            f"{str(quota)!r} can be judged but not enforced: nothing here delays requests",
            f"one of {', '.join(RULES)}",
        )
    for algorithm, most in (("sliding-log", MAX_LOG_LIMIT), ("sliding-counter", MAX_COUNTER_LIMIT)):
        if quota.algorithm == algorithm and quota.limit > most:
            raise InvalidArgument(
                f"limit {quota.limit} of {str(quota)!r} is more than a {algorithm} counts",
                f"a limit of 1 to {most}, or token-bucket or fixed-window",
            )
    if quota.window_ns > MAX_WINDOW_NS:
        raise InvalidArgument(
            f"the window of {str(quota)!r} is longer than a store remembers",
            "a window of at most 18 years (2**59 ns)",
        )
    _check_resolution(quota)
    if quota.algorithm == "sliding-log" and capacity * quota.limit > MAX_ADMISSIONS:
        raise InvalidArgument(
            f"capacity {capacity} for {str(quota)!r} counts more than 2**32 admissions",
            f"a capacity of 1 to {MAX_ADMISSIONS // quota.limit}",
        )


def _check_resolution(quota: Quota) -> None:
    """Whether rounding to what one word holds stays below a thousandth of the window."""
    if quota.algorithm == "token-bucket":
        interval_ns = -(-quota.window_ns // quota.limit)
        if quota.window_ns < 1000 * quota.limit:
            raise InvalidArgument(
                f"{str(quota)!r} refills faster than once a microsecond",
                "a token bucket of at most 1000000 per second",
            )
        if quota.burst * interval_ns > MAX_WINDOW_NS:
            raise InvalidArgument(
                f"{str(quota)!r} takes longer than 18 years to refill", "a smaller burst"
            )
    if quota.algorithm == "first-hit-window":
        unit = 1 << max(0, quota.limit.bit_length() - 2)
        if unit > 2 and unit * 1000 > quota.window_ns:
            raise InvalidArgument(
                f"the window of {str(quota)!r} is too short for its limit",
                f"a window of at least {unit * 1000} ns, or fixed-window",
            )


def ruling_of(admitted: bool, answers: Sequence[Answer], *, skip_full: bool) -> Ruling:  # noqa: FBT001 - one word with its subject
    """What a ledger says, where some of its tables may have no room for the key.

    With `skip_full` a table without room lets it pass, so where another one
    denies, that one is the reason, and the wait.
    """
    if not any(answer.full for answer in answers):
        return Ruling(admitted, answers)
    counted = [answer for answer in answers if not answer.full]
    if not skip_full or all(answer.admitted for answer in counted):
        return Ruling(admitted or (skip_full and not counted), answers, "full")
    waits = [
        answer._replace(retry_after_ns=0, reset_after_ns=0) if answer.full else answer
        for answer in answers
    ]
    return Ruling(False, waits)  # noqa: FBT003 - `admitted`
