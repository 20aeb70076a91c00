"""The verdict on a log: consistent, violated or inconclusive. Never "correct".

consistent    some choice of decision instants explains everything seen
violated      none does; the evidence is a part that shows it, and all of it is needed
inconclusive  the log cannot tell, and the reasons say why
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rateproof.prove.causes import Cause
from rateproof.prove.evidence import DRAWING_WIDTH, MOST_EVIDENCE, Evidence, readable_key
from rateproof.prove.headers.headers import Headers, all_headers
from rateproof.prove.pressure.calls import ClosestCall, closest_of
from rateproof.prove.pressure.pressure import Pressure, hardest
from rateproof.prove.pressure.sensitivity import Sensitivity, best
from rateproof.prove.survey import Counts

__all__ = [
    "CONSISTENT",
    "INCONCLUSIVE",
    "MOST_EVIDENCE",
    "VIOLATED",
    "Cause",
    "Counts",
    "Verdict",
    "combine",
]

CONSISTENT: Final = "consistent"
VIOLATED: Final = "violated"
INCONCLUSIVE: Final = "inconclusive"

_SILENT: Final = {Cause.NEVER_STRESSED, Cause.TOO_COARSE, Cause.NOT_JUDGED}
"""Causes that say nothing against other runs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, why, and how much it rests on.

    Args:
        outcome: `consistent`, `violated` or `inconclusive`.
        reasons: plain sentences: how many keys were violated, what makes it
            inconclusive, or what a consistent verdict does not cover.
        evidence: at most `MOST_EVIDENCE` pieces, the shortest first.
        causes: names from `Cause`, none unless inconclusive.
        pressure: how hard the log pressed, one for each quota in policy order.
        counts: what was in the log.
        closest: the keys that came closest to more than is allowed, at most
            `MOST_CALLS`, the closest first.
        sensitivity: the least excess over each quota, in policy order, that the
            log could have shown; none where it was violated or not asked for.
        diagnosis: names from `Diagnosis`: what the target seems to do instead of what
            was declared; the first reasons are their sentences.
        headers: what became of what the answers' header fields said; None where
            there were none. It does not change the outcome unless that was asked for.
    """

    outcome: str
    reasons: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    causes: tuple[str, ...] = ()
    pressure: tuple[Pressure, ...] = ()
    counts: Counts = field(default_factory=Counts)
    closest: tuple[ClosestCall, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    diagnosis: tuple[str, ...] = ()
    headers: Headers | None = None

    @property
    def met(self) -> bool:
        """Whether requests got as far as a limiter: else what pressed on none says nothing."""
        return Cause.ONLY_ELSEWHERE not in self.causes

    def describe(self, pieces: int = 1, width: int = DRAWING_WIDTH) -> str:
        """The verdict for people: what it is, how hard it was pressed, why, and what shows it.

        Args:
            pieces: how many pieces of evidence are shown at most, each with its drawing.
            width: characters a line of a drawing; sentences are a line each.
        """
        found, others = self.reasons[: len(self.diagnosis)], self.reasons[len(self.diagnosis) :]
        lines = [self.outcome, *found]
        if self.met:
            lines += [pressure.sentence() for pressure in self.pressure]
        if self.closest and not self.evidence:
            lines.append("closest calls: " + "; ".join(call.sentence() for call in self.closest))
        lines += [*(shown.sentence() for shown in self.sensitivity), *others]
        for piece in self.evidence[:pieces]:
            lines += [piece.sentence(), *piece.timeline(width).splitlines()]
        if self.headers is not None:
            lines += [line for line in self.headers.describe() if line not in self.reasons]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "causes": list(self.causes),
            "diagnosis": list(self.diagnosis),
            "evidence": [piece.to_json() for piece in self.evidence],
            "pressure": [{**asdict(one), "key": readable_key(one.key)} for one in self.pressure],
            "counts": asdict(self.counts),
            "closest": [call.to_json() for call in self.closest],
            "sensitivity": [asdict(one) for one in self.sensitivity],
            "headers": None if self.headers is None else self.headers.to_json(),
        }


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict over several runs under one policy.

    Violated if any is. Runs that merely could not have shown anything are neutral
    unless all are. Otherwise inconclusive if any is, for its reasons.
    """
    if not verdicts:
        return Verdict(INCONCLUSIVE, ("no run was judged",), causes=(Cause.NO_RUN,))
    counts = sum((verdict.counts for verdict in verdicts), Counts())
    pressure = hardest(verdict.pressure for verdict in verdicts)
    telling = [v for v in verdicts if not v.causes or set(v.causes) - _SILENT] or list(verdicts)
    for outcome in (VIOLATED, INCONCLUSIVE, CONSISTENT):
        decisive = [verdict for verdict in telling if verdict.outcome == outcome]
        if decisive:
            break
    reasons = dict.fromkeys(reason for verdict in decisive for reason in verdict.reasons)
    causes = dict.fromkeys(cause for verdict in decisive for cause in verdict.causes)
    evidence = [piece for verdict in decisive for piece in verdict.evidence]
    return Verdict(
        outcome,
        tuple(reasons),
        tuple(evidence[:MOST_EVIDENCE]),
        tuple(causes),
        pressure,
        counts,
        closest_of(call for verdict in verdicts for call in verdict.closest),
        best(verdict.sensitivity for verdict in verdicts) if outcome != VIOLATED else (),
        headers=all_headers(verdict.headers for verdict in verdicts),
        diagnosis=tuple(dict.fromkeys(name for one in decisive for name in one.diagnosis)),
    )
