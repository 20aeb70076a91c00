"""The answer's line says the worst first, in plain words, with its one number, and no more than was seen."""

from dataclasses import replace

import pytest

from rateproof.answer import answer, of_quota, too_many
from rateproof.events import Event, EventLog
from rateproof.hunt.report.totals import Totals, of_claim
from rateproof.policy import Policy
from rateproof.prove import CONSISTENT, INCONCLUSIVE, UNTESTED, VIOLATED, judge

MS = 1_000_000
TIMES = "\N{MULTIPLICATION SIGN}"
KEPT = [(n * 100, 200) for n in range(5)] + [(1_000 + n * 100, 429) for n in range(30)]
BURST = [(n * 100, 200) for n in range(20)]
SLOW = [(n * 2_000, 200) for n in range(9)]


def log_of(rows, *, took_ms=1, fresh=True):
    log = EventLog({"fresh_keys": fresh, "valid": True})
    for number, (at_ms, status) in enumerate(rows, 1):
        log.append(
            Event(
                key=b"a",
                sequence=number,
                sent_ns=at_ms * MS,
                received_ns=(at_ms + took_ms) * MS,
                status=status,
                outcome="rejected" if status == 429 else "admitted",
            )
        )
    return log


def told(rows, policy="5 per 5s", **how):
    return judge(log_of(rows, **how), Policy.parse(policy))


@pytest.mark.parametrize(
    ("rows", "policy", "line"),
    [
        (BURST, "5 per 5s", f"VIOLATED: 20 let through in 5 s, 5 promised (4{TIMES})"),
        (BURST, "5 per 5s; 100 per 1h", f"VIOLATED: 20 let through in 5 s, 5 promised (4{TIMES})"),
        (BURST, "8 per 5s", f"VIOLATED: 20 let through in 5 s, 8 promised (2.5{TIMES})"),
        (
            BURST,
            "fixed-window 5 per 5s",
            f"VIOLATED: 20 let through in 5 s, 10 promised (2{TIMES})",
        ),
        (
            [(0, 200), (1_000, 200), (2_000, 429)],
            "5 per 5s",
            "VIOLATED: a request was rejected with 2 of 5 used (5 per 5 s)",
        ),
        (
            KEPT,
            "5 per 5s",
            "CONSISTENT: never more than 5 in 5 s in 35 requests; a 6th would have been seen",
        ),
        (
            KEPT,
            "fixed-window 5 per 5s",
            "CONSISTENT: fixed-window 5 per 5 s held in 35 requests; a limit of 11 would have been seen",
        ),
        (KEPT, "5 per 5s; 100 per 1h", "NOT TESTED: 100 per hour; 5 per 5 s held"),
        (SLOW, "5 per 5s", "NOT TESTED: 5 per 5 s: no client pressed far enough"),
        (
            [(n * 100, 404) for n in range(9)],
            "5 per 5s",
            (
                "INCONCLUSIVE: every answer was 404 (Not Found): there is nothing at that address; "
                "if that is what lies behind the limiter: --admitted 404"
            ),
        ),
    ],
)
def test_each_outcome_has_its_line(rows, policy, line):
    assert answer(told(rows, policy)) == (line,)


def test_of_keys_that_may_have_been_used_before_it_promises_only_what_was_tried():
    later = [(at_ms + 10_000, status) for at_ms, status in KEPT]
    (line,) = answer(told(KEPT + later, fresh=False))
    assert line.endswith("; a 6th would have been seen, after the pasts that were tried")


def test_where_untested_quotas_are_allowed_both_lines_are_said():
    verdict = told(KEPT, "5 per 5s; 100 per 1h").allowing_untested()
    held = "never more than 5 in 5 s in 35 requests; a 6th would have been seen"
    assert answer(verdict) == (
        f"CONSISTENT (5 per 5 s only): {held}",
        (
            "NOT TESTED: 100 per hour (testing it takes 101 requests of one client, "
            "which the other quotas delay by 100 s)"
        ),
    )


