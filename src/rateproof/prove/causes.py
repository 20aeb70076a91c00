"""Why a log cannot tell, and how much a verdict rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rateproof.events import REJECTED, EventLog
from rateproof.policy import Policy
from rateproof.prove.evidence import OVER_ADMISSION, WRONG_REJECTION
from rateproof.prove.pressure import Pressure
from rateproof.prove.rejections import has_rule
from rateproof.prove.trial import Doubts, Trial

__all__ = ["Cause", "Counts", "causes_of", "count", "left_out", "only_elsewhere"]


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


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a verdict rests on.

    Args:
        keys: different keys.
        events: requests.
        admitted: requests known to be admitted.
        rejected: requests known to be rejected by the limiter.
        unknown: the rest.
        judged: rejections that could be judged, under a policy that has a rule
            and where the log goes back far enough.
    """

    keys: int = 0
    events: int = 0
    admitted: int = 0
    rejected: int = 0
    unknown: int = 0
    judged: int = 0

    def sentence(self) -> str:
        """The figures in one line."""
        return (
            f"{self.events} requests of {self.keys} {'key' if self.keys == 1 else 'keys'}: "
            f"{self.admitted} admitted, {self.rejected} rejected, {self.unknown} unknown"
        )

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def count(trial: Trial) -> Counts:
    """What is in the log."""
    keys = trial.keys.values()
    return Counts(
        keys=len(keys),
        events=len(trial.log),
        admitted=sum(len(key.admitted) for key in keys),
        rejected=sum(len(key.rejected) for key in keys),
        unknown=sum(len(key.unknown) for key in keys),
        judged=sum(len(trial.judged(key)) for key in keys),
    )


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
    statuses = [status for status in log.column("status") if status is not None]
    return (
        bool(statuses)
        and all(300 <= status < 500 for status in statuses)
        and REJECTED not in log.column("outcome")
    )


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
