"""JUnit XML: what never passes, and that programs can read it."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.report.junit import Case, JUnitReport, Suite, junit_xml, write_junit
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.shrinking.reproduction import Reproduction, Tries
from rateproof.policy import Policy
from rateproof.prove import CLAIMS, OVER_ADMISSION, judge
from rateproof.simulate.behaviours.schedule import Schedule

BREACH = (0, 0.1, 0.2, 0.3, 0.4, 0.5)
LOG = Path("test_log_1.jsonl")
OVER, WRONG, HEALTH = "over-admission, 5 per 5 s", "wrong-rejection", "server health"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "junit.xml"


@pytest.fixture
def reported(path, subject, monkeypatch):
    """The file of a test with some iterations: the tag under each case, by claim."""
    monkeypatch.setattr("rateproof.hunt.report.junit.describe", lambda it, _: it.verdict.describe())

    def make(*iterations, claims=CLAIMS, failed=None, reproductions=()):
        report, totals = JUnitReport(path), Totals(claims)
        report.begin(subject, totals)
        for iteration in iterations:
            report.add(iteration, LOG)
            totals.add(iteration)
        totals.failed = failed
        totals.reproductions.extend(reproductions)
        report.end()
        return tags(path)

    return make


def tags(path):
    cases = ET.parse(path).getroot().iter("testcase")
    return {c.get("name").partition(":")[0]: next((e.tag for e in c), None) for c in cases}


def check_structure(text):
    """Rules of junit-10.xsd of Jenkins' xUnit plugin, as far as we use it."""
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    assert suite.get("name")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
    assert [e.tag for e in suite] == ["properties"] + ["testcase"] * (len(suite) - 1)
    cases = suite.findall("testcase")
    for case in cases:
        assert set(case.attrib) == {"name", "classname", "time"}
        assert [e.tag in {"failure", "error", "skipped"} for e in case] in ([], [True])
    for element in (suite, root):
        assert int(element.get("tests")) == len(cases)
        assert int(element.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(element.get("errors")) == len(suite.findall("testcase/error"))
        assert float(element.get("time")) >= 0
    assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
    for element in [*suite.iter("failure"), *suite.iter("error")]:
        assert element.get("type")
        assert element.get("message")
    return suite


def test_a_violated_claim_fails_with_its_evidence(reported, path, log_of, iteration_of):
    consistent = iteration_of(log_of(*BREACH[:5], rejected=[0.6]), 1)
    violated = iteration_of(log_of(*BREACH), 2)
    assert reported(consistent, violated) == {OVER: "failure", WRONG: None, HEALTH: None}
    (failure,) = check_structure(path.read_text()).iter("failure")
    assert (
        failure.get("message")
        == "VIOLATED: 6 let through in 5 s, 5 promised (1.2\N{MULTIPLICATION SIGN})"
    )
    assert "window" in failure.text


def test_of_a_claim_only_seen_where_another_was_violated_nothing_is_said(
    reported, log_of, iteration_of
):
    assert reported(iteration_of(log_of(*BREACH)))[WRONG] == "skipped"


def test_what_cannot_be_told_never_passes(reported, path, log_of, iteration_of):
    assert reported(iteration_of(log_of(0))) == {OVER: "error", WRONG: "error", HEALTH: None}
    for error in check_structure(path.read_text()).iter("error"):
        assert error.get("type") in {"untested", "inconclusive"}
        assert error.get("message").startswith("NOT TESTED: 5 per 5 s")


def test_an_iteration_that_a_stop_cut_short_is_neutral(reported, log_of, iteration_of):
    told = iteration_of(log_of(*BREACH[:5], rejected=[0.6]), 1)
    cut = iteration_of(log_of(0), 2, stopped=True)
    assert reported(told, cut) == {OVER: None, WRONG: None, HEALTH: None}


def test_a_crash_is_an_error(reported, path, log_of, iteration_of):
    crash = SimpleNamespace(at_s=1.0, what="server ended with code 3")
    told = iteration_of(log_of(*BREACH[:5], rejected=[0.6]), 1, crashes=[crash])
    assert reported(told) == {OVER: None, WRONG: None, HEALTH: "error"}
    (error,) = check_structure(path.read_text()).iter("error")
    assert (error.get("type"), error.get("message")) == ("crash", "server died: 1")


def test_the_shortest_schedules_stand_with_what_they_repeat(reported, path, log_of, iteration_of):
    found = [
        Reproduction(
            kind, Recipe(Schedule.parse(f"{n} at 0s")), Tries(3, 3), complete=True, command=["x"]
        )
        for n, kind in enumerate((OVER_ADMISSION, "crash"), 6)
    ]
    crash = SimpleNamespace(at_s=1.0, what="server ended with code 3")
    reported(iteration_of(log_of(*BREACH), crashes=[crash]), reproductions=found)
    suite = check_structure(path.read_text())
    assert "schedule  6 at 0 s" in suite.find("testcase/failure").text
    assert "schedule  7 at 0 s" in suite.find("testcase/error").text


def test_until_it_is_over_and_when_it_broke_nothing_passes(
    reported, path, subject, log_of, iteration_of
):
    JUnitReport(path).begin(subject, Totals())
    assert tags(path) == {OVER: "error", WRONG: "error"}
    check_structure(path.read_text())
    told = iteration_of(log_of(*BREACH[:5], rejected=[0.6]))
    assert reported(told, failed="no space left") == {OVER: "error", WRONG: "error"}


def test_only_what_was_claimed_has_a_case(reported, log_of, iteration_of):
    assert reported(iteration_of(log_of(*BREACH)), claims={OVER_ADMISSION}).keys() == {OVER, HEALTH}


def test_the_names_of_cases_are_those_of_the_last_run(reported, path, log_of, iteration_of):
    reported(iteration_of(log_of(*BREACH)))
    before = tags(path).keys()
    reported(iteration_of(log_of(*BREACH[:5], rejected=[0.6])), iteration_of(log_of(0), 2))
    assert tags(path).keys() == before


def test_a_log_that_was_judged_has_a_case_for_each_claim(path, subject, log_of):
    totals = Totals()
    totals.judge(judge(log_of(*BREACH), Policy.parse("5 per 5s")))
    write_junit(path, subject, totals)
    check_structure(path.read_text())
    assert tags(path) == {OVER: "failure", WRONG: "skipped"}


def test_characters_that_xml_cannot_have_are_escaped_and_no_markup_comes_through(subject):
    nasty = "]]><x a='\0\x01\x1f\x7f\ud800\ufffe\uffff'>&amp;\u202e \U0001f600"
    text = junit_xml(Suite(subject, [Case(nasty, "failure", "violated", nasty, nasty)], 1.5))
    suite = check_structure(text)
    (failure,) = suite.iter("failure")
    shown = "]]><x a='\\x00\\x01\\x1f\x7f\\ud800\\ufffe\\uffff'>&amp;\u202e \U0001f600"
    assert failure.text == failure.get("message") == shown
    assert [e.tag for e in suite.iter()].count("x") == 0


@pytest.mark.parametrize(("allowed", "tag"), [(False, "error"), (True, "skipped")])
def test_a_quota_that_was_not_tested_never_passes(path, subject, log_of, allowed, tag):
    policy = "5 per 5s; 100 per 1h"
    totals = Totals(allow_untested=allowed)
    totals.judge(judge(log_of(*BREACH[:5], rejected=[0.6]), Policy.parse(policy)))
    write_junit(path, replace(subject, policy=policy), totals)
    suite = check_structure(path.read_text())
    names = {OVER: None, "over-admission, 100 per hour": tag, WRONG: None}
    assert tags(path) == names
    (told,) = [e for case in suite.iter("testcase") if "hour: " in case.get("name") for e in case]
    assert told.get("message").startswith("NOT TESTED: 100 per hour (testing it takes 101 requests")


def test_of_two_quotas_the_violated_one_fails(path, subject, log_of):
    policy = "5 per 5s; 100 per 1h"
    totals = Totals()
    totals.judge(judge(log_of(*BREACH), Policy.parse(policy)))
    write_junit(path, replace(subject, policy=policy), totals)
    found = tags(path)
    assert found[OVER] == "failure"
    assert found["over-admission, 100 per hour"] == "error"


def test_a_quota_whose_bursts_came_too_spread_out_never_passes(path, subject, log_of, iteration_of):
    totals = Totals()
    totals.add(iteration_of(log_of(*BREACH[:5], rejected=[0.6])))
    write_junit(path, subject, totals)
    assert tags(path)[OVER] is None
    totals.unseen = "bursts came too spread out"
    write_junit(path, subject, totals)
    assert tags(path)[OVER] == "error"
    assert "bursts came too spread out" in path.read_text()
