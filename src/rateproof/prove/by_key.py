"""Each key of a log by itself: what happened to it, and how hard it pressed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.policy import Policy
from rateproof.prove.causes import Cause
from rateproof.prove.claims import HEADERS, OVER_ADMISSION
from rateproof.prove.diagnosis.diagnosis import diagnose
from rateproof.prove.judging import CLAIMS, DEFAULT_BUDGET, checked, verdict_of
from rateproof.prove.observed import observe_each
from rateproof.prove.runs import APART, by_run
from rateproof.prove.tolerance import Tolerance
from rateproof.prove.trial import Trial
from rateproof.prove.verdict import INCONCLUSIVE, VIOLATED, Verdict
from rateproof.prove.wording import key_to_json, readable_key
from rateproof.units import counted

__all__ = ["KeyVerdict", "judge_keys"]

_LEAST_BUDGET = 10_000


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """The verdict on one key.

    Args:
        key: the client's identity.
        run: the run that it is of, None where runs need not be told apart.
        verdict: as on a whole log, but that of windows which are too short nothing is said,
            and that evidence may hold requests that are not needed.
    """

    key: bytes
    run: int | None
    verdict: Verdict

    @property
    def margin_ns(self) -> int | None:
        """How close its admissions came to too many: see `ClosestCall`; None where they were few."""
        return self.verdict.closest[0].margin_ns if self.verdict.closest else None

    @property
    def excess(self) -> int | None:
        """The least excess over any quota that its requests could have shown; None if violated."""
        shown = (one.excess for one in self.verdict.sensitivity)
        return min((excess for excess in shown if excess is not None), default=None)

    def sentence(self) -> str:
        """The key, what was found, and the figures, in one line."""
        verdict, counts = self.verdict, self.verdict.counts
        who = readable_key(self.key) + ("" if self.run is None else f", run {self.run}")
        told = [
            f"{who}: {', '.join((verdict.outcome, *verdict.causes))}",
            f"{counted(counts.events, 'request')}, {counts.admitted} admitted",
        ]
        if verdict.closest:
            told.append(f"{verdict.closest[0].allowed + 1} in {self._took_ns / 1e9:.6f} s")
        if self.excess is not None:
            told.append(f"could have shown {self.excess} more")
        return "; ".join(told)

    @property
    def _took_ns(self) -> int:
        return self.verdict.closest[0].window_ns + self.verdict.closest[0].margin_ns

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the evidence."""
        counts = self.verdict.counts
        return {
            **key_to_json(self.key),
            "run": self.run,
            "outcome": self.verdict.outcome,
            "causes": list(self.verdict.causes),
            "requests": counts.events,
            "admitted": counts.admitted,
            "rejected": counts.rejected,
            "unknown": counts.unknown,
            "margin_ns": self.margin_ns,
            "excess": self.excess,
        }


def judge_keys(
    log: EventLog,
    policy: Policy,
    *,
    claims: frozenset[str] = CLAIMS,
    tolerance_ppm: int = 500,
    granularity_ns: int = 0,
    budget: int = DEFAULT_BUDGET,
    denied_count: bool = False,
) -> list[KeyVerdict]:
    """Judge each key of a log, those first that were violated or came closest to it.

    Where a key is in several runs, it has a verdict for each run: see `rateproof.prove.runs`.
    What concerns the whole log (whether it is complete, how long answers took, what
    its statuses mean) is taken from the whole log. A log in which any key is violated
    is violated.

    Args:
        log: as for `judge`.
        policy: as for `judge`.
        claims: as for `judge`.
        tolerance_ppm: as for `judge`.
        granularity_ns: as for `judge`.
        budget: over the whole log: each key has its share, and 10,000 positions at least.
        denied_count: as for `judge`.

    Raises:
        InvalidArgument: an unknown claim, none, or a bad tolerance; header fields alone.
    """
    checked(claims)
    if claims == {HEADERS}:
        raise InvalidArgument(
            "header fields are judged over the whole log, not key by key",
            "--claim headers without --by-key, or --by-key with another claim",
        )
    claims -= {HEADERS}
    tolerance = Tolerance(tolerance_ppm, granularity_ns)
    verdicts: list[KeyVerdict] = []
    for run, part in (by_run(log) or {None: log}).items():
        asked = claims if run is None else claims & {OVER_ADMISSION}
        trial = Trial(part, policy, tolerance, budget, asked, denied_count)
        found = _each(trial, asked, run)
        verdicts += found if asked else map(_unjudged, found)
    return sorted(verdicts, key=_rank)


def _unjudged(key: KeyVerdict) -> KeyVerdict:
    verdict = replace(
        key.verdict, outcome=INCONCLUSIVE, reasons=(APART,), causes=(Cause.NOT_JUDGED,)
    )
    return replace(key, verdict=verdict)


def _each(whole: Trial, claims: frozenset[str], run: int | None) -> Iterator[KeyVerdict]:
    findings = diagnose(whole.log, whole.survey.pressure, whole.survey.counts)
    share = max(_LEAST_BUDGET, whole.budget // max(1, whole.survey.counts.keys))
    for key in observe_each(whole.log):
        trial = whole.of_key(key, share)
        yield KeyVerdict(key.key, run, verdict_of(trial, claims, findings, whole=False))


def _rank(key: KeyVerdict) -> tuple[bool, bool, int, int]:
    """Violated ones first, then by margin, then by how much was asked in a window."""
    asked = max(pressure.attempts for pressure in key.verdict.pressure)
    violated = key.verdict.outcome == VIOLATED
    return not violated, key.margin_ns is None, key.margin_ns or 0, -asked
