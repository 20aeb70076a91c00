"""The verdict on a log: consistent, violated or inconclusive. Never "correct".

consistent    some choice of decision instants explains everything seen
violated      none does; the evidence is the smallest part that shows it
inconclusive  the log cannot tell, and the reasons say why
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.policy import Policy
from rateproof.prove.causes import Cause, causes_of, left_out, only_elsewhere
from rateproof.prove.evidence import OVER_ADMISSION, WRONG_REJECTION, Evidence, readable_key
from rateproof.prove.models import Tolerance
from rateproof.prove.pressure import Pressure, hardest
from rateproof.prove.survey import Counts
from rateproof.prove.trial import Doubts, Trial

__all__ = [
    "CLAIMS",
    "CONSISTENT",
    "DEFAULT_BUDGET",
    "INCONCLUSIVE",
    "MOST_EVIDENCE",
    "VIOLATED",
    "Cause",
    "Counts",
    "Verdict",
    "combine",
    "judge",
]

CONSISTENT: Final = "consistent"
VIOLATED: Final = "violated"
INCONCLUSIVE: Final = "inconclusive"

CLAIMS: Final = frozenset({OVER_ADMISSION, WRONG_REJECTION})
"""What can be claimed of a limiter and judged: never too many, never a rejection without need."""

DEFAULT_BUDGET: Final = 5_000_000
"""Positions that may be decided again over a whole log: seconds, not minutes."""

MOST_EVIDENCE: Final = 16
"""Pieces of evidence in a verdict; the reasons say of how many."""


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
    """

    outcome: str
    reasons: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    causes: tuple[str, ...] = ()
    pressure: tuple[Pressure, ...] = ()
    counts: Counts = field(default_factory=Counts)

    def describe(self, pieces: int = 1) -> str:
        """The verdict for people: what it is, how hard it was pressed, why, and what shows it.

        Args:
            pieces: how many pieces of evidence are shown at most, each with its drawing.
        """
        lines = [self.outcome, *(pressure.sentence() for pressure in self.pressure), *self.reasons]
        for piece in self.evidence[:pieces]:
            lines += [piece.sentence(), *piece.timeline().splitlines()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        pressure = [{name: getattr(p, name) for name in p.__slots__} for p in self.pressure]
        for row in pressure:
            row["key"] = readable_key(row["key"])
        return {
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "causes": list(self.causes),
            "evidence": [piece.to_json() for piece in self.evidence],
            "pressure": pressure,
            "counts": {name: getattr(self.counts, name) for name in self.counts.__slots__},
        }


def judge(
    log: EventLog,
    policy: Policy,
    *,
    claims: frozenset[str] = CLAIMS,
    tolerance_ppm: int = 500,
    granularity_ns: int = 0,
    budget: int = DEFAULT_BUDGET,
) -> Verdict:
    """Judge what clients saw against what a policy promises each key.

    Args:
        log: requests of any number of keys. `metadata["valid"]` False says
            that the run was not carried out as planned; `metadata["fresh_keys"]`
            True that no key was used before the log began;
            `metadata["complete"]` False that requests of the run are missing, and
            then no rejection is judged, for one of these may be its reason.
        policy: what the limiter is said to keep.
        claims: which promises to judge, from `CLAIMS`.
        tolerance_ppm: how far the rate of the limiter's clock may be off.
        granularity_ns: the step of the limiter's clock.
        budget: how many positions the search may decide again, over the whole
            log, before it gives up.

    Returns:
        A verdict. A violation outranks every reason to doubt the run.

    Raises:
        InvalidArgument: an unknown claim, none, or a bad tolerance.
    """
    if not claims or not claims <= CLAIMS:
        named = ", ".join(sorted(claims)) or "none"
        raise InvalidArgument(f"claims: {named}", f"one or more of {', '.join(sorted(CLAIMS))}")
    trial = Trial(log, policy, Tolerance(tolerance_ppm, granularity_ns), budget, claims)
    pressure, counts = trial.survey.pressure, trial.survey.counts
    doubts = Doubts()
    found: list[Evidence] = []
    reasons: list[str] = []
    if OVER_ADMISSION in claims and not only_elsewhere(log):
        _collect(trial.over_admissions(doubts), found, reasons, OVER_ADMISSION)
    if WRONG_REJECTION in claims:
        wrong = _collect(trial.wrong_rejections(), found, reasons, WRONG_REJECTION)
        if wrong and not trial.fresh:
            reasons.append(
                "this assumes that no request before the log took longer than any in it, "
                "for the log does not say that its keys were fresh"
            )
    if found:
        found.sort(
            key=lambda piece: (piece.claim, not piece.nested, len(piece.events), piece.span_ns)
        )
        return Verdict(
            VIOLATED,
            tuple(reasons),
            tuple(islice(found, MOST_EVIDENCE)),
            pressure=pressure,
            counts=counts,
        )
    if OVER_ADMISSION in claims:
        trial.doubt_over_admission(doubts)
    if WRONG_REJECTION in claims:
        trial.doubt_wrong_rejection(doubts)
    causes = causes_of(trial, claims, counts, pressure, doubts)
    notes = left_out(trial, claims, counts, pressure)
    return Verdict(
        INCONCLUSIVE if causes else CONSISTENT,
        (*causes.values(), *notes),
        causes=tuple(causes),
        pressure=pressure,
        counts=counts,
    )


def _collect(
    pieces: Iterable[Evidence], found: list[Evidence], reasons: list[str], claim: str
) -> bool:
    """Add the pieces and a reason that counts them; whether there were any."""
    collected = list(pieces)
    if collected:
        noun = "key was" if len(collected) == 1 else "keys were"
        what = "admitted too often" if claim == OVER_ADMISSION else "rejected without need"
        reasons.append(f"{claim}: {len(collected)} {noun} {what}")
        found.extend(collected)
    return bool(collected)


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict over several runs under one policy.

    Violated if any is. Runs that merely never stressed the limiter are neutral
    unless all are. Otherwise inconclusive if any is, for its reasons.
    """
    if not verdicts:
        return Verdict(INCONCLUSIVE, ("no run was judged",), causes=(Cause.NO_RUN,))
    counts = sum((verdict.counts for verdict in verdicts), Counts())
    pressure = hardest(verdict.pressure for verdict in verdicts)
    telling = [v for v in verdicts if v.causes != (Cause.NEVER_STRESSED,)] or list(verdicts)
    for outcome in (VIOLATED, INCONCLUSIVE, CONSISTENT):
        decisive = [verdict for verdict in telling if verdict.outcome == outcome]
        if decisive:
            break
    reasons = dict.fromkeys(reason for verdict in decisive for reason in verdict.reasons)
    causes = dict.fromkeys(cause for verdict in decisive for cause in verdict.causes)
    evidence = [piece for verdict in decisive for piece in verdict.evidence]
    return Verdict(
        outcome, tuple(reasons), tuple(evidence[:MOST_EVIDENCE]), tuple(causes), pressure, counts
    )
