"""Verdicts: what outranks what, and why a log cannot tell."""

import json

import pytest

from rateproof.answer import answer
from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog, derived, outcome_of
from rateproof.policy import Policy
from rateproof.prove import (
    CLAIMS,
    CONSISTENT,
    INCONCLUSIVE,
    VIOLATED,
    Cause,
    Verdict,
    combine,
    judge,
    judge_keys,
)
from rateproof.prove.evidence.piece import MOST_EVIDENCE

MS = 1_000_000
FIVE = Policy.parse("5 per 5s")


def log_of(*rows, fresh_keys=True, **metadata):
    """Rows are (sent in ms, status) or (sent, status, more), each a millisecond long."""
    log = EventLog(metadata={"fresh_keys": fresh_keys, **metadata})
    for number, (sent, status, *more) in enumerate(rows):
        values = {
            "key": b"k",
            "sent_ns": sent * MS,
            "received_ns": None if status is None else sent * MS + MS,
            "status": status,
            "outcome": outcome_of(status),
            "sequence": number,
        }
        log.append(Event(**(values | (more[0] if more else {}))))
    return log


def burst(count, start=0, status=200):
    return [(start + i, status) for i in range(count)]


def test_five_admitted_and_one_rejected_is_consistent():
    verdict = judge(log_of(*burst(5), (10, 503)), FIVE)
    assert (verdict.outcome, verdict.reasons, verdict.causes) == (CONSISTENT, (), ())
    assert verdict.counts.keys == 1
    assert (verdict.counts.admitted, verdict.counts.rejected) == (5, 1)


@pytest.mark.parametrize("judged", [judge, judge_keys])
def test_a_policy_may_be_text_and_what_is_none_is_named(judged):
    log = log_of(*burst(6))
    assert judged(log, "5 per 5s") == judged(log, FIVE) == judged(log, FIVE.quotas[0])
    with pytest.raises(InvalidArgument, match="'often' is not a policy"):
        judged(log, "often")
    with pytest.raises(TypeError, match="policy is int, not str, Quota or Policy"):
        judged(log, 5)


def test_six_admitted_are_violated_and_outrank_an_invalid_run():
    verdict = judge(log_of(*burst(6), valid=False), FIVE)
    assert verdict.outcome == VIOLATED
    assert verdict.reasons == ("over-admission: 1 key was admitted too often",)
    assert verdict.causes == ()


def test_only_the_claims_asked_for_are_judged():
    log = log_of(*burst(6), (10_000, 503))
    only = {
        claim: judge(log, FIVE, claims=frozenset({claim})).evidence
        for claim in ("over-admission", "wrong-rejection")
    }
    for claim, evidence in only.items():
        assert [piece.claim for piece in evidence] == [claim]
    assert len(judge(log, FIVE).evidence) == 2


@pytest.mark.parametrize("claims", [frozenset(), frozenset({"speed"})])
def test_an_unknown_claim_or_none_is_refused(claims):
    with pytest.raises(InvalidArgument, match="claims"):
        judge(log_of(*burst(5)), FIVE, claims=claims)


@pytest.mark.parametrize("ppm", [-1, 1_000_000])
def test_a_senseless_tolerance_is_refused(ppm):
    with pytest.raises(InvalidArgument, match="ppm"):
        judge(log_of(*burst(5)), FIVE, tolerance_ppm=ppm)


@pytest.mark.parametrize(
    ("policy", "most"),
    [
        ("3 per 2s", "3 in any 2 s"),
        ("fixed-window 3 per 2s; 9 per 1m", "6 in any 2 s, 9 in any 1 m"),
    ],
)
def test_never_stressed_says_how_many_the_policy_allows(policy, most):
    """Of windows on the clock it is twice what it names: as many may come on either side of an edge."""
    verdict = judge(log_of(*burst(3)), Policy.parse(policy))
    assert verdict.causes == (Cause.NEVER_STRESSED,)
    assert f"no key can have sent more than the policy allows ({most})" in verdict.reasons[0]


def test_never_stressed_counts_rejected_and_unknown_attempts_too():
    assert judge(log_of(*burst(5)), FIVE).causes == (Cause.NEVER_STRESSED,)
    stressed = [
        log_of(*burst(5), (5, 503)),
        log_of(*burst(3), *burst(3, 5, None)),
    ]
    for log in stressed:
        assert Cause.NEVER_STRESSED not in judge(log, FIVE).causes


