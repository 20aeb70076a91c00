"""Several runs in one log: keys that are in one only are judged as in any, the others run by run."""

import pytest

from rateproof.events import Event, EventLog, outcome_of
from rateproof.policy import Policy
from rateproof.prove import (
    ALL_CLAIMS,
    CONSISTENT,
    INCONCLUSIVE,
    VIOLATED,
    combine,
    judge,
    judge_keys,
)
from rateproof.prove.trial import Trial

MS = 1_000_000
FIVE = Policy.parse("5 per 5s")
REJECTIONS = frozenset({"wrong-rejection"})


@pytest.fixture(autouse=True, params=["native", "python"])
def _core(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setenv("RATEPROOF_CORE", "python")


def log_of(*requests, **metadata):
    """Requests as (run, key, sent in ms, status, more fields), answered a millisecond later."""
    log = EventLog({"fresh_keys": True, **metadata})
    for number, (run, key, sent, status, *more) in enumerate(requests):
        log.append(
            Event(
                key=key, sent_ns=int(sent * MS), status=status,
                received_ns=None if status is None else int((sent + 1) * MS),
                outcome=outcome_of(status), run=run, sequence=number,
                **dict(*more),
            )
        )  # fmt: skip
    return log


ALONE = [(0, b"a", 1_000, 429), (0, b"b", 1_001, 200), (1, b"b", 1, 200)]


def test_a_window_may_have_been_opened_in_another_run():
    """Of run 1 alone no windows of 2 per 5 s fit; one that ends at 6 s does, opened in run 0."""
    policy = Policy.parse("first-hit-window 2 per 5s")
    first, *later = [(run, b"a", sent, 200) for run, sent in ((0, 1_000), (1, 5_900), (1, 6_100))]
    log = log_of(first, *later, (1, b"a", 6_100.1, 200))
    assert judge(log_of(*later, (1, b"a", 6_100.1, 200)), policy).outcome == VIOLATED
    assert judge(log, policy).outcome == INCONCLUSIVE
    assert {key.verdict.outcome for key in judge_keys(log, policy)} == {INCONCLUSIVE}


def test_a_rejection_of_a_key_that_is_in_one_run_only_is_judged():
    verdict = judge(log_of(*ALONE), FIVE)
    assert verdict.outcome == VIOLATED
    assert [(piece.key, piece.run) for piece in verdict.evidence] == [(b"a", 0)]
    assert verdict.counts.judged == 1
    assert judge(log_of(*ALONE), FIVE, claims=REJECTIONS).evidence == verdict.evidence
    worst, *others = judge_keys(log_of(*ALONE), FIVE, claims=REJECTIONS)
    assert (worst.key, worst.verdict.outcome) == (b"a", VIOLATED)
    assert {key.verdict.causes for key in others} == {("not-judged",)}


def test_a_rejection_of_a_key_that_is_in_several_runs_is_not_judged():
    log = log_of(*ALONE, (1, b"a", 2, 200))
    verdict = judge(log, FIVE, claims=REJECTIONS)
    assert (verdict.outcome, verdict.causes) == (INCONCLUSIVE, ("not-judged",))


def test_that_denied_requests_count_is_not_forgotten():
    sent = [(0, b"a", at + i, status) for at, status in ((0, 200), (4_000, 429)) for i in range(5)]
    log = log_of(*sent, (0, b"a", 5_050, 429), (0, b"b", 0, 200), (1, b"b", 1, 200))
    assert judge(log, FIVE).outcome == VIOLATED
    assert judge(log, FIVE, denied_count=True).outcome != VIOLATED


def test_header_fields_of_a_key_that_is_in_one_run_only_are_judged():
    told = {"retry_after_s": 1.0}
    filled = [(0, b"a", i, 200) for i in range(5)]
    log = log_of(
        *filled,
        (0, b"a", 6, 429, told),
        (0, b"a", 2_000, 429),
        (0, b"b", 0, 200),
        (1, b"b", 0, 200),
    )
    verdict = judge(log, FIVE, claims=ALL_CLAIMS)
    assert [finding.rule for finding in verdict.headers.findings] == ["retry-after-too-short"]
    assert verdict.outcome == VIOLATED


def test_how_a_limiter_marks_its_rejections_is_known_from_all_runs():
    """The 503 alone would be a wrong rejection; the other key's 429 shows that it is none."""
    log = log_of((0, b"a", 1, 503), (0, b"b", 2, 429), (1, b"b", 2, 200))
    assert judge(log, FIVE).outcome == INCONCLUSIVE


def test_a_run_of_rejections_only_says_nothing_of_the_whole():
    """Of 14 answers 10 were 200: no sentence says that every answer was 429, and nothing is in doubt."""
    first = [(0, b"a", i, 200) for i in range(5)] + [(0, b"a", 5, 429)]
    log = log_of(
        *first,
        *((1, b"b", i, 200) for i in range(5)),
        (1, b"b", 5, 429),
        *((1, b"a", i, 429) for i in range(2)),
    )
    verdict = judge(log, FIVE, claims=frozenset({"over-admission"}))
    assert verdict.outcome == CONSISTENT
    assert "every answer" not in verdict.describe()
    causes = {key.verdict.causes for key in judge_keys(log, FIVE)}
    assert causes == {(), ("never-stressed",), ("unknown-beginning",)}


@pytest.mark.parametrize("status", [500, None])
def test_a_run_in_which_nothing_but_failures_came_is_not_hidden_by_another(status):
    held = [(0, b"a", i, 200 if i < 5 else 429) for i in range(8)]
    log = log_of(*held, *((1, b"b", i, status) for i in range(40)))
    verdict = judge(log, FIVE)
    assert (verdict.outcome, verdict.causes[0]) == (INCONCLUSIVE, "nothing-admitted")
    assert verdict.reasons[0].startswith("run 1: ")
    alone = [judge(part, FIVE) for part in (log.take(range(8)), log.take(range(8, 48)))]
    assert [one.outcome for one in alone] == [CONSISTENT, INCONCLUSIVE]
    assert combine(alone).outcome == INCONCLUSIVE, "as in a verdict on several logs"
    assert judge(log_of(*held, (1, b"b", 0, 500), (1, b"b", 1, 200)), FIVE).outcome == CONSISTENT
    worse = log_of(*((0, b"a", i, 200) for i in range(6)), (1, b"b", 0, 500), (2, b"b", 0, 500))
    assert judge(worse, FIVE).outcome == VIOLATED


@pytest.mark.parametrize("statuses", [(None, None), (0, 8), (500, 502)])
def test_a_run_whose_outcomes_are_told_did_not_fail_whatever_its_statuses(statuses):
    """As of a limiter that is called without HTTP, or one that says no with 500."""
    outcomes = [("admitted", statuses[0])] * 5 + [("rejected", statuses[1])] * 3
    log = EventLog({"fresh_keys": True})
    for run, key in enumerate((b"a", b"b")):
        for at, (outcome, status) in enumerate(outcomes):
            log.append(
                Event(
                    key=key, sent_ns=at * MS, received_ns=at * MS + MS, status=status,
                    outcome=outcome, run=run, sequence=at,
                )
            )  # fmt: skip
    assert judge(log, FIVE).outcome == CONSISTENT
    assert judge(log.take(range(8)), FIVE).outcome == CONSISTENT


def test_keys_of_several_runs_are_not_taken_for_fresh_whoever_asserts_it():
    """The verdict names what it takes for granted, and of these keys that is not."""
    paced = [(at, 200 if at % 5_000 < 50 else 429) for at in range(0, 15_000, 10)]
    log = log_of(*((run, b"a", at, status) for run in (0, 1) for at, status in paced))
    log.metadata["fresh_keys"] = False
    plain, asserted = (judge(log, FIVE, fresh_keys=fresh) for fresh in (False, True))
    assert plain.outcome == asserted.outcome == CONSISTENT
    assert asserted.reasons == plain.reasons
    assert not any("no key was used" in reason for reason in asserted.reasons)


def test_too_many_in_one_of_several_runs_are_found_with_their_run():
    log = log_of((0, b"a", 0, 200), *((1, b"a", i, 200) for i in range(6)), (2, b"a", 0, 200))
    verdict = judge(log, FIVE)
    assert verdict.outcome == VIOLATED
    assert [(piece.key, piece.run, len(piece.events)) for piece in verdict.evidence] == [
        (b"a", 1, 6)
    ]
    worst, *others = judge_keys(log, FIVE)
    assert (worst.key, worst.run, worst.verdict.outcome) == (b"a", 1, VIOLATED)
    assert {(one.key, one.run) for one in others} == {(b"a", 0), (b"a", 2)}


def test_runs_are_judged_in_one_pass_however_many_there_are(monkeypatch):
    """Two trials at most: one of keys that are in one run, one of all others."""
    made = []

    class Counted(Trial):
        def __post_init__(self, *asked):
            made.append(len(self.log))
            super().__post_init__(*asked)

    monkeypatch.setattr("rateproof.prove.judgement.log.Trial", Counted)
    log = log_of(*((run, b"a", 1, 200) for run in range(500)), (0, b"b", 1, 200))
    verdict = judge(log, FIVE)
    assert made == [1, 500]
    assert verdict.counts.keys == 501
    assert verdict.causes == ("never-stressed",)
