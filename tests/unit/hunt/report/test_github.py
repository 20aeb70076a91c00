"""A job of GitHub Actions shows annotations that nothing breaks out of, and a summary."""

import re

import pytest

from rateproof.cli import main
from rateproof.hunt.report.github import GitHubReport, on_github, tell_github
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals
from rateproof.policy import Policy
from rateproof.prove import judge

BREACH = (0, 0.1, 0.2, 0.3, 0.4, 0.5)


@pytest.fixture
def summary(monkeypatch, tmp_path):
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def unescaped(text):
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, char)
    return text


def commands(text):
    """Read as the runner does: of each line that is a command its name, properties and message."""
    found = re.findall(r"^::(\w+) ([^\n:]*)::(.*)$", text, re.MULTILINE)
    return [
        (name, dict(one.split("=", 1) for one in told.split(",")), unescaped(message))
        for name, told, message in found
    ]


def test_a_violated_test_is_an_error_and_the_summary_has_the_evidence(
    summary, subject, log_of, iteration_of, capsys, tmp_path
):
    report, totals = GitHubReport(), Totals()
    report.begin(subject, totals)
    iteration = iteration_of(log_of(*BREACH))
    report.add(iteration, tmp_path / "log")
    totals.add(iteration)
    report.end()
    ((name, properties, message),) = commands(capsys.readouterr().err)
    assert name == "error"
    assert unescaped(properties["title"]) == "rateproof, 5 per 5s at http://127.0.0.1:1/"
    assert message == totals.answer[0]
    text = summary.read_text()
    assert text.startswith("### rateproof: VIOLATED: 6 let through in 5 s, 5 promised")
    assert "| policy | `5 per 5s` |" in text
    assert re.search(r"<details>.*```text\n.*window.*\n```\n\n</details>", text, re.DOTALL)


def test_a_limit_that_held_is_no_annotation_and_needs_no_evidence(
    summary, subject, log_of, iteration_of, capsys
):
    report, totals = GitHubReport(), Totals()
    report.begin(subject, totals)
    totals.add(iteration_of(log_of(*BREACH[:5], rejected=[0.6])))
    report.end()
    assert "::" not in capsys.readouterr().err
    assert summary.read_text().startswith("### rateproof: CONSISTENT: ")
    assert "<details>" not in summary.read_text()


def test_summaries_of_several_steps_stand_one_after_the_other(summary, subject):
    summary.write_text("# Theirs\n\n")
    for _ in range(2):
        tell_github(subject, Totals())
    assert summary.read_text().startswith("# Theirs\n\n### rateproof")
    assert summary.read_text().count("### rateproof: ") == 2


def test_nothing_from_outside_becomes_a_command_or_markup(summary, log_of, capsys):
    target = "log,of:100%\n::error::gotcha.jsonl | `x` <b>"
    totals = Totals()
    totals.judge(judge(log_of(*BREACH), Policy.parse("5 per 5s")))
    totals.warnings = ["first\r\n::error::second", *map(str, range(30))]
    tell_github(Subject(verb="check", target=target, policy="5 per 5s"), totals)
    told = commands(capsys.readouterr().err)
    assert [name for name, *_ in told] == ["error"] + ["warning"] * 10
    assert unescaped(told[0][1]["title"]) == f"rateproof, 5 per 5s at {target}"
    assert told[1][2] == "first\r\n::error::second"
    (row,) = [line for line in summary.read_text().splitlines() if line.startswith("| target")]
    assert row.startswith("| target | `` log,of:100%")


def test_a_summary_that_cannot_be_written_does_not_hide_the_verdict(
    summary, subject, monkeypatch, capsys
):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary / "below" / "nothing"))
    tell_github(subject, Totals())
    assert "warning: cannot write the job's summary" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["", "false", "1"])
def test_elsewhere_nothing_is_written(monkeypatch, value):
    monkeypatch.setenv("GITHUB_ACTIONS", value)
    assert not on_github()


def test_check_tells_it_too(summary, monkeypatch, capsys):
    log = "tests/histories/four-workers.jsonl"
    assert main(["check", log]) == 1
    ((name, _, message),) = commands(capsys.readouterr().err)
    assert name == "error"
    assert message.startswith("VIOLATED: ")
    assert "four-workers.jsonl" in summary.read_text()
    monkeypatch.delenv("GITHUB_ACTIONS")
    summary.unlink()
    assert main(["check", log]) == 1
    assert "::error" not in capsys.readouterr().err
    assert not summary.exists()