def test_five_then_five_more_a_window_later_never_stress():
    assert judge(log_of(*burst(5), *burst(5, 5_010)), FIVE).causes == (Cause.NEVER_STRESSED,)
    assert judge(log_of(*burst(5), *burst(5, 4_999)), FIVE).causes == (Cause.TOO_COARSE,)
    assert judge(log_of(*burst(5), *burst(5, 4_990)), FIVE).outcome == VIOLATED


def test_who_asks_for_wrong_rejections_only_learns_nothing_where_none_was_made():
    verdict = judge(log_of(*burst(3)), FIVE, claims=frozenset({"wrong-rejection"}))
    assert (verdict.outcome, verdict.causes) == (INCONCLUSIVE, (Cause.NOT_JUDGED,))


def contended(keys):
    """For each key a wide interval that must make room for a narrow one inside it."""
    log = EventLog()
    for key in range(keys):
        for sent, received in ((0, 10), (1, 1)):
            log.append(
                Event(key=b"%d" % key, sent_ns=sent, received_ns=received, status=200,
                      outcome="admitted")
            )  # fmt: skip
    return log


def test_a_search_out_of_budget_is_inconclusive():
    policy = Policy.parse("1 per 4ns")
    assert judge(contended(1), policy, budget=0).causes == (Cause.BUDGET_SPENT,)
    assert judge(contended(1), policy).causes == (Cause.TOO_COARSE,)


def test_the_budget_is_for_the_whole_log():
    policy = Policy.parse("1 per 4ns")
    # Two positions again, once with the tolerance and once without.
    assert judge(contended(1), policy, budget=4).causes == (Cause.TOO_COARSE,)
    assert judge(contended(9), policy, budget=4).causes == (Cause.BUDGET_SPENT,)
    assert judge(contended(9), policy, budget=36).causes == (Cause.TOO_COARSE,)


def test_rejections_without_a_rule_are_named_and_alone_inconclusive():
    policy = Policy.parse("leaky-queue 5 per 5s burst 9")
    log = log_of((0, 200), (1_100, 200), (1_150, 503))
    verdict = judge(log, policy)
    assert verdict.reasons[-1:] == (
        "1 of 1 rejections were not judged: there is no rule for all quotas of the policy",
    )
    alone = judge(log, policy, claims=frozenset({"wrong-rejection"}))
    assert (alone.outcome, alone.causes) == (INCONCLUSIVE, (Cause.NOT_JUDGED,))


def test_a_key_that_may_have_been_used_before_is_judged_a_window_later():
    early, late = (100, 503), (5_010, 503)
    log = log_of((0, 200), early, late, fresh_keys=False)
    verdict = judge(log, FIVE)
    assert verdict.outcome == VIOLATED
    assert [event.number for event in verdict.evidence[0].events] == [2]
    assert verdict.counts.judged == 1
    assert judge(log_of((0, 200), early, fresh_keys=False), FIVE).counts.judged == 0
    lost = log_of((0, 200), (1, None), early, late, fresh_keys=False)
    assert judge(lost, FIVE).counts.judged == 0


def test_a_lost_request_excuses_every_later_rejection():
    log = log_of(*burst(4), (50, None), (1_000_000, 503))
    assert judge(log, FIVE).outcome == VIOLATED
    five = log_of((50, None), (51, None), (52, None), (53, None), (54, None), (1_000_000, 503))
    assert judge(five, FIVE).outcome == INCONCLUSIVE


def test_no_rejection_is_judged_by_a_log_that_is_cut_off():
    """The request that used up the limit may be one that is missing."""
    rows = [*burst(2), *burst(6, start=10, status=503)]
    assert judge(log_of(*rows), FIVE).outcome == VIOLATED
    assert judge(log_of(*rows, complete=True), FIVE).outcome == VIOLATED
    cut = judge(log_of(*rows, complete=False), FIVE)
    assert (cut.outcome, cut.causes, cut.evidence) == (INCONCLUSIVE, (Cause.LOG_CUT_OFF,), ())
    assert cut.counts.judged == 0
    assert not any("before the log began" in reason for reason in cut.reasons)


def test_a_log_that_is_cut_off_shows_an_over_admission_all_the_same():
    assert judge(log_of(*burst(6), complete=False), FIVE).outcome == VIOLATED
    held = log_of(*burst(5), (10, 503), complete=False)
    assert judge(held, FIVE).causes == (Cause.LOG_CUT_OFF,)


