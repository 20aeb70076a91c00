"""One verdict over a test that goes on, and what it says of each claim."""

from dataclasses import replace

from rateproof.prove import INCONCLUSIVE, VIOLATED, Verdict, combine

__all__ = ["Conclusion", "of_claim"]


class Conclusion:
    """The verdict so far: see `rateproof.prove.combine`.

    An iteration that was cut short by a stop and so could not tell is neutral:
    being stopped is the normal end of a test.
    """

    def __init__(self) -> None:
        self.verdict: Verdict | None = None

    def add(self, verdict: Verdict, *, stopped: bool) -> None:
        """Take one more iteration into account."""
        if self.verdict is None:
            self.verdict = verdict
        elif not (stopped and verdict.outcome == INCONCLUSIVE):
            self.verdict = combine([self.verdict, verdict])


def of_claim(verdict: Verdict, claim: str) -> Verdict | None:
    """What a verdict says of one claim alone; None where it was decided by another one.

    Once a log violates one claim, nothing is concluded of the others from it.
    """
    if verdict.outcome != VIOLATED:
        return verdict
    evidence = tuple(piece for piece in verdict.evidence if piece.claim == claim)
    reasons = tuple(reason for reason in verdict.reasons if reason.startswith(f"{claim}: "))
    if not evidence and not reasons:
        return None
    return replace(verdict, evidence=evidence, reasons=reasons)