def test_what_may_have_been_too_many_is_not_said_never_to_have_been():
    """Six admissions may lie within 5 s, by when they were decided: they need not."""
    rows = [(0, 200), *((4_999, 200) for _ in range(4)), (5_000, 200), *((5_000, 429),) * 4]
    (line,) = answer(told(rows, took_ms=2))
    assert line.startswith("CONSISTENT: no client certainly got more than 5 in 5 s in 10 requests")


def test_each_quota_has_a_line_of_its_own():
    first, second = (told(KEPT, "5 per 5s; 100 per 1h")).quotas
    verdict = told(KEPT, "5 per 5s; 100 per 1h")
    assert of_quota(verdict, first).startswith("CONSISTENT: never more than 5 in 5 s; a 6th")
    assert of_quota(verdict, second).startswith("NOT TESTED: 100 per hour (testing it takes 101")
    (broken,) = told(BURST).quotas
    assert of_quota(told(BURST), broken) == answer(told(BURST))[0]


def test_a_factor_is_a_tenth_exact_and_thousands_are_set_apart():
    assert too_many(2_215, 5, 5_000 * MS) == f"2,215 let through in 5 s, 5 promised (443{TIMES})"
    assert too_many(6, 5, 3_600_000 * MS) == f"6 let through in 1 h, 5 promised (1.2{TIMES})"


@pytest.mark.parametrize("rows", [BURST, KEPT, SLOW, [(0, 200), (1, 429)]])
@pytest.mark.parametrize("policy", ["5 per 5s", "5 per 5s; 100 per 1h", "token-bucket 5 per 5s"])
def test_the_word_in_front_is_that_of_the_verdict(rows, policy):
    verdict = told(rows, policy)
    words = {VIOLATED: "VIOLATED", CONSISTENT: "CONSISTENT", INCONCLUSIVE: ("INCON", "NOT TESTED")}
    line, *_ = answer(verdict)
    assert line.startswith(words[verdict.outcome])
    assert line.startswith("NOT TESTED") <= any(q.outcome == UNTESTED for q in verdict.quotas)


def test_the_number_is_what_is_certain_whatever_the_clocks():
    """Eleven lie within 5 s by our clock, six in any window that a clock in whole seconds can mean."""
    rows = [(n, 200) for n in range(6)] + [(4_500 + n, 200) for n in range(5)]
    verdict = judge(log_of(rows), Policy.parse("5 per 5s"), granularity_ns=1_000 * MS)
    assert answer(verdict) == (f"VIOLATED: 6 let through in 5 s, 5 promised (1.2{TIMES})",)


def test_requests_that_were_lost_may_have_been_let_through():
    log = log_of(KEPT)
    lost = Event(
        key=b"a", sequence=99, sent_ns=5_000 * MS, received_ns=None, status=None, outcome="unknown"
    )
    log.append(replace(lost, done_ns=60_000 * MS))
    (line,) = answer(judge(log, Policy.parse("5 per 5s")))
    assert line.startswith("CONSISTENT: no client certainly got more than 5 in 5 s in 36 requests")


def test_a_stop_excuses_only_what_a_stop_can_cause():
    failed = told([(n, 404) for n in range(20)])
    few = told([(0, 200)])
    for verdict, outcome in ((failed, INCONCLUSIVE), (few, CONSISTENT)):
        totals = Totals(frozenset({"over-admission"}))
        totals.judge(told(KEPT))
        totals.judge(verdict, stopped=True)
        assert totals.combined.outcome == outcome


def test_a_wrong_rejection_is_not_told_by_the_number_of_over_admissions():
    log = log_of(BURST)
    log.append(
        Event(key=b"b", sequence=99, sent_ns=0, received_ns=MS, status=429, outcome="rejected")
    )
    part = of_claim(judge(log, Policy.parse("5 per 5s")), "wrong-rejection")
    assert answer(part)[0] == "VIOLATED: a request was rejected with 0 of 5 used (5 per 5 s)"
