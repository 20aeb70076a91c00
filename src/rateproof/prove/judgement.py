"""One log, or one key of it, before one policy: the way from what was seen to the verdict."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from rateproof.clock import Tolerance
from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, EventLog, declines, listed, rejected_statuses
from rateproof.policy import Policy, Quota
from rateproof.prove.diagnosis.division import divided
from rateproof.prove.diagnosis.hypotheses import Hypothesis, diagnose, failed_runs, not_limited
from rateproof.prove.diagnosis.statuses import (
    doubted_rejections,
    if_rejected,
    oddly_admitted,
    perhaps_rejected,
)
from rateproof.prove.evidence.document import Document, matters_ns
from rateproof.prove.evidence.piece import Evidence
from rateproof.prove.evidence.wording import plain_quota, spaced
from rateproof.prove.headers import Headers
from rateproof.prove.keys import Counts, KeyLog, cut_off, fresh, marks_rejections, observe_each
from rateproof.prove.over_admission.gaps import Stair
from rateproof.prove.over_admission.windows import most_nested
from rateproof.prove.power.coverage import QuotaVerdict, coverage, pressing, tested
from rateproof.prove.power.pressure import Figures, Pressure, of_few, unpressed
from rateproof.prove.power.sensitivity import Sensitivity, unseen
from rateproof.prove.terms import CLAIM_SETS, HEADERS, OVER_ADMISSION, WRONG_REJECTION
from rateproof.prove.trial import Doubts, Trial
from rateproof.prove.verdict import (
    CONSISTENT,
    INCONCLUSIVE,
    MOST_EVIDENCE,
    VIOLATED,
    Cause,
    KeyVerdict,
    Verdict,
    combine,
)
from rateproof.prove.wrong_rejection.rules import has_rule

__all__ = [
    "ALL_CLAIMS",
    "APART",
    "CLAIMS",
    "DEFAULT_BUDGET",
    "by_run",
    "causes_of",
    "checked",
    "judge",
    "judge_keys",
    "left_out",
    "verdict_of",
    "verify",
]

CLAIMS: Final = CLAIM_SETS["limit"]
"""Claims that can be judged: never too many, never a rejection without need."""

ALL_CLAIMS: Final = CLAIM_SETS["all"]
"""Beside these, that what the limiter says in header fields comes true."""

DEFAULT_BUDGET: Final = 5_000_000
"""Positions that may be decided again over a whole log: seconds, not minutes."""


def judge(
    log: EventLog,
    policy: Policy,
    *,
    claims: frozenset[str] = CLAIMS,
    tolerance_ppm: int = 500,
    granularity_ns: int = 0,
    budget: int = DEFAULT_BUDGET,
    denied_count: bool = False,
    fresh_keys: bool = False,
) -> Verdict:
    """Judge what clients saw against what a policy promises each key.

    Args:
        log: requests of any number of keys. `metadata["valid"]` False says
            that the run was not carried out as planned; `metadata["fresh_keys"]`
            True that no key was used before the log began;
            `metadata["complete"]` False that requests of the run are missing, and
            then no rejection is judged, for one of these may be its reason.
        policy: what the limiter is said to keep.
        claims: which promises to judge, from `ALL_CLAIMS`.
        tolerance_ppm: how far the rate of the limiter's clock may be off.
        granularity_ns: the step of the limiter's clock.
        budget: how many positions the search may decide again, over the whole
            log, before it gives up.
        denied_count: whether the limiter is said to count denied requests too.
            Over-admission is the same; a rejection may then be due to earlier ones.
        fresh_keys: whether to assume that no key was used in the window before the
            log began, where the log does not say so. The verdict names it.

    Returns:
        A verdict. A violation outranks every reason to doubt the run.

    Raises:
        InvalidArgument: an unknown claim, none, or a bad tolerance.
    """
    checked(claims)
    if fresh_keys:
        log = taken_for_fresh(log)
    tolerance = Tolerance(tolerance_ppm, granularity_ns)
    limit, over = claims - {HEADERS}, frozenset({OVER_ADMISSION})
    parts = [
        (part, asked)
        for part, asked in zip(by_run(log), (limit, over), strict=True)
        if part is not None
    ]
    share = budget // max(1, len(parts))
    trials = [Trial(part, policy, tolerance, share, asked, denied_count) for part, asked in parts]
    counts = sum((trial.survey.counts for trial in trials), Counts())
    missed = not_limited(log, counts) or failed_runs(log)

    def whole(trial: Trial) -> Verdict:
        findings = missed or diagnose(trial.log, trial.survey.pressure, counts)
        told = None if claims == over else trial.headers()
        return _held_to_headers(verdict_of(trial, limit, findings), told, claims)

    if parts[-1][0] is log:
        return whole(trials[0])
    of_runs = verdict_of(trials[-1], over, missed)
    if len(parts) == 1:
        return _held_to_headers(_together(None, of_runs, claims), None, claims)
    return _together(_in_run(whole(trials[0]), parts[0][0]), of_runs, claims)


def checked(claims: frozenset[str]) -> None:
    """Refuse claims that nothing can be judged by.

    Raises:
        InvalidArgument: an unknown claim, or none.
    """
    if not claims or not claims <= ALL_CLAIMS:
        named = ", ".join(sorted(claims)) or "none"
        raise InvalidArgument(f"claims: {named}", f"one or more of {', '.join(sorted(ALL_CLAIMS))}")


def verdict_of(
    trial: Trial, claims: frozenset[str], findings: Sequence[Hypothesis], *, whole: bool = True
) -> Verdict:
    """The verdict of a trial."""
    pressure, counts = trial.survey.pressure, trial.survey.counts
    doubts = Doubts()
    asked = claims.difference(*(finding.unjudged for finding in findings))
    found, reasons = _violations(trial, asked, doubts)
    if found:
        if found[0].claim == OVER_ADMISSION and counts.rejected and not findings and whole:
            findings = divided(trial.log, pressure)
        found.sort(
            key=lambda piece: (piece.claim, len(piece.events), -piece.slack_ns, piece.span_ns)
        )
        return Verdict(
            VIOLATED,
            (*(finding.sentence for finding in findings), *reasons),
            tuple(islice(found, MOST_EVIDENCE)),
            pressure=pressure,
            counts=counts,
            closest=trial.survey.closest,
            diagnosis=tuple(finding.name for finding in findings),
            quotas=_each_quota(trial, found) if whole and OVER_ADMISSION in asked else (),
        )
    shown = trial.sensitivity(windows=whole) if OVER_ADMISSION in asked else ()
    if OVER_ADMISSION in asked:
        trial.doubt_over_admission(doubts)
    if WRONG_REJECTION in asked:
        trial.doubt_wrong_rejection(doubts)
    causes = {finding.name: finding.sentence for finding in findings}
    causes |= causes_of(trial, claims, counts, pressure, doubts)
    beginning: list[str] = []
    if shown and not causes:
        beginning = _unknown_beginning(trial, shown)
        causes = _nothing_shown(trial, shown, beginning)
    notes = [*left_out(trial, claims, counts, pressure), *([] if causes else beginning)]
    if whole and not findings and counts.admitted:
        notes += oddly_admitted(trial.log)
    outcome = INCONCLUSIVE if causes else CONSISTENT
    if not causes:
        notes += _assumed(trial)
    quotas: tuple[QuotaVerdict, ...] = ()
    if shown:
        quotas = coverage(trial.policy, pressure, shown, [outcome] * len(pressure))
    return Verdict(
        outcome,
        (*causes.values(), *notes),
        causes=tuple(causes),
        diagnosis=tuple(finding.name for finding in findings),
        pressure=pressure,
        counts=counts,
        closest=trial.survey.closest if claims == asked else (),
        sensitivity=shown,
        quotas=quotas,
    ).demanding_tests()


def _nothing_shown(
    trial: Trial, shown: Sequence[Sensitivity], beginning: Sequence[str]
) -> dict[str, str]:
    """Why a log shows nothing of any quota that nothing contradicts."""
    if any(tested(trial.policy, shown)):
        return {}
    if beginning:
        return {Cause.UNKNOWN_BEGINNING: beginning[0]}
    what = "no excess could have been shown: had every request been admitted, that could be "
    what += f"explained too{perhaps_rejected(trial.log, trial.survey.counts)}"
    if any(one.excess is not None for one in shown):
        what = "no quota was seen full, and only a great excess would have been seen"
    return {Cause.TOO_COARSE: what}


def _unknown_beginning(trial: Trial, shown: Sequence[Sensitivity]) -> list[str]:
    """A sentence if a quota counts for untested only since its keys may have been used before."""
    told = tested(trial.policy, shown)
    if trial.fresh or trial.requests_missing or all(told):
        return []
    if_fresh = tested(trial.policy, trial.sensitivity(windows=False, fresh=True))
    pairs = zip(trial.policy.quotas, told, if_fresh, strict=True)
    hidden = [plain_quota(str(quota)) for quota, now, then in pairs if then and not now]
    if not hidden:
        return []
    what = f"{' and '.join(hidden)}: no excess would have been seen, for "
    if "complete_by_run" in trial.log.metadata:
        return [f"{what}other runs of the same keys may have used up the quota"]
    before = spaced(max(map(matters_ns, trial.policy.quotas)))
    what += "requests before the log may have used up the quota; "
    return [f"{what}if no key was used in the {before} before it began: --fresh-keys"]


def _assumed(trial: Trial) -> list[str]:
    """The assumptions of a verdict on the time before the log."""
    if trial.log.metadata.get("fresh_keys_assumed"):
        return ["this assumes that no key was used in the window before the log began"]
    if trial.fresh:
        return []
    what = "this assumes that no request before the log took longer than any in it, "
    return [f"{what}for the log does not say that its keys were fresh"]


def taken_for_fresh(log: EventLog) -> EventLog:
    """The log, assumed to say that no key was used before it began."""
    return log if fresh(log) else log.noting(fresh_keys=True, fresh_keys_assumed=True)


def _each_quota(trial: Trial, found: Sequence[Evidence]) -> tuple[QuotaVerdict, ...]:
    """One verdict a quota, of a log that was violated: each is judged as if it were alone."""
    policy = trial.policy
    pressure = tuple(
        replace(of, provable=_certain(trial, quota, of))
        for quota, of in zip(policy.quotas, trial.survey.pressure, strict=True)
    )
    shown = trial.sensitivity(windows=False)
    if len(policy.quotas) == 1 and any(piece.claim == OVER_ADMISSION for piece in found):
        return coverage(policy, pressure, shown, [VIOLATED])
    over = frozenset({OVER_ADMISSION})
    outcomes = []
    for quota in policy.quotas:
        alone = Trial(trial.log, Policy((quota,)), trial.tolerance, trial.budget, over)
        outcomes.append(verdict_of(alone, over, ()).outcome)
    return coverage(policy, pressure, shown, outcomes)


def _certain(trial: Trial, quota: Quota, of: Pressure) -> int:
    """The most of one key in a window, whatever the clocks, where that is more than allowed."""
    if of.provable <= of.allowed:
        return of.provable
    span_ns = Stair.of(quota, trial.tolerance).span_ns(1)
    keys = (suspect.load() for suspect in trial.survey.suspects)
    return max((most_nested(key.admitted, span_ns) for key in keys), default=0)


def _held_to_headers(verdict: Verdict, headers: Headers | None, claims: frozenset[str]) -> Verdict:
    """The verdict with what became of the header fields; part of it where that was asked for."""
    verdict = replace(verdict, headers=headers)
    if HEADERS not in claims:
        return verdict
    if headers is not None and headers.broken:
        known = verdict.reasons if verdict.outcome == VIOLATED else ()
        reasons = (*known, headers.sentence())
        return replace(verdict, outcome=VIOLATED, reasons=reasons, causes=())
    if verdict.outcome == VIOLATED or (headers is not None and any(headers.judged)):
        return verdict
    return replace(
        verdict,
        outcome=INCONCLUSIVE,
        reasons=("no header field said anything that was put to the test", *verdict.reasons),
        causes=(*verdict.causes, Cause.NO_HEADERS),
    )


def _in_run(verdict: Verdict, part: EventLog) -> Verdict:
    """The verdict, its evidence with the run that it is of, where the part has one only."""
    runs = part.distinct("run")
    if len(runs) > 1:
        return verdict
    (run,) = runs
    return replace(verdict, evidence=tuple(replace(piece, run=run) for piece in verdict.evidence))


def _together(alone: Verdict | None, apart: Verdict, claims: frozenset[str]) -> Verdict:
    """One verdict over keys that are in one run, and those that are in several."""
    total = apart if alone is None else combine([alone, apart])
    counts = total.counts
    if OVER_ADMISSION not in claims:
        if alone is None:
            return Verdict(INCONCLUSIVE, (APART,), causes=(Cause.NOT_JUDGED,), counts=counts)
        total = alone
    told = (APART,) if WRONG_REJECTION in claims and apart.counts.rejected else ()
    return replace(total, counts=counts, reasons=(*total.reasons, *told))


def _violations(
    trial: Trial, asked: frozenset[str], doubts: Doubts
) -> tuple[list[Evidence], list[str]]:
    """Return what is certainly false of what is asked, and the reasons that say so."""
    found: list[Evidence] = []
    reasons: list[str] = []
    if OVER_ADMISSION in asked:
        _collect(trial.over_admissions(doubts), found, reasons, OVER_ADMISSION)
        reasons += _perhaps_rejected(found, trial)
    if WRONG_REJECTION in asked:
        wrong = _collect(trial.wrong_rejections(), found, reasons, WRONG_REJECTION)
        if not found:
            wrong = _collect(trial.wrong_together(doubts), found, reasons, WRONG_REJECTION)
        keys = {piece.key for piece in found if piece.claim == WRONG_REJECTION}
        if wrong and trial.right_if_denied_count(keys):
            reasons.append("explained if denied requests count too: --count-denied")
    if any(piece.complete for piece in found):
        reasons += _assumed(trial)
    return found, reasons


def _perhaps_rejected(found: Sequence[Evidence], trial: Trial) -> list[str]:
    """Doubts about evidence of too many, some of whose answers look like refusals."""
    events = (event for piece in found for event in piece.events if event.outcome == ADMITTED)
    doubted = {event.status for event in events if event.status and declines(event.status)}
    if not doubted:
        return []
    known = rejected_statuses(trial.log) if trial.survey.counts.rejected else ()
    return [f"this takes {listed(doubted)} for admitted; {if_rejected(doubted, known)}"]


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


APART: Final = (
    "keys are in more than one run: of these each run was judged by itself, and no rejection, "
    "for requests of another run may be its reason"
)


def by_run(log: EventLog) -> tuple[EventLog | None, EventLog | None]:
    """The parts of a log that are judged apart: the keys of one run only, and all others.

    Returns:
        None for a part that is empty. The second says that requests are missing from it,
        and that its keys are not fresh; in it each run of a key is a key of its own.
    """
    if log.same("run") is not None or not len(log):
        return log, None
    runs, (keys, words) = log.ints("run"), log.codes("key")
    pairs = {pair: at for at, pair in enumerate(dict.fromkeys(zip(runs, keys, strict=True)))}
    times = Counter(code for _, code in pairs)
    if len(pairs) == len(times):
        return log, None
    alone, apart, codes = array("q"), array("q"), array("i")
    for row, pair in enumerate(zip(runs, keys, strict=True)):
        if times[pair[1]] == 1:
            alone.append(row)
        else:
            apart.append(row)
            codes.append(pairs[pair])
    marked = {"marked_rejections": marks_rejections(log)}
    several = log.take(apart).with_column("key", (codes, [words[code] for _, code in pairs]))
    several.metadata |= marked | {"fresh_keys": False, "complete": False}
    several.metadata.pop("fresh_keys_assumed", None)
    several.metadata["complete_by_run"] = not cut_off(log)
    if not alone:
        return None, several
    single = log.take(alone)
    single.metadata |= marked
    return single, several


_LEAST_BUDGET = 10_000


def judge_keys(
    log: EventLog,
    policy: Policy,
    *,
    claims: frozenset[str] = CLAIMS,
    tolerance_ppm: int = 500,
    granularity_ns: int = 0,
    budget: int = DEFAULT_BUDGET,
    denied_count: bool = False,
    fresh_keys: bool = False,
) -> list[KeyVerdict]:
    """Judge each key of a log, those first that were violated or came closest to it.

    Where a key is in several runs, it has a verdict for each run: see `rateproof.prove.judgement`.
    What concerns the whole log (whether it is complete, how long answers took, what
    its statuses mean) is taken from the whole log. A log in which any key is violated
    is violated. Each key has its share of the budget, and 10,000 positions at least.

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
        self._causes = causes_of(whole, claims, Counts(), self._blank, Doubts())
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
        notes = left_out(self._whole, self._claims, counts, pressure)
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


