"""The league reads the lines that `rateproof test --json` prints."""

import json

import pytest

from league.judge import Judgement, read_report

WINDOW_NS = 5_000_000_000


def iteration(outcome, provable, *evidence):
    pieces = [
        {"seen": seen, "window_ns": window_ns, "nested": nested}
        for seen, window_ns, nested in evidence
    ]
    verdict = {"outcome": outcome, "pressure": [{"provable": provable}], "evidence": pieces}
    return {"iteration": 1, "seed": 7, "verdict": verdict}


def totals(**changed):
    return {"verdict": "violated", "crashes": {}, "reproductions": []} | changed


def printed(*reports):
    return "".join(json.dumps(report) + "\n" for report in reports)


def test_the_worst_case_is_the_most_that_certainly_lay_within_a_window():
    """Two windows' evidence counts admissions in 10 s, and a core without a window none at all."""
    report = read_report(
        printed(
            iteration("consistent", 5),
            iteration("violated", 6, (9, WINDOW_NS, True), (11, 2 * WINDOW_NS, True)),
            iteration("violated", 6, (12, WINDOW_NS, False)),
            totals(),
        ),
    )
    assert report == Judgement(
        verdict="violated", worst=9, sought=False, schedule="", reproduced=0, tries=0,
        needless="", headers="", crashed=False, seed=7,
    )  # fmt: skip


def test_what_the_search_for_the_worst_found_counts_too():
    report = printed(iteration("violated", 6), totals(worst=[{"certain": 20}]))
    assert read_report(report).worst == 20
    assert read_report(report).sought


def reproduction(**changed):
    found = {
        "kind": "over-admission", "schedule": "1 at 0s, 6 at 1s", "connections": 1,
        "others": None, "phase": None, "reproduced": 5, "tries": 6,
    }  # fmt: skip
    return found | changed


def schedule_of(*reproductions):
    report = totals(reproductions=reproductions, crashes={"reset": 2})
    return read_report(printed(iteration("violated", 6), report)).schedule


def test_a_whole_iteration_that_happened_again_is_no_schedule():
    assert schedule_of(reproduction(schedule=None, connections=None)) == ""


def test_a_schedule_is_one_that_happened_again_with_most_clients():
    assert schedule_of() == ""
    assert schedule_of(reproduction()) == "1 at 0s, 6 at 1s"
    assert schedule_of(reproduction(reproduced=3), reproduction(schedule="9 at 0s")) == "9 at 0s"
    assert schedule_of(reproduction(kind="crash")) == ""


def test_a_schedule_names_what_else_it_takes():
    assert schedule_of(reproduction(connections=40)) == "1 at 0s, 6 at 1s; on 40 connections"
    others = schedule_of(reproduction(others="900 at 1s"))
    assert others == "1 at 0s, 6 at 1s; meanwhile other clients: 900 at 1s"


def test_a_crash_is_told():
    report = read_report(printed(totals(crashes={"reset": 2})))
    assert report.crashed


def test_without_totals_there_is_no_judgement():
    with pytest.raises(RuntimeError, match="no totals"):
        read_report(printed(iteration("consistent", 5)))
