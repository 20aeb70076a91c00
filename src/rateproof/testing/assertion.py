"""The message of a failed assertion: the evidence, or why it could not be told."""

from pathlib import Path

from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report import Reporter, Subject, Totals
from rateproof.prove import INCONCLUSIVE, VIOLATED, Verdict

__all__ = ["Heard"]


class Heard(Reporter):
    """Keeps what a failure has to say."""

    def __init__(self) -> None:
        self._violated: tuple[Iteration, Path] | None = None
        self._crashes: list[str] = []

    def begin(self, subject: Subject, totals: Totals) -> None:
        """See `Reporter`."""
        self._subject, self.totals = subject, totals

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        if self._violated is None and iteration.verdict.outcome == VIOLATED:
            self._violated = iteration, log
        self._crashes += [str(crash) for crash in iteration.crashes]

    def failure(self, *, allow_inconclusive: bool) -> str | None:
        """Why the assertion fails, None if it holds."""
        verdict = self.totals.combined
        allowed = allow_inconclusive and verdict.counts.admitted > 0  # else nothing was tested
        told = verdict.outcome == INCONCLUSIVE and not allowed
        if self._violated is None and not self.totals.crashes and not told:
            return None
        about = f"'{self._subject.policy}' at {self._subject.target}"
        first, *more = self.totals.answer
        lines = [f"{about}: {first}", *more]
        if self._violated is not None:
            iteration, log = self._violated
            lines += _violation(iteration.verdict)
            lines += [each.describe() for each in self.totals.reproductions]
            lines.append(f"log       {log}")
        lines += self._crashes
        if self._violated is None:
            lines += verdict.reasons
        return "\n".join([*lines, f"seed      {self._subject.seed}"])


def _violation(verdict: Verdict) -> list[str]:
    if not verdict.evidence:
        return list(verdict.reasons)
    piece = verdict.evidence[0]
    return [piece.sentence(), piece.timeline(), *verdict.reasons]
