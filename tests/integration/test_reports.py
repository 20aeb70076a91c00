"""Files that a test and a check leave: the page and the JUnit XML."""

import os
import re
import signal
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

OVER = "over-admission, 5 per second"
HISTORIES = Path(__file__).parents[1] / "histories"


@pytest.fixture
def tester(spawn, free_port, tmp_path):
    """Start tester.py on a server of its own, with its files in a temporary folder."""

    def start(*arguments, **variables):
        return spawn(
            *(
                "tester.py",
                "--worst-time",
                "0",
                f"http://127.0.0.1:{free_port}",
                "--self",
                "--policy",
                "5 per 1s",
                "--seed",
                1,
            ),
            *("--out", tmp_path, "--junit", tmp_path / "ci" / "junit.xml", *arguments),
            env=os.environ | variables,
        )

    return start


def tags(path):
    cases = ET.parse(path).getroot().iter("testcase")
    return {c.get("name").partition(":")[0]: next((e.tag for e in c), None) for c in cases}


def test_a_test_leaves_a_page_and_junit_of_its_verdict(tester, tmp_path):
    process = tester("--iterations", 3)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, output + errors
    page = (tmp_path / "test_report.html").read_text()
    assert "<h1>✓ CONSISTENT: n" in page
    assert re.search(r"\b(\d) of \1:", page)
    passed = {OVER: None, "wrong-rejection": None, "server health": None}
    assert tags(tmp_path / "ci" / "junit.xml") == passed


def test_a_test_that_is_killed_leaves_no_pass_behind(tester, tmp_path):
    process, path = tester(), tmp_path / "ci" / "junit.xml"
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert tags(path) == {OVER: "error", "wrong-rejection": "error"}


@pytest.mark.parametrize(
    ("more", "code", "tag", "line", "answer"),
    [
        (
            *((), 2, "error"),
            "many other clients; 5 per second held until the test ended (hint: ",
            "NOT TESTED: ",
        ),
        (
            *(("--allow-untested",), 0, None),
            "many other clients: the test ended before",
            "CONSISTENT (as far as tried): ",
        ),
    ],
)
def test_a_duration_ends_a_test_in_order_and_what_it_cuts_is_not_tested(
    tester, tmp_path, more, code, tag, line, answer
):
    began = time.monotonic()
    process = tester("--duration", "2s", *more)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == code, output + errors
    assert 2 < time.monotonic() - began < 60
    *_, last = lines = output.splitlines()
    assert last.startswith(answer), "the answer's line is last"
    (untested,) = (each for each in lines if each.startswith("NOT TESTED: "))
    assert line in untested
    assert tags(tmp_path / "ci" / "junit.xml")[OVER] == tag


def test_a_log_can_be_shown_on_a_page_of_its_own(spawn, tmp_path):
    log = HISTORIES / "flask-limiter-fixed-window.jsonl"
    page, junit = tmp_path / "page.html", tmp_path / "junit.xml"
    process = spawn("-m", "rateproof", "check", log, "--report", page, "--junit", junit)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 1, errors
    assert output.startswith("VIOLATED: ")
    assert "<h1>✗ VIOLATED: 8 let through" in page.read_text()
    assert tags(junit) == {"over-admission, 5 per 5 s": "failure", "wrong-rejection": "skipped"}


def test_without_jinja_a_page_that_was_asked_for_is_refused(spawn, tmp_path, hide):
    log = HISTORIES / "flask-limiter-fixed-window.jsonl"
    command = ("-m", "rateproof", "check", log, "--report", tmp_path / "page.html")
    process = spawn(*command, env=os.environ | hide("jinja2"))
    output, errors = process.communicate(timeout=200)
    assert (process.returncode, output) == (64, "")
    assert "--report needs jinja2" in errors
    assert "hint: pip install jinja2" in errors
