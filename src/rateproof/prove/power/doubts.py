"""Reasons for doubt: what kept a log from telling, and what a verdict on it does not cover."""

from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.events import EventLog
from rateproof.events.judged import answers
from rateproof.events.pieces import Pieces
from rateproof.policy import Policy
from rateproof.prove.diagnosis.statuses import doubted_rejections, perhaps_rejected
from rateproof.prove.evidence.wording import spaced
from rateproof.prove.keys import Counts, cut_off, requests_missing
from rateproof.prove.power.pressure import Pressure
from rateproof.prove.terms import OVER_ADMISSION, WRONG_REJECTION, Cause
from rateproof.prove.wrong_rejection.rules import has_rule
from rateproof.units import counted


@dataclass(slots=True)
class Doubts:
    """Violations that there would be, had one thing been otherwise.

    Args:
        tolerance: without the tolerance.
        unknowns: had unknown outcomes been the less favourable.
        exhausted: keys whose search ran out of budget.
    """

    tolerance: bool = False
    unknowns: bool = False
    exhausted: int = 0


def causes_of(
    log: EventLog,
    claims: frozenset[str],
    counts: Counts,
    pressure: Sequence[Pressure],
    doubts: Doubts,
) -> dict[str, str]:
    """Every reason for doubt, by name."""
    causes = {}
    if log.metadata.get("valid") is False:
        causes[Cause.INVALID_RUN] = "the run was not valid: the load was not sent as planned"
    if isinstance(log, Pieces) and (apart := log.unjudged(rejections=WRONG_REJECTION in claims)):
        causes[Cause.TOO_LARGE] = apart
    if requests_missing(log) or (cut_off(log) and WRONG_REJECTION in claims):
        lost = ["no rejection was judged"] if WRONG_REJECTION in claims else []
        if OVER_ADMISSION in claims:
            lost.append("an excess may not have been seen")
        causes[Cause.LOG_CUT_OFF] = (
            "the log ends before its run did: requests are missing from it, "
            f"so {' and '.join(lost)}"
        )
    if OVER_ADMISSION in claims and not any(p.stressed for p in pressure):
        most = ", ".join(f"{p.allowed} in any {spaced(p.window_ns)}" for p in pressure)
        causes[Cause.NEVER_STRESSED] = (
            f"never stressed: no key can have sent more than the policy allows ({most})"
        )
    if doubts.exhausted:
        causes[Cause.BUDGET_SPENT] = f"the search gave up {doubts.exhausted} times: budget spent"
    if doubts.tolerance:
        causes[Cause.WITHIN_TOLERANCE] = (
            "only the tolerance for differing clocks keeps this from being a violation"
        )
    if doubts.unknowns:
        causes[Cause.UNKNOWN_OUTCOMES] = (
            f"{counted(counts.unknown, 'request')} of unknown outcome"
            f"{doubted_rejections(log, counts)} decide{'s' * (counts.unknown == 1)} "
            "whether this is a violation"
            f"{perhaps_rejected(log, counts)}"
        )
    if claims == {WRONG_REJECTION} and not counts.judged:
        could = "could be judged" if counts.rejected else "was seen, so none was judged"
        causes[Cause.NOT_JUDGED] = f"no rejection {could}{perhaps_rejected(log, counts)}"
    return causes


def left_out(
    log: EventLog,
    policy: Policy,
    claims: frozenset[str],
    counts: Counts,
    pressure: Sequence[Pressure],
) -> list[str]:
    """Return what the verdict does not cover."""
    unjudged = [] if cut_off(log) else _unjudged_rejections(claims, policy, counts)
    unfilled = [one.unfilled() for one in pressure] if OVER_ADMISSION in claims else []
    apart = [HEADERS_APART] if headers_apart(log) else []
    return [*filter(None, unfilled), *unjudged, *apart]


HEADERS_APART = "header fields of clients that do not fit in memory were not looked at"


def headers_apart(log: EventLog) -> bool:
    """Tell whether there are statements in header fields that nobody looks at."""
    return isinstance(log, Pieces) and bool(log.stretched) and any(of.marked for of in answers(log))


def _unjudged_rejections(claims: frozenset[str], policy: Policy, counts: Counts) -> list[str]:
    if WRONG_REJECTION not in claims or counts.judged == counts.rejected:
        return []
    left = counts.rejected - counts.judged
    if not has_rule(policy):
        why = "there is no rule for all quotas of the policy"
    else:
        why = "requests of the same keys before the log began may be the cause"
    return [f"{left} of {counts.rejected} rejections were not judged: {why}"]
