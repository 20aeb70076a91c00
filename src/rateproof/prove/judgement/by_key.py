"""Each key of a log before one policy."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rateproof.clock import Tolerance
from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.policy import PolicyLike, policy_of
from rateproof.prove.diagnosis.hypotheses import Hypothesis, diagnose, failed_runs, not_limited
from rateproof.prove.judgement.ruling import verdict_of
from rateproof.prove.judgement.runs import APART, by_run
from rateproof.prove.keys import Counts, KeyLog, digest, observe_each, taken_for_fresh
from rateproof.prove.power.coverage import QuotaVerdict, coverage, pressing
from rateproof.prove.power.doubts import Doubts, causes_of, left_out
from rateproof.prove.power.pressure import Figures, of_few, unpressed
from rateproof.prove.power.sensitivity import unseen
from rateproof.prove.terms import (
    CLAIMS,
    CONSISTENT,
    HEADERS,
    INCONCLUSIVE,
    OVER_ADMISSION,
    VIOLATED,
    Cause,
    checked,
)
from rateproof.prove.trial import DEFAULT_BUDGET, Trial
from rateproof.prove.verdict import KeyVerdict, Verdict

_LEAST_BUDGET = 10_000


def judge_keys(
    log: EventLog,
    policy: PolicyLike,
    *,
    claims: frozenset[str] = CLAIMS,
    tolerance_ppm: int = 500,
    granularity_ns: int = 0,
    budget: int = DEFAULT_BUDGET,
    denied_count: bool = False,
    fresh_keys: bool = False,
) -> list[KeyVerdict]:
    """Judge each key of a log, those first that were violated or came closest to it.

    Where a key is in several runs, it has a verdict for each run: see `rateproof.prove.judgement.runs`.
    What concerns the whole log (whether it is complete, how long answers took, what
    its statuses mean) is taken from the whole log. A log in which any key is violated
    is violated. Each key has its share of the budget, and 10,000 positions at least.

    Raises:
        InvalidArgument, TypeError: as of `judge`; header fields alone.
    """
    policy = policy_of(policy)
    checked(claims)
    if claims == {HEADERS}:
        raise InvalidArgument(
            "header fields are judged over the whole log, not key by key",
            "--claim headers without --by-key, or --by-key with another claim",
        )
    claims -= {HEADERS}
    if fresh_keys:
        log = taken_for_fresh(log)
    tolerance = Tolerance(tolerance_ppm, granularity_ns)
    parts = by_run(log)
    asked = (claims, claims & {OVER_ADMISSION})
    trials = [
        None if part is None else Trial(part, policy, tolerance, budget, of, denied_count)
        for part, of in zip(parts, asked, strict=True)
    ]
    counts = sum((trial.survey.counts for trial in trials if trial is not None), Counts())
    missed = not_limited(log, counts) or failed_runs(log)
    verdicts: list[KeyVerdict] = []
    if trials[0] is not None:
        findings = missed or diagnose(trials[0].log, trials[0].survey.pressure, counts)
        verdicts += _each(trials[0], claims, findings, several=False)
    if trials[1] is not None:
        found = _each(trials[1], asked[1], missed, several=True)
        verdicts += found if asked[1] else map(_unjudged, found)
    return sorted(verdicts, key=_rank)


def _unjudged(key: KeyVerdict) -> KeyVerdict:
    verdict = replace(
        key.verdict, outcome=INCONCLUSIVE, reasons=(APART,), causes=(Cause.NOT_JUDGED,)
    )
    return replace(key, verdict=verdict)


def _each(
    whole: Trial, claims: frozenset[str], findings: Sequence[Hypothesis], *, several: bool
) -> Iterator[KeyVerdict]:
    log, policy, survey = whole.log, whole.policy, whole.survey
    share = max(_LEAST_BUDGET, whole.budget // max(1, survey.counts.keys))
    fewest = min(pressing.needs for pressing in pressing(policy))
    few = _Few(whole, claims)
    runs = log.ints("run") if several else None
    for key in observe_each(log):
        cleared = survey.clears(key)
        run = (
            None
            if runs is None
            else runs[min(key.admitted_rows + key.rejected_rows + key.unknown_rows)]
        )
        if cleared and not findings and not key.rejected and key.requests < fewest:
            verdict = few.verdict(key)
        else:
            trial = whole.of_key(key, share, cleared=cleared)
            verdict = verdict_of(trial, claims, findings, whole=False)
        yield KeyVerdict(key.key, run, verdict)


class _Few:
    """Verdicts on keys with too few requests to get more than is allowed: see `verdict_of`.

    Keys of which all figures are the same share one, so its pressure names no key.
    """

    def __init__(self, whole: Trial, claims: frozenset[str]) -> None:
        self._whole, self._claims = whole, claims
        self._blank = tuple(unpressed(whole.policy))
        self._causes = causes_of(whole.log, claims, Counts(), self._blank, Doubts())
        self._unseen = unseen(whole.policy) if OVER_ADMISSION in claims else ()
        self._known: dict[tuple[int, int, Sequence[Figures]], Verdict] = {}

    def verdict(self, key: KeyLog) -> Verdict:
        """Return the verdict on this one."""
        told = len(key.admitted), len(key.unknown), of_few(key, self._blank)
        verdict = self._known.get(told)
        if verdict is None:
            verdict = self._known[told] = self._verdict(*told)
        return verdict

    def _verdict(self, admitted: int, unknown: int, figures: Sequence[Figures]) -> Verdict:
        pressure = tuple(
            replace(of, attempts=asked, possible=possible, provable=provable)
            for of, (asked, possible, provable) in zip(self._blank, figures, strict=True)
        )
        counts = Counts(1, admitted + unknown, admitted, 0, unknown, 0)
        notes = left_out(self._whole.log, self._whole.policy, self._claims, counts, pressure)
        outcome = INCONCLUSIVE if self._causes else CONSISTENT
        quotas: tuple[QuotaVerdict, ...] = ()
        if self._unseen:
            told = [outcome] * len(pressure)
            quotas = coverage(self._whole.policy, pressure, self._unseen, told)
        return Verdict(
            outcome,
            (*self._causes.values(), *notes),
            causes=tuple(self._causes),
            pressure=pressure,
            counts=counts,
            sensitivity=self._unseen,
            quotas=quotas,
        )


def _rank(key: KeyVerdict) -> tuple[bool, bool, int, int, int, int]:
    """Violated ones first, then by margin, then by how much was asked in a window, then by digest."""
    asked = max(pressure.attempts for pressure in key.verdict.pressure)
    violated = key.verdict.outcome == VIOLATED
    margin_ns, run = key.margin_ns, key.run or 0
    return not violated, margin_ns is None, margin_ns or 0, -asked, digest(key.key), run
