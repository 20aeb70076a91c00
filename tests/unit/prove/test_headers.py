"""Sentences on header fields, and when they change a verdict."""

from pathlib import Path

import pytest

from rateproof import cli
from rateproof.events import Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import CONSISTENT, HEADERS, VIOLATED, combine, judge
from rateproof.prove.headers import Headers

HISTORIES = Path(__file__).parents[2] / "histories"
S = 1_000_000_000
FIXED = Policy.parse("fixed-window 2 per 10s")


def log_of(*rows, **metadata):
    """Rows are (sent in s, status, retry_after_s, remaining, reset_s), a millisecond long each."""
    log = EventLog({"fresh_keys": True, **metadata})
    for number, (sent, status, retry_after, remaining, reset) in enumerate(rows):
        at = round(sent * S)
        log.append(
            Event(
                key=b"k", sequence=number, sent_ns=at, received_ns=at + S // 1000, status=status,
                outcome="admitted" if status == 200 else "rejected", retry_after_s=retry_after,
                ratelimit_remaining=remaining, ratelimit_reset_s=reset,
            )
        )  # fmt: skip
    return log


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [(1, 429, 2, 0, 2), (3.1, 429, 1, 0, 1)],
            ("Retry-After: 2, but #1 was rejected, sent 2.099 s after it, with nothing admitted in "
            "between"),
        ),
        (
            [(1, 429, 9, 0, 9), (3, 200, None, 0, 9)],
            "Retry-After: 9, but #1 was admitted 2.001 s after it was asked for",
        ),
        (
            [(1, 200, None, 2, 9), (2, 200, None, 0, 9), (3, 429, 7, 0, 7)],
            "2 remain, but #2 was rejected before as many can have been admitted",
        ),
        (
            [(1, 200, None, 1, 9), (2, 200, None, 0, 9), (3, 200, None, 0, 8)],
            "1 remains, but from #1 on more were admitted before its reset",
        ),
    ],
)  # fmt: skip
def test_a_finding_is_told_in_a_sentence_and_is_a_note_by_default(rows, sentence):
    log = log_of(*rows)
    verdict = judge(log, FIXED, claims=frozenset({HEADERS}))
    told = f"key 'k': the answer to request #0 said {sentence}"
    assert verdict.headers.findings[0].sentence() == told
    assert told in verdict.describe()
    assert verdict.to_json()["headers"]["findings"][0]["sentence"] == told
    assert verdict.outcome == VIOLATED
    noted = judge(log, FIXED, claims=frozenset({"wrong-rejection"}))
    assert noted.headers == verdict.headers
    assert not any("headers" in reason for reason in noted.reasons)


def test_findings_of_one_rule_are_told_once_with_their_number_and_after_the_evidence():
    rows = [(at / 10, 200, None, 9, 9) for at in range(5)]
    rows += [(at, 429, 1, 0, 9) for at in (1, 2.5, 4)]
    lines = judge(log_of(*rows), FIXED).describe().splitlines()
    drawn = next(place for place, line in enumerate(lines) if "window     [" in line)
    told = [place for place, line in enumerate(lines) if "said Retry-After" in line]
    assert len(told) == 1
    assert told[0] > drawn
    assert lines[told[0]].endswith("in between (1 more like it)")


def test_rounded_up_to_the_second_is_honest():
    rows = [
        (0, 200, None, 1, 10),
        (0.1, 200, None, 0, 10),
        (1.5, 429, 9, 0, 9),
        (10.01, 200, None, 1, 10),
    ]
    verdict = judge(log_of(*rows), FIXED, claims=frozenset({HEADERS}))
    assert (verdict.outcome, verdict.headers.broken) == (CONSISTENT, 0)


def test_a_log_that_is_cut_off_is_not_judged():
    rows = [(1, 429, 2, 0, 2), (3.1, 429, 1, 0, 1)]
    assert judge(log_of(*rows, complete=False), FIXED).headers is None


def test_a_wait_that_a_lost_request_may_have_prolonged_proves_nothing():
    log = log_of((1, 429, 2, 0, 2), (3.1, 429, 1, 0, 1))
    log.append(
        Event(key=b"k", sequence=9, sent_ns=2 * S, received_ns=None, status=None, outcome="unknown")
    )
    assert judge(log, FIXED).headers.judged[0] == 0


@pytest.mark.parametrize(
    ("judged", "broken", "words"),
    [
        (1, 0, "1 checked, all true"),
        (14, 0, "14 checked, all true"),
        (2, 1, "2 checked, 1 false"),
    ],
)
def test_the_figures_are_a_sentence(judged, broken, words):
    assert Headers((judged,), broken, ()).sentence() == f"headers: {words}"


def test_runs_are_added():
    one = judge(log_of((1, 429, 2, 0, 2), (3.1, 429, 1, 0, 1)), FIXED)
    total = combine([one, one, judge(log_of((1, 200, None, None, None)), FIXED)]).headers
    assert (total.broken, len(total.findings)) == (2, 2)
    assert total.judged == tuple(2 * judged for judged in one.headers.judged)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("retry-after-too-short", ["--claim", "headers"], 1),
        ("retry-after-too-short", [], 0),
        ("retry-after-honest", ["--claim", "all"], 0),
        ("two-quotas", ["--claim", "headers"], 2),
        ("denials-counted-polling", [], 1),
        ("denials-counted-polling", ["--count-denied"], 0),
    ],
)
def test_the_command_line_asks_for_it_by_name(name, arguments, code):
    assert cli.main(["check", str(HISTORIES / f"{name}.jsonl"), *arguments]) == code