def test_of_what_is_missing_from_a_log_no_excess_would_have_been_seen():
    held = log_of(*burst(5), (10, 503), complete=False)
    verdict = judge(held, FIVE, claims=frozenset({"over-admission"}))
    assert (verdict.outcome, verdict.causes) == (INCONCLUSIVE, (Cause.LOG_CUT_OFF,))
    assert "an excess may not have been seen" in verdict.reasons[0]
    assert [one.excess for one in verdict.sensitivity] == [None]
    assert {one.verdict.outcome for one in judge_keys(held, FIVE)} == {INCONCLUSIVE}


FULL = [*burst(5), *burst(50, start=10, status=503)]
"""Five admissions and fifty rejections at once: what a limit of fifty may answer after 45 others."""


def test_what_came_before_the_log_may_have_used_up_a_greater_quota():
    log = log_of(*FULL, fresh_keys=False)
    for claims in (CLAIMS, frozenset({"over-admission"})):
        verdict = judge(log, FIVE, claims=claims)
        assert (verdict.outcome, verdict.causes) == (INCONCLUSIVE, (Cause.UNKNOWN_BEGINNING,))
        assert [one.excess for one in verdict.sensitivity] == [None]
        assert "no key was used in the 5 s before it began: --fresh-keys" in verdict.reasons[0]
        assert "6th" not in " ".join(answer(verdict))
    assert judge(log, FIVE, fresh_keys=True).outcome == CONSISTENT
    (key,) = judge_keys(log, FIVE)
    assert key.verdict.causes == (Cause.UNKNOWN_BEGINNING,)
    (key,) = judge_keys(log, FIVE, fresh_keys=True)
    assert key.verdict.outcome == CONSISTENT


def test_that_keys_are_taken_for_fresh_is_said():
    assumed = "this assumes that no key was used in the window before the log began"
    log = log_of(*FULL, fresh_keys=False)
    verdict = judge(log, FIVE, fresh_keys=True)
    assert assumed in verdict.reasons
    assert assumed in verdict.to_json()["reasons"]
    wrong = judge(log_of(*burst(4), (10, 503), fresh_keys=False), FIVE, fresh_keys=True)
    assert wrong.outcome == VIOLATED
    assert assumed in wrong.reasons
    six = judge(log_of(*burst(6), fresh_keys=False), FIVE, fresh_keys=True)
    assert six.outcome == VIOLATED
    assert assumed not in six.reasons, "too many are too many whatever came before"
    assert assumed not in judge(log_of(*FULL), FIVE, fresh_keys=True).reasons, "the log says so"


def test_what_comes_a_window_after_the_log_began_shows_an_excess():
    later = [(row[0] + 5_002, *row[1:]) for row in FULL]
    verdict = judge(log_of(*FULL, *later, fresh_keys=False), FIVE)
    assert verdict.outcome == CONSISTENT
    assert [one.excess for one in verdict.sensitivity] == [1]
    assert any("took longer than any in it" in reason for reason in verdict.reasons)
    lost = log_of(*FULL, *later, (9_000, None), fresh_keys=False)
    assert judge(lost, FIVE).causes == (Cause.UNKNOWN_BEGINNING,), "it may come at any time"


def test_a_bucket_that_was_emptied_before_the_log_shows_nothing_of_its_burst():
    """A client who never lets it fill: of a burst of fifty nothing would be seen."""
    policy = Policy.parse("token-bucket 1 per 1s burst 5")
    polls = [(at, 200 if at % 1_000 == 0 else 429) for at in range(0, 60_000, 250)]
    over = frozenset({"over-admission"})
    assert judge(log_of(*polls, fresh_keys=False), policy, claims=over).outcome == INCONCLUSIVE
    full = [*burst(5), *burst(3, start=5, status=429), *polls[8:]]
    assert judge(log_of(*full), policy, claims=over).outcome == CONSISTENT


def test_a_quota_that_was_used_up_before_the_log_is_named():
    policy = Policy.parse("5 per 5s; 8 per 1h")
    rows = []
    for turn, sizes in enumerate(((5, 50), (3, 50), (0, 50))):
        admitted, rejected = sizes
        start = turn * 5_100
        rows += [*burst(admitted, start=start), *burst(rejected, start=start + 5, status=503)]
    verdict = judge(log_of(*rows, fresh_keys=False), policy)
    assert verdict.outcome == INCONCLUSIVE
    assert any("8 per hour" in reason and "--fresh-keys" in reason for reason in verdict.reasons)
    assert judge(log_of(*rows, fresh_keys=False), policy, fresh_keys=True).outcome == CONSISTENT


