"""The writing of the page, and the words where it cannot be written."""

import sys
from pathlib import Path

import pytest

from rateproof.errors import CannotWrite, InvalidArgument
from rateproof.hunt.report import page
from rateproof.hunt.report.page import NAME, HtmlReport, require_jinja
from rateproof.hunt.report.totals import Totals

BREACH = (0, 0.1, 0.2, 0.3, 0.4, 0.5)
LOG = Path("test_log_1.jsonl")


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to."""
    now = [1_000.0]
    monkeypatch.setattr(page.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def no_jinja(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)


def test_it_is_there_from_the_beginning_and_at_the_end_and_seldom_written_between(
    tmp_path, subject, log_of, iteration_of, clock
):
    report, totals, path = HtmlReport(tmp_path), Totals(), tmp_path / NAME
    report.begin(subject, totals)
    assert "Nothing was sent" in path.read_text()

    def add(number):
        iteration = iteration_of(log_of(*BREACH), number)
        totals.add(iteration)
        report.add(iteration, LOG)
        return f"{number} of {number}:" in path.read_text()

    assert not add(1)
    clock[0] += 9.9
    assert not add(2)
    clock[0] += 0.1
    assert add(3)
    assert not add(4)
    report.end()
    assert "4 of 4:" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_a_place_that_cannot_be_written_is_told_before_anything_is_sent(tmp_path, subject):
    (tmp_path / NAME).mkdir()
    with pytest.raises(CannotWrite, match=NAME):
        HtmlReport(tmp_path).begin(subject, Totals())


@pytest.mark.usefixtures("no_jinja")
def test_without_jinja_a_test_says_so_once_and_goes_on(
    tmp_path, subject, log_of, iteration_of, capsys
):
    report, totals = HtmlReport(tmp_path), Totals()
    report.begin(subject, totals)
    for number in (1, 2):
        report.add(iteration_of(log_of(*BREACH), number), LOG)
    report.end()
    said = capsys.readouterr().err
    assert said.count("jinja2 is not installed: no test_report.html (hint: pip install") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_jinja")
def test_without_jinja_a_page_that_was_asked_for_is_refused():
    with pytest.raises(InvalidArgument, match=r"--report needs jinja2.*pip install") as refused:
        require_jinja()
    assert refused.value.exit_code == 64


def test_where_the_page_is_does_not_come_before_what_went_wrong(tmp_path, subject, capsys):
    for failed, told in ((None, True), ("no space left", False)):
        report, totals = HtmlReport(tmp_path), Totals()
        report.begin(subject, totals)
        totals.failed = failed
        report.end()
        assert (NAME in capsys.readouterr().err) is told
