"""One verdict a quota: only what was put to the test is called consistent."""

import random

import pytest

from rateproof.events import Event, EventLog, outcome_of
from rateproof.policy import Policy
from rateproof.prove import (
    CONSISTENT,
    INCONCLUSIVE,
    UNTESTED,
    VIOLATED,
    Cause,
    combine,
    judge,
    judge_keys,
    pressing,
)

MS = 1_000_000
TWO = Policy.parse("5 per 1s; 8 per 3s")


def log_of(*rows, valid=True, width_ns=MS):
    """Requests of one key: when each was sent in ms, and its status."""
    log = EventLog(metadata={"fresh_keys": True, "valid": valid})
    for number, (sent, status) in enumerate(rows):
        log.append(
            Event(key=b"k", sent_ns=sent * MS, received_ns=sent * MS + width_ns, status=status,
                  outcome=outcome_of(status), sequence=number)
        )  # fmt: skip
    return log


def kept(quotas, offered):
    """Answers of a limiter that keeps these sliding logs to requests at these ms."""
    admitted, rows = [], []
    for at in offered:
        full = any(sum(at - t < w for t in admitted) >= n for n, w in quotas)
        rows.append((at, 503 if full else 200))
        if not full:
            admitted.append(at)
    return rows


FIRST = kept([(5, 1000)], range(8))  # only the first is pressed
BOTH = kept([(5, 1000), (8, 3000)], [*range(8), *range(1000, 1008), *range(2000, 2008)])
LOOSE = kept([(5, 1000)], [*range(8), *range(1000, 1008)])  # the second is not kept


def outcomes(verdict):
    return [quota.outcome for quota in verdict.quotas]


def test_a_quota_that_others_hold_back_is_untested_until_it_is_pressed():
    verdict = judge(log_of(*FIRST), TWO)
    assert outcomes(verdict) == [CONSISTENT, UNTESTED]
    assert (verdict.outcome, verdict.causes) == (INCONCLUSIVE, (Cause.UNTESTED,))
    assert "NOT TESTED: 8 per 3 s" in verdict.describe()
    pressed = judge(log_of(*BOTH), TWO)
    assert outcomes(pressed) == [CONSISTENT, CONSISTENT]
    assert pressed.outcome == CONSISTENT


def test_a_thousand_requests_do_not_press_what_only_five_of_them_reach():
    """Requests that another quota rejects say nothing of this one, however many they are."""
    verdict = judge(log_of(*kept([(5, 1000)], range(900))), TWO)
    assert outcomes(verdict) == [CONSISTENT, UNTESTED]


def test_each_quota_is_judged_by_itself_where_the_policy_is_violated():
    verdict = judge(log_of(*LOOSE), TWO)
    assert verdict.outcome == VIOLATED
    assert outcomes(verdict) == [CONSISTENT, VIOLATED]
    six = judge(log_of(*((at, 200) for at in range(6))), TWO)
    assert outcomes(six) == [VIOLATED, UNTESTED]
    assert outcomes(judge(log_of(*((at, 200) for at in range(9))), TWO)) == [VIOLATED, VIOLATED]


def test_nobody_is_acquitted_by_an_invalid_run():
    assert outcomes(judge(log_of(*BOTH, valid=False), TWO)) == [INCONCLUSIVE, INCONCLUSIVE]
    assert outcomes(judge(log_of(*FIRST, valid=False), TWO)) == [INCONCLUSIVE, UNTESTED]


def test_runs_add_up_quota_by_quota():
    first, both = judge(log_of(*FIRST), TWO), judge(log_of(*BOTH), TWO)
    assert combine([first, both]).outcome == CONSISTENT
    assert outcomes(combine([first, both, first])) == [CONSISTENT, CONSISTENT]
    only = combine([first, first])
    assert (only.outcome, only.causes) == (INCONCLUSIVE, (Cause.UNTESTED,))
    assert sum("NOT TESTED" in reason for reason in only.reasons) == 1
    assert combine([first, judge(log_of(*LOOSE), TWO)]).outcome == VIOLATED


def test_to_allow_what_was_not_tested_allows_no_other_doubt():
    assert judge(log_of(*FIRST), TWO).allowing_untested().outcome == CONSISTENT
    invalid = judge(log_of(*FIRST, valid=False), TWO)
    assert invalid.allowing_untested().outcome == INCONCLUSIVE
    silent = judge(log_of((0, 200)), TWO)
    assert silent.allowing_untested().outcome == INCONCLUSIVE, "nothing at all was tested"


