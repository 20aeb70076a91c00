"""The verdict of one trial: what is certainly false, else every reason to doubt that all is true."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from rateproof.events import ADMITTED, declines, listed, rejected_statuses
from rateproof.policy import Policy
from rateproof.prove.diagnosis.division import divided
from rateproof.prove.diagnosis.hypotheses import Hypothesis
from rateproof.prove.diagnosis.statuses import if_rejected, oddly_admitted, perhaps_rejected
from rateproof.prove.evidence.document import matters_ns
from rateproof.prove.evidence.piece import MOST_EVIDENCE, Evidence
from rateproof.prove.evidence.wording import plain_quota, spaced
from rateproof.prove.keys import requests_missing
from rateproof.prove.over_admission.gaps import Stair
from rateproof.prove.over_admission.windows import most_nested
from rateproof.prove.power.coverage import QuotaVerdict, coverage, tested
from rateproof.prove.power.doubts import Doubts, causes_of, left_out
from rateproof.prove.power.pressure import Pressure
from rateproof.prove.power.sensitivity import Sensitivity
from rateproof.prove.screen import Suspect
from rateproof.prove.terms import (
    CONSISTENT,
    INCONCLUSIVE,
    OVER_ADMISSION,
    TRIED_PASTS,
    VIOLATED,
    WRONG_REJECTION,
    Cause,
)
from rateproof.prove.trial import Trial
from rateproof.prove.verdict import Verdict


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
    causes |= causes_of(trial.log, claims, counts, pressure, doubts)
    beginning: list[str] = []
    if shown and not causes:
        beginning = _unknown_beginning(trial, shown)
        causes = _nothing_shown(trial, shown, beginning)
    notes = [
        *left_out(trial.log, trial.policy, claims, counts, pressure),
        *([] if causes else beginning),
    ]
    if whole and not findings and counts.admitted:
        notes += oddly_admitted(trial.log)
    outcome = INCONCLUSIVE if causes else CONSISTENT
    notes += _noted(trial) if causes else _assumed(trial)
    if not causes and not trial.fresh and any(one.excess is not None for one in shown):
        notes.append(TRIED_PASTS)
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
    if found:
        whole = any(piece.complete for piece in found)
        reasons += _assumed(trial) if whole else _noted(trial)
    return found, reasons


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


def _perhaps_rejected(found: Sequence[Evidence], trial: Trial) -> list[str]:
    """Doubts about evidence of too many, some of whose answers look like refusals."""
    events = (event for piece in found for event in piece.events if event.outcome == ADMITTED)
    doubted = {event.status for event in events if event.status and declines(event.status)}
    if not doubted:
        return []
    known = rejected_statuses(trial.log) if trial.survey.counts.rejected else ()
    return [f"this takes {listed(doubted)} for admitted; {if_rejected(doubted, known)}"]


def _each_quota(trial: Trial, found: Sequence[Evidence]) -> tuple[QuotaVerdict, ...]:
    """One verdict a quota, of a log that was violated: each is judged as if it were alone."""
    policy = trial.policy
    pressure = tuple(
        replace(of, provable=_certain(trial, at, of)) for at, of in enumerate(trial.survey.pressure)
    )
    shown = trial.sensitivity(windows=False)
    if len(policy.quotas) == 1 and any(piece.claim == OVER_ADMISSION for piece in found):
        return coverage(policy, pressure, shown, [VIOLATED])
    over = frozenset({OVER_ADMISSION})
    outcomes = []
    for quota in policy.quotas:
        asked = trial.log, Policy((quota,)), trial.tolerance, trial.left, over
        alone = Trial(*asked, parted=trial.parted)
        outcomes.append(verdict_of(alone, over, ()).outcome)
    return coverage(policy, pressure, shown, outcomes)


def _certain(trial: Trial, at: int, of: Pressure) -> int:
    """The most of one key in a window, whatever the clocks, where that is more than allowed."""
    if of.provable <= of.allowed:
        return of.provable
    span_ns = Stair.of(trial.policy.quotas[at], trial.tolerance).span_ns(1)

    def nested(one: Suspect) -> int:
        return one.nested[at] if one.nested else most_nested(one.load().admitted, span_ns)

    suspects, most = trial.survey.suspects, 0
    # Where a search finds nothing there are no more than are allowed: those are asked if no others have more.
    for some in ([one for one in suspects if one.tolerated is None], suspects):
        if most <= of.allowed:
            most = max(map(nested, some), default=0)
    return most


def _nothing_shown(
    trial: Trial, shown: Sequence[Sensitivity], beginning: Sequence[str]
) -> dict[str, str]:
    """The reason why a log shows nothing of any quota that nothing contradicts."""
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
    if trial.fresh or requests_missing(trial.log) or all(told):
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
    """The assumptions of a verdict: those of the log, and on the time before it."""
    noted = _noted(trial)
    if trial.log.metadata.get("fresh_keys_assumed"):
        return [*noted, "this assumes that no key was used in the window before the log began"]
    if trial.fresh or "complete_ns" in trial.log.metadata:
        return noted
    what = "this assumes that no request before the log took longer than any in it, "
    return [*noted, f"{what}for the log does not say that its keys were fresh"]


def _noted(trial: Trial) -> list[str]:
    """The assumptions that the intervals of a log rest on, where it says so."""
    return [f"this assumes that {one}" for one in trial.log.metadata.get("assumptions", [])]
