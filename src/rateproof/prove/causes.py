"""Why a log cannot tell, and how much a verdict rests on."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from rateproof.events import REJECTED, EventLog
from rateproof.events.columns import NULL
from rateproof.policy import Policy
from rateproof.prove.evidence import OVER_ADMISSION, WRONG_REJECTION
from rateproof.prove.pressure import Pressure
from rateproof.prove.rejections import has_rule
from rateproof.prove.survey import Counts
from rateproof.prove.trial import Doubts, Trial

if TYPE_CHECKING:
    from array import array

__all__ = ["Cause", "causes_of", "left_out", "only_elsewhere"]


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
    if counts.admitted == 0:
        causes[Cause.NOTHING_ADMITTED] = "nothing was admitted, so nothing shows a limit at work"
    elif only_elsewhere(trial.log):
        causes[Cause.ONLY_ELSEWHERE] = (
            "every answer was a client error or a redirect (such as 401, 404, 302): "
            "the target may be another one than was meant"
        )
    if OVER_ADMISSION in claims and not any(p.stressed for p in pressure):
        causes[Cause.NEVER_STRESSED] = (
            "never stressed: no key can have sent more than the policy allows"
        )
    if doubts.exhausted:
        causes[Cause.BUDGET_SPENT] = f"the search gave up {doubts.exhausted} times: budget spent"
    if doubts.tolerance:
        causes[Cause.WITHIN_TOLERANCE] = (
            "only the tolerance for differing clocks keeps this from being a violation"
        )
    if doubts.unknowns:
        causes[Cause.UNKNOWN_OUTCOMES] = (
            f"{counts.unknown} requests of unknown outcome decide whether this is a violation"
        )
    if claims == {WRONG_REJECTION} and counts.rejected and not counts.judged:
        causes[Cause.NOT_JUDGED] = "no rejection could be judged"
    return causes


def only_elsewhere(log: EventLog) -> bool:
    """Whether every answer says that the requests went to the wrong place, and none was limited.

    A login page, a redirect or a wrong path is seldom behind the limiter that
    is meant, so what it admits shows nothing.
    """
    statuses = (status for status in _stored(log, "status", log.ints) if status != NULL)
    if not all(300 <= status < 500 for status in statuses):
        return False
    rejected = {code for code, word in enumerate(log.words("outcome")) if word == REJECTED}
    answered = any(status != NULL for status in _stored(log, "status", log.ints))
    codes = _stored(log, "outcome", lambda name: log.codes(name)[0])
    return answered and rejected.isdisjoint(codes)


def _stored(log: EventLog, name: str, each: Callable[[str], "array[int]"]) -> Sequence[int]:
    """The numbers of a column, one where all rows have the same."""
    same = log.same(name)
    return each(name) if same is None else [same]


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
        why = "only sliding logs have a rule for them"
    else:
        why = "requests of the same keys before the log began may be the cause"
    return [f"{left} of {counts.rejected} rejections were not judged: {why}"]