@pytest.mark.parametrize(
    ("policy", "needed"),
    [
        ("5 per 5s", [(6, 0)]),
        ("5 per 5s; 100 per 1h", [(6, 0), (101, 100_000)]),
        ("100 per 1h; 5 per 5s", [(101, 100_000), (6, 0)]),
        ("5 per 5s; 3 per 1h", [(6, None), (4, 0)]),
        ("5 per 1s; 20 per 2s", [(6, 0), (21, None)]),
        ("fixed-window 5 per 1s; 100 per 1m", [(11, 0), (101, 19_000)]),
    ],
)
def test_what_pressing_a_quota_takes(policy, needed):
    """Requests of one key, and by how many ms the other quotas delay the last of them."""
    found = [
        (one.needs, None if one.needs_ns is None else one.needs_ns // MS)
        for one in pressing(Policy.parse(policy))
    ]
    assert found == needed


def test_who_keeps_the_others_keeps_a_quota_that_they_imply():
    policy = Policy.parse("5 per 1s; 20 per 2s")
    assert outcomes(judge(log_of(*FIRST), policy)) == [CONSISTENT, CONSISTENT]
    assert outcomes(judge(log_of((0, 200)), policy)) == [UNTESTED, UNTESTED]


def test_no_quota_counts_as_tested_whose_absence_nothing_would_have_shown():
    """Of random logs of limiters with both quotas: drop a tested one, and the judge sees it."""
    draws = random.Random(12)
    tested = 0
    for _ in range(60):
        quotas = [(draws.randint(1, 4), 1000), (draws.randint(2, 7), 3000)]
        policy = Policy.parse("; ".join(f"{n} per {w}ms" for n, w in quotas))
        offered = sorted(draws.randrange(4000) for _ in range(draws.randint(1, 25)))
        verdict = judge(log_of(*kept(quotas, offered), width_ns=0), policy)
        for at, quota in enumerate(verdict.quotas):
            if quota.outcome == CONSISTENT and quota.needs_ns is not None:
                tested += 1
                others = [q for other, q in enumerate(quotas) if other != at]
                shown = judge(log_of(*kept(others, offered), width_ns=0), policy)
                assert shown.outcome == VIOLATED
    assert tested > 10


def rows_of(key, requests):
    """Requests of a key: sent and answered in ms, and the status."""
    for number, (sent, received, status) in enumerate(requests):
        yield Event(key=key, sent_ns=sent * MS, received_ns=received * MS, status=status,
                    outcome=outcome_of(status), sequence=number)  # fmt: skip


def log_with(*keys):
    log = EventLog(metadata={"fresh_keys": True, "valid": True})
    for key, requests in keys:
        for event in rows_of(key, requests):
            log.append(event)
    return log


def test_a_key_that_was_full_and_another_that_pressed_test_nothing_together():
    full = [(n, n + 1, 200) for n in range(5)]
    slow = [(n, n + 10_000, 200 if n < 14 else 429) for n in range(300)]
    verdict = judge(log_with((b"x", full), (b"y", slow)), Policy.parse("5 per 5s"))
    assert verdict.outcome == INCONCLUSIVE


def test_a_quota_is_not_tested_by_another_whose_double_would_pass_unseen():
    """Twenty a minute would have looked the same, and lets through 1,200 an hour."""
    burst = [(n, n + 1, 200) for n in range(10)]
    slow = [(10 + n, 70_000 + n, 429) for n in range(300)]
    policy = Policy.parse("10 per 1m; 600 per 1h")
    verdict = judge(log_with((b"k", burst + slow)), policy, claims=frozenset({"over-admission"}))
    assert UNTESTED in outcomes(verdict)
    assert verdict.outcome == INCONCLUSIVE


def test_a_key_that_pressed_one_quota_of_two_is_not_consistent():
    requests = [(n, n + 1, 200 if n < 5 else 429) for n in range(20)]
    (found,) = judge_keys(log_with((b"a", requests)), Policy.parse("5 per 5s; 100 per 1h"))
    assert outcomes(found.verdict) == [CONSISTENT, UNTESTED]
    assert found.verdict.outcome == INCONCLUSIVE