@pytest.mark.parametrize(
    "slower", ["token-bucket 2 per 3s", "first-hit-window 2 per 3s", "sliding-counter 2 per 3s"]
)
def test_behind_a_slower_bucket_of_a_key_used_before_no_excess_is_promised(slower):
    """Nobody knows how full such a quota is, nor when it lets an excess by."""
    rows = [(at, 429) for at in range(0, 12_000, 100)]
    policy = Policy.parse(f"1 per 1s; {slower}")
    over = frozenset({"over-admission"})
    (hidden, _) = judge(log_of(*rows, fresh_keys=False), policy, claims=over).sensitivity
    assert hidden.excess is None
    assert judge(log_of(*rows), policy, claims=over).sensitivity[0].excess is not None


def test_a_refused_connection_carried_no_request():
    refused = {"error": "refused", "done_ns": 6 * MS}
    log = log_of(*burst(5), (5, None, refused), (7, 503))
    assert judge(log, FIVE).outcome == CONSISTENT
    timeout = log_of(*burst(5), (5, None, refused | {"error": "timeout"}), (7, 503))
    assert judge(timeout, FIVE).causes == (Cause.UNKNOWN_OUTCOMES,)


def test_an_unmarked_503_is_unknown_only_where_rejections_are_marked():
    marked = {"retry_after_s": 5.0}
    log = log_of((0, 200), (1, 503), (2, 429, marked), (3, 429))
    counts = judge(log, FIVE).counts
    assert (counts.rejected, counts.unknown) == (2, 1)
    assert judge(log_of((0, 200), (1, 503)), FIVE).counts.rejected == 1


def test_a_rejection_by_any_other_status_is_a_mark_by_itself():
    log = log_of((0, 200), (1, 503), (2, 403))
    counts = judge(derived(log, {403, 503}), FIVE).counts
    assert (counts.rejected, counts.unknown) == (1, 1)
    counts = judge(derived(log, {403}), FIVE).counts
    assert (counts.rejected, counts.unknown) == (1, 1)
    assert judge(derived(log, {503}), FIVE).counts.rejected == 1
    lost = log_of((0, 200), (1, 503), (2, None, {"outcome": "rejected"}))
    assert judge(lost, FIVE).counts.rejected == 1


def test_evidence_is_capped_and_the_reasons_say_of_how_many():
    rows = [(i, 200, {"key": b"k%d" % k}) for k in range(MOST_EVIDENCE + 9) for i in range(6)]
    verdict = judge(log_of(*rows), FIVE)
    assert len(verdict.evidence) == MOST_EVIDENCE
    assert verdict.reasons == (f"over-admission: {MOST_EVIDENCE + 9} keys were admitted too often",)


def test_pressure_says_how_near_the_log_came():
    log = log_of(*burst(5), (4_990, 503), (5_002, 200))
    (pressure,) = judge(log, FIVE).pressure
    assert (pressure.allowed, pressure.window_ns) == (5, 5_000 * MS)
    assert pressure.attempts == 6
    assert pressure.possible == 5
    assert pressure.provable == 5
    # The sixth was answered 5.003 s after the first was sent.
    assert pressure.margin_ns == 3 * MS
    assert pressure.stressed


def test_a_verdict_is_plain_data():
    for log in (log_of(*burst(6)), log_of(*burst(5))):
        text = json.dumps(judge(log, FIVE).to_json())
        assert set(json.loads(text)) == {
            "outcome", "reasons", "causes", "evidence", "pressure", "counts", "closest",
            "sensitivity", "diagnosis", "headers", "quotas",
        }  # fmt: skip


def test_a_description_shows_reasons_evidence_and_what_it_rests_on():
    log = log_of(
        *(row for k in range(4) for row in [(i, 200, {"key": b"%d" % k}) for i in range(6)])
    )
    verdict = judge(log, FIVE)
    lines = verdict.describe(pieces=3).splitlines()
    pressure = (
        "5 per 5 s: at most 6 requests of one client in any 5 s, 6 admissions; "
        "the tightest 6 admissions took 0.006000 s"
    )
    reason = "over-admission: 4 keys were admitted too often"
    assert lines[:3] == ["violated", reason, pressure]
    for piece in verdict.evidence[:3]:
        assert piece.sentence() in lines
        assert set(piece.timeline().splitlines()) <= set(lines)
    assert verdict.evidence[3].sentence() not in lines
    assert verdict.counts.sentence() == "24 requests of 4 keys: 24 admitted, 0 rejected, 0 unknown"


GOOD = judge(log_of(*burst(5), (9, 503)), FIVE)
BAD = judge(log_of(*burst(6)), FIVE)
IDLE = judge(log_of(*burst(2)), FIVE)
INVALID = judge(log_of(*burst(5), (9, 503), valid=False), FIVE)
UNREJECTED = judge(log_of(*burst(5)), FIVE, claims=frozenset({"wrong-rejection"}))


