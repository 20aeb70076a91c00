"""The message of a failed assertion: the evidence, or why it could not be told."""

from collections.abc import Iterable
from pathlib import Path

from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.text import NAME
from rateproof.hunt.report.totals import Totals
from rateproof.prove import INCONCLUSIVE, VIOLATED, Verdict

__all__ = ["Heard"]


_MOST_LINES = 20


class Heard(Reporter):
    """Keeps what a failure has to say.

    Args:
        folder: where the summary of the test is, which has what a failure has no room for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
        """The reason why the assertion fails, None if it holds."""
        verdict = self.totals.combined
        allowed = allow_inconclusive and verdict.counts.admitted > 0  # else nothing was tested
        told = verdict.outcome == INCONCLUSIVE and not allowed
        if self._violated is None and not self.totals.crashes and not told:
            return None
        about = f"'{self._subject.policy}' at {self._subject.target}"
        first, *more = self.totals.answer
        end, evidence, rest = [f"seed      {self._subject.seed}"], [], [*self._crashes]
        if self._violated is None:
            rest += verdict.reasons
        else:
            iteration, log = self._violated
            end.insert(0, f"log       {log}")
            evidence = _violation(iteration.verdict)
            rest = [*(each.describe() for each in self.totals.reproductions), *rest]
        head = _lines([f"{about}: {first}", *more])
        return "\n".join(
            [*head, *_fitting(evidence, rest, len(head) + len(end), self._folder), *end]
        )


def _lines(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in text.splitlines()]


def _fitting(
    evidence: Iterable[str], findings: Iterable[str], others: int, folder: Path
) -> list[str]:
    """As much as there is room for beside some other lines, and where all of it is."""
    shown, more = _lines(evidence), _lines(findings)
    room = _MOST_LINES - others
    if len(shown) + len(more) <= room:
        return shown + more
    room -= 1
    kept = more[: max(room // 2, room - len(shown))]
    shown = shown[: room - len(kept)]
    return [*shown, *kept, f"more      {folder / NAME}"]


def _violation(verdict: Verdict) -> list[str]:
    if not verdict.evidence:
        return list(verdict.reasons)
    piece = verdict.evidence[0]
    return [piece.sentence(), piece.timeline(), *verdict.reasons]
