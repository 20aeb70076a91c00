"""A whole log before one policy."""

from dataclasses import replace

from rateproof.clock import Tolerance
from rateproof.events import EventLog
from rateproof.policy import PolicyLike, policy_of
from rateproof.prove.diagnosis.hypotheses import diagnose, failed_runs, not_limited
from rateproof.prove.headers import Headers
from rateproof.prove.judgement.ruling import verdict_of
from rateproof.prove.judgement.runs import by_run, in_run, together
from rateproof.prove.keys import Counts, taken_for_fresh
from rateproof.prove.pieces import survey_of_pieces
from rateproof.prove.power.doubts import headers_apart
from rateproof.prove.terms import (
    CLAIMS,
    HEADERS,
    INCONCLUSIVE,
    OVER_ADMISSION,
    VIOLATED,
    Cause,
    checked,
)
from rateproof.prove.trial import DEFAULT_BUDGET, Trial
from rateproof.prove.verdict import Verdict


def judge(
    log: EventLog,
    policy: PolicyLike,
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
        policy: what the limiter is said to keep, also as text.
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
        InvalidArgument: an unknown claim, none, a bad tolerance, or text that is no policy.
        TypeError: a policy of another type.
    """
    policy = policy_of(policy)
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
    told = claims != over
    trials = [
        Trial(
            part,
            policy,
            tolerance,
            share,
            asked,
            denied_count,
            with_headers=told,
            parted=survey_of_pieces,
        )
        for part, asked in parts
    ]
    counts = sum((trial.survey.counts for trial in trials), Counts())
    missed = not_limited(log, counts) or failed_runs(log)

    def whole(trial: Trial) -> Verdict:
        findings = missed or diagnose(trial.log, trial.survey.pressure, counts)
        headers = trial.headers() if told else None
        held = _held_to_headers(verdict_of(trial, limit, findings), headers, claims)
        return _without_some_headers(held) if HEADERS in claims and headers_apart(log) else held

    if parts[-1][0] is log:
        return whole(trials[0])
    of_runs = verdict_of(trials[-1], over, missed)
    if len(parts) == 1:
        return _held_to_headers(together(None, of_runs, claims), None, claims)
    return together(in_run(whole(trials[0]), parts[0][0]), of_runs, claims)


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
        reasons=("no header field said anything that later answers could check", *verdict.reasons),
        causes=(*verdict.causes, Cause.NO_HEADERS),
    )


def _without_some_headers(verdict: Verdict) -> Verdict:
    """The verdict where some header fields were not looked at, as its reasons say."""
    if verdict.outcome == VIOLATED:
        return verdict
    causes = dict.fromkeys((*verdict.causes, Cause.TOO_LARGE))
    return replace(verdict, outcome=INCONCLUSIVE, causes=tuple(causes))