def _rank(key: KeyVerdict) -> tuple[bool, bool, int, int]:
    """Violated ones first, then by margin, then by how much was asked in a window."""
    asked = max(pressure.attempts for pressure in key.verdict.pressure)
    violated = key.verdict.outcome == VIOLATED
    return not violated, key.margin_ns is None, key.margin_ns or 0, -asked


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
    if trial.requests_missing or (trial.cut_off and WRONG_REJECTION in claims):
        lost = ["no rejection was judged"] if WRONG_REJECTION in claims else []
        if OVER_ADMISSION in claims:
            lost.append("an excess may not have been seen")
        causes[Cause.LOG_CUT_OFF] = (
            "the log ends before its run did: requests are missing from it, "
            f"so {' and '.join(lost)}"
        )
    if OVER_ADMISSION in claims and not any(p.stressed for p in pressure):
        most = ", ".join(f"{p.allowed} in any {spaced(p.window_ns)}" for p in pressure)
        causes[Cause.NEVER_STRESSED] = (
            f"never stressed: no key can have sent more than the policy allows ({most})"
        )
    if doubts.exhausted:
        causes[Cause.BUDGET_SPENT] = f"the search gave up {doubts.exhausted} times: budget spent"
    if doubts.tolerance:
        causes[Cause.WITHIN_TOLERANCE] = (
            "only the tolerance for differing clocks keeps this from being a violation"
        )
    if doubts.unknowns:
        causes[Cause.UNKNOWN_OUTCOMES] = (
            f"{counts.unknown} requests of unknown outcome{doubted_rejections(trial.log, counts)} "
            "decide whether this is a violation"
            f"{perhaps_rejected(trial.log, counts)}"
        )
    if claims == {WRONG_REJECTION} and not counts.judged:
        could = "could be judged" if counts.rejected else "was seen, so none was judged"
        causes[Cause.NOT_JUDGED] = f"no rejection {could}{perhaps_rejected(trial.log, counts)}"
    return causes


def left_out(
    trial: Trial, claims: frozenset[str], counts: Counts, pressure: Sequence[Pressure]
) -> list[str]:
    """Return what the verdict does not cover."""
    unjudged = [] if trial.cut_off else _unjudged_rejections(claims, trial.policy, counts)
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


def _unjudged_rejections(claims: frozenset[str], policy: Policy, counts: Counts) -> list[str]:
    if WRONG_REJECTION not in claims or counts.judged == counts.rejected:
        return []
    left = counts.rejected - counts.judged
    if not has_rule(policy):
        why = "there is no rule for all quotas of the policy"
    else:
        why = "requests of the same keys before the log began may be the cause"
    return [f"{left} of {counts.rejected} rejections were not judged: {why}"]
