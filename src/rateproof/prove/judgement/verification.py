"""A document of evidence, judged anew from its requests."""

from dataclasses import replace
from typing import Final

from rateproof.prove.evidence.document import Document
from rateproof.prove.power.doubts import Doubts
from rateproof.prove.terms import INCONCLUSIVE, OVER_ADMISSION, VIOLATED, Cause
from rateproof.prove.trial import DEFAULT_BUDGET, Trial
from rateproof.prove.verdict import Verdict

_INCOMPLETE: Final = (
    "these requests do not show it: a rejection is wrong only if nothing else used up the quota, and "
    "complete is false"
)


_NOT_SHOWN: Final = (
    "these requests do not show it: some choice of instants, each between sending and answer, "
    "keeps the policy"
)


def verify(document: Document, budget: int = DEFAULT_BUDGET) -> Verdict:
    """Tell whether the requests of a document show what it claims, under what it openly assumes.

    Its sentence and figures play no part.

    Returns:
        Violated with evidence found anew, or inconclusive.
    """
    claims = frozenset({document.claim})
    trial = Trial(
        document.log,
        document.policy,
        document.tolerance,
        budget,
        claims,
        denied_count=document.denied_count,
        only=document.without_need,
    )
    doubts = Doubts()
    if document.claim == OVER_ADMISSION:
        found = list(trial.over_admissions(doubts))
    elif not document.complete:
        found = []
    else:
        found = list(trial.wrong_rejections()) or list(trial.wrong_together(doubts))
    pressure, counts = trial.survey.pressure, trial.survey.counts
    assuming = tuple(f"assuming that {one}" for one in document.assumptions())
    if not found:
        known = document.complete or document.claim == OVER_ADMISSION
        why, cause = _NOT_SHOWN if known else _INCOMPLETE, Cause.NOT_SHOWN
        if doubts.exhausted:
            why, cause = "the search gave up: budget spent", Cause.BUDGET_SPENT
        reasons = (f"{document.claim} of '{document.policy}' is claimed: {why}", *assuming)
        return Verdict(INCONCLUSIVE, reasons, causes=(cause,), pressure=pressure, counts=counts)
    evidence = tuple(replace(piece, run=document.run) for piece in found)
    return Verdict(VIOLATED, assuming, evidence, pressure=pressure, counts=counts)
