"""The quotas that a table can count, and the ruling of several tables."""

from collections.abc import Sequence

from rateproof.enforce.algorithms import RULES
from rateproof.enforce.decision import Answer, Ruling
from rateproof.errors import InvalidArgument
from rateproof.policy import Quota
from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.policy.token_bucket import TOKEN_BUCKET

MAX_WINDOW_NS = 2**59
MAX_ADMISSIONS = 2**32


def check_quota(quota: Quota, capacity: int) -> None:
    """Refuse a quota that no table can count: the bounds of the native layout hold for all.

    Raises:
        InvalidArgument: it cannot, naming the bound.
    """
    if quota.algorithm not in RULES:
        raise InvalidArgument(
            f"{str(quota)!r} can be judged but not enforced: nothing here delays requests",
            f"one of {', '.join(RULES)}",
        )
    record = quota.record
    if quota.limit > record.max_limit:
        raise InvalidArgument(
            f"limit {quota.limit} of {str(quota)!r} is more than a {record.name} counts",
            f"a limit of 1 to {record.max_limit}, or {TOKEN_BUCKET.name} or {FIXED_WINDOW.name}",
        )
    if quota.window_ns > MAX_WINDOW_NS:
        raise InvalidArgument(
            f"the window of {str(quota)!r} is longer than a store remembers",
            "a window of at most 18 years (2**59 ns)",
        )
    least_ns = record.least_window_ns(quota.limit, quota.parameter)
    if quota.window_ns < least_ns:
        raise InvalidArgument(
            f"the window of {str(quota)!r} is too short for its limit",
            f"a window of at least {least_ns} ns, or a smaller limit",
        )
    if record.has_burst and quota.memory_ns > MAX_WINDOW_NS:
        raise InvalidArgument(
            f"{str(quota)!r} takes longer than 18 years to refill", "a smaller burst"
        )
    words = record.words(quota.limit, quota.parameter)
    if capacity * words > MAX_ADMISSIONS:
        raise InvalidArgument(
            f"capacity {capacity} for {str(quota)!r} counts more than 2**32 admissions",
            f"a capacity of 1 to {MAX_ADMISSIONS // words}",
        )


def fingerprint(quota: Quota) -> str:
    """The name of the quota's table in a store, or of a client's state in Redis: equal quotas share it."""
    burst = "" if quota.burst == quota.limit else f"-{quota.burst}"
    own = f"-{quota.record.parameter.word}-{quota.parameter}" if quota.parameter else ""
    return f"{quota.algorithm}-{quota.limit}-{quota.window_ns}{burst}{own}"


def ruling_of(answers: Sequence[Answer], *, admitted: bool, skip_full: bool) -> Ruling:
    """Sum up the answers of several tables, of which some may have no room for the key.

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
    return Ruling(admitted=False, answers=waits)