@pytest.mark.parametrize(
    ("runs", "outcome", "causes"),
    [
        ([], INCONCLUSIVE, (Cause.NO_RUN,)),
        ([GOOD, GOOD], CONSISTENT, ()),
        ([GOOD, IDLE], CONSISTENT, ()),
        ([IDLE, IDLE], INCONCLUSIVE, (Cause.NEVER_STRESSED,)),
        ([GOOD, UNREJECTED], CONSISTENT, ()),
        ([UNREJECTED], INCONCLUSIVE, (Cause.NOT_JUDGED,)),
        ([GOOD, INVALID, IDLE], INCONCLUSIVE, (Cause.INVALID_RUN,)),
        ([IDLE, INVALID, BAD], VIOLATED, ()),
        ([BAD, GOOD], VIOLATED, ()),
    ],
)
def test_over_several_runs_violated_outranks_inconclusive_and_idle_runs_are_neutral(
    runs: list[Verdict], outcome, causes
):
    verdict = combine(runs)
    assert (verdict.outcome, verdict.causes) == (outcome, causes)
    assert verdict.counts.events == sum(run.counts.events for run in runs)
    assert (verdict.evidence == BAD.evidence) == (outcome == VIOLATED)
    if runs:
        assert verdict.pressure[0].attempts == max(run.pressure[0].attempts for run in runs)


@pytest.mark.parametrize("status", [404, 401, 302, 308])
def test_a_target_that_only_sends_elsewhere_is_no_violation(status):
    """A wrong path or a login page is seldom behind the limiter that is meant."""
    verdict = judge(log_of(*((i, status) for i in range(60))), FIVE)
    assert verdict.outcome == INCONCLUSIVE
    assert Cause.ONLY_ELSEWHERE in verdict.causes
    assert not verdict.closest
    assert not verdict.sensitivity
    assert "admissions" not in verdict.describe(), "of a limiter that was not met"


def test_one_real_answer_makes_it_a_violation():
    verdict = judge(log_of(*((i, 404) for i in range(60)), (60, 200)), FIVE)
    assert verdict.outcome == VIOLATED


def test_a_quota_that_was_never_pressed_is_not_called_consistent():
    policy = Policy.parse("5 per 5s; 1000 per 1h")
    verdict = judge(log_of(*burst(5), (9, 503)), policy)
    assert (verdict.outcome, verdict.causes) == (INCONCLUSIVE, (Cause.UNTESTED,))
    filled, pressed = verdict.reasons
    assert filled.startswith("1000 per hour was never seen full: at most 5 of 1000")
    assert pressed == (
        "NOT TESTED: 1000 per hour (testing it takes 1001 requests of one client, "
        "which the other quotas delay by 1000 s)"
    )
    assert verdict.allowing_untested().outcome == CONSISTENT


def test_several_runs_tell_a_reason_once():
    """Each diagnosis with its first figures, violated keys added up."""
    runs = [judge(log_of(*burst(20)), FIVE), judge(log_of(*burst(30)), FIVE)]
    assert combine(runs).reasons == (
        runs[0].reasons[0],
        "over-admission: 2 keys were admitted too often",
    )
    assert combine([combine(runs), runs[0]]).reasons[1].startswith("over-admission: 3 keys were")


def test_of_several_runs_a_quota_is_full_that_any_filled():
    policy = Policy.parse("5 per 5s; 1000 per 1h")
    lower, higher = judge(log_of(*burst(4)), policy), judge(log_of(*burst(5), (9, 503)), policy)
    assert any(reason.startswith("5 per 5 s was never seen full") for reason in lower.reasons)
    for runs in ([lower, higher], [higher, lower], [combine([lower, lower]), higher]):
        told = [reason for reason in combine(runs).reasons if "never seen full" in reason]
        assert told == [higher.reasons[0]]


def test_of_keys_that_may_have_been_used_it_is_said_which_pasts_were_tried():
    """Nothing more is promised than what was looked at."""
    rows = [(at + i, 200 if i < 5 else 429) for at in range(0, 40_000, 5_100) for i in range(9)]
    old, new = (judge(log_of(*rows, fresh_keys=fresh), FIVE) for fresh in (False, True))
    assert (old.outcome, new.outcome) == (CONSISTENT, CONSISTENT)
    assert old.sensitivity[0].excess is not None
    assert "not with every past" in old.reasons[-1]
    assert not new.reasons
