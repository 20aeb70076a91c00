"""Why a log cannot tell, and how much a verdict rests on."""

from collections.abc import Sequence
from typing import Final

from rateproof.policy import Policy
from rateproof.prove.diagnosis.answers import doubted_rejections, perhaps_rejected
from rateproof.prove.evidence import OVER_ADMISSION, WRONG_REJECTION
from rateproof.prove.pressure.pressure import Pressure
from rateproof.prove.rejections.rules import has_rule
from rateproof.prove.survey import Counts
from rateproof.prove.trial import Doubts, Trial
from rateproof.units import format_duration

__all__ = ["Cause", "causes_of", "left_out"]


class Cause:
    """What makes a verdict inconclusive, as names for programs."""

    NEVER_STRESSED: Final = "never-stressed"
    INVALID_RUN: Final = "invalid-run"
    LOG_CUT_OFF: Final = "log-cut-off"
    NO_RUN: Final = "no-run"
    NOTHING_ADMITTED: Final = "nothing-admitted"
    ONLY_ELSEWHERE: Final = "only-elsewhere"
    UNKNOWN_OUTCOMES: Final = "unknown-outcomes"
    WITHIN_TOLERANCE: Final = "only-within-tolerance"
    BUDGET_SPENT: Final = "budget-spent"
    NOT_JUDGED: Final = "not-judged"
    NO_HEADERS: Final = "no-headers"
    TOO_COARSE: Final = "too-coarse"
    NOT_SHOWN: Final = "not-shown"
    CUT_SHORT: Final = "cut-short"


def causes_of(
    trial: Trial,
    claims: frozenset[str],
    counts: Counts,
    pressure: Sequence[Pressure],
    doubts: Doubts,
) -> dict[str, str]:
    """Every reason for doubt, by name."""
    causes = {}
    if trial.log.metadata.get("valid") is False:
        causes[Cause.INVALID_RUN] = "the run was not valid: the load was not sent as planned"
    if trial.cut_off and WRONG_REJECTION in claims:
        causes[Cause.LOG_CUT_OFF] = (
            "the log ends before its run did: requests are missing from it, "
            "so no rejection was judged"
        )
    if OVER_ADMISSION in claims and not any(p.stressed for p in pressure):
        most = ", ".join(f"{p.allowed} in any {format_duration(p.window_ns)}" for p in pressure)
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
            f"{counts.unknown} requests of unknown outcome{doubted_rejections(trial.log, counts)} "
            "decide whether this is a violation"
            f"{perhaps_rejected(trial.log, counts)}"
        )
    if claims == {WRONG_REJECTION} and not counts.judged:
        could = "could be judged" if counts.rejected else "was seen, so none was judged"
        causes[Cause.NOT_JUDGED] = f"no rejection {could}{perhaps_rejected(trial.log, counts)}"
    return causes


def left_out(
    trial: Trial, claims: frozenset[str], counts: Counts, pressure: Sequence[Pressure]
) -> list[str]:
    """What the verdict does not cover."""
    unjudged = [] if trial.cut_off else _unjudged(claims, trial.policy, counts)
    return [*_unfilled(claims, pressure), *unjudged]


def _unfilled(claims: frozenset[str], pressure: Sequence[Pressure]) -> list[str]:
    if OVER_ADMISSION not in claims:
        return []
    return [
        f"'{p.quota}' was never seen full: at most {p.provable} of {p.allowed} admissions "
        "certainly fell into one window"
        for p in pressure
        if p.provable < p.allowed
    ]


def _unjudged(claims: frozenset[str], policy: Policy, counts: Counts) -> list[str]:
    if WRONG_REJECTION not in claims or counts.judged == counts.rejected:
        return []
    left = counts.rejected - counts.judged
    if not has_rule(policy):
        why = "there is no rule for all quotas of the policy"
    else:
        why = "requests of the same keys before the log began may be the cause"
    return [f"{left} of {counts.rejected} rejections were not judged: {why}"]
