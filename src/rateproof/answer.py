"""The answer's line: a verdict in plain words with the one number that tells how bad or how sure.

    VIOLATED: 20 let through in 5 s, 5 promised (4 times)
    CONSISTENT: no client certainly got more than 5 in 5 s in 4,548 requests; a 6th would have been seen
    INCONCLUSIVE: every answer was 503: it never admits anything
    NOT TESTED: 100 per hour; 5 per 5 s held

Where the instants of all decisions leave no doubt, it is `never more than 5 in 5 s`. It is first in
files, pages, JUnit messages and JSON, and last on the terminal, behind what was not tested.
"""

from collections.abc import Sequence
from typing import Final

from rateproof.policy import Policy
from rateproof.prove.evidence.wording import ordinal, plain_quota, spaced
from rateproof.prove.power.coverage import QuotaVerdict
from rateproof.prove.terms import (
    CONSISTENT,
    INCONCLUSIVE,
    OVER_ADMISSION,
    TRIED_PASTS,
    UNTESTED,
    VIOLATED,
    WRONG_REJECTION,
    Cause,
)
from rateproof.prove.verdict import Verdict

NOT_TESTED: Final = "NOT TESTED"
_UNPRESSED: Final = {Cause.UNTESTED, Cause.NEVER_STRESSED}


def answer(verdict: Verdict) -> tuple[str, ...]:
    """Return the line; if the verdict allows quotas that were not tested, a line for each follows.

    See `Verdict.allowing_untested`. Where several things are to be said, VIOLATED comes before
    INCONCLUSIVE before NOT TESTED before CONSISTENT.
    """
    untested = [plain_quota(one.quota) for one in verdict.quotas if one.outcome == UNTESTED]
    if verdict.outcome == VIOLATED:
        return (f"VIOLATED: {_violation(verdict)}",)
    if verdict.outcome == INCONCLUSIVE:
        reasons = [reason for reason in verdict.reasons if reason not in verdict.untested]
        if any(one.startswith(f"{NOT_TESTED}: ") for one in reasons):
            return tuple(reasons[:1])
        if untested and set(verdict.causes) <= _UNPRESSED:
            kept = [plain_quota(one.quota) for one in verdict.quotas if one.outcome == CONSISTENT]
            told = f"; {' and '.join(kept)} held" if kept else ": no client pressed far enough"
            return (f"{NOT_TESTED}: {', '.join(untested)}{told}",)
        return (f"INCONCLUSIVE: {reasons[0] if reasons else ', '.join(verdict.causes)}",)
    requests = f"{verdict.counts.events:,} requests"
    held = [one for one in verdict.quotas if one.outcome == CONSISTENT]
    if not held:
        return (f"CONSISTENT: nothing that was claimed is contradicted by {requests}",)
    only = f" ({' and '.join(plain_quota(one.quota) for one in held)} only)" if untested else ""
    line = f"CONSISTENT{only}: {_held(held, verdict.counts.unknown)} in {requests}{_power(held, verdict)}"
    return (line, *(one.sentence() for one in verdict.quotas if one.outcome == UNTESTED))


def of_quota(verdict: Verdict, one: QuotaVerdict) -> str:
    """Return the line of one quota of a verdict."""
    if one.outcome == CONSISTENT:
        return f"CONSISTENT: {_held([one], verdict.counts.unknown)}{_power([one], verdict)}"
    if one.outcome == VIOLATED and one.most > one.allowed:
        return f"VIOLATED: {too_many(one.most, one.allowed, one.window_ns)}"
    if one.outcome == UNTESTED:
        return one.sentence()
    return answer(verdict)[0]


def too_many(certain: int, allowed: int, window_ns: int) -> str:
    """Return how many were let through, and by what factor that is more than promised."""
    factor = f"{certain / allowed:.1f}".removesuffix(".0")
    return f"{certain:,} let through in {spaced(window_ns)}, {allowed:,} promised ({factor}\N{MULTIPLICATION SIGN})"


def _violation(verdict: Verdict) -> str:
    over = [one for one in verdict.quotas if one.most > one.allowed and one.outcome == VIOLATED]
    if over:
        worst = max(over, key=lambda one: one.most / one.allowed)
        return too_many(worst.most, worst.allowed, worst.window_ns)
    for piece in sorted(verdict.evidence, key=lambda piece: piece.claim != OVER_ADMISSION):
        if piece.claim == OVER_ADMISSION and piece.nested:
            return too_many(piece.seen, piece.allowed, piece.window_ns)
        promised = ", ".join(map(plain_quota, piece.policy.split("; ")))
        if piece.claim == OVER_ADMISSION:
            return f"{len(piece.events)} admissions that {promised} does not explain"
        if piece.claim == WRONG_REJECTION and piece.nested:
            quota = plain_quota(piece.quota or piece.policy)
            return f"a request was rejected with {piece.seen} of {piece.allowed} used ({quota})"
        return f"{piece.without_need} rejected without need ({promised})"
    return verdict.reasons[0] if verdict.reasons else verdict.outcome


def _is_plain(one: QuotaVerdict) -> bool:
    """Tell if what a window may hold is the limit itself, as a sliding log has it."""
    (quota,) = Policy.parse(one.quota).quotas
    return (one.allowed, one.window_ns) == (quota.limit, quota.window_ns)


def _held(held: Sequence[QuotaVerdict], unknown: int) -> str:
    if not all(map(_is_plain, held)):
        return f"{' and '.join(plain_quota(one.quota) for one in held)} held"
    known = not unknown and all(one.possible <= one.allowed for one in held)
    most = " and ".join(f"{one.allowed:,} in {spaced(one.window_ns)}" for one in held)
    return f"{'never' if known else 'no client certainly got'} more than {most}"


def _power(held: Sequence[QuotaVerdict], verdict: Verdict) -> str:
    seen = [_excess(one) for one in held if one.excess is not None]
    after = ", after the pasts that were tried" if TRIED_PASTS in verdict.reasons else ""
    return f"; {' and '.join(seen)} would have been seen{after}" if seen else ""


def _excess(one: QuotaVerdict) -> str:
    (quota,) = Policy.parse(one.quota).quotas
    number = quota.limit + (one.excess or 0)
    return ordinal(number) if _is_plain(one) else f"a limit of {number:,}"
