"""The text of an iteration fits the line: 90 characters in the file, a terminal's in a terminal."""

from pathlib import Path

import pytest

from rateproof import output
from rateproof.errors import CannotWrite
from rateproof.hunt.report import text
from rateproof.hunt.report.text import NAME, Console, SummaryFile, describe
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.shrinking.reproduction import Reproduction, Tries
from rateproof.prove import CONSISTENT, HEADERS, OVER_ADMISSION, VIOLATED, WRONG_REJECTION, Verdict


@pytest.mark.parametrize(("width", "fits"), [(None, 90), (80, 80), (40, 40), (200, 200)])
def test_sentences_are_wrapped_at_words_and_drawings_are_narrow_enough(
    log_of, iteration_of, width, fits
):
    log = log_of(*(number / 100 for number in range(6)))
    iteration = iteration_of(log)
    text = describe(iteration, Path("log"), width)
    verdict = text.partition("verdict ")[2].splitlines()
    drawn = [line for line in verdict if line.lstrip().startswith("#")]
    assert max(map(len, verdict)) <= fits
    assert len(drawn) == 6
    assert all(line.endswith(("|", "]")) for line in drawn)
    said = iteration.verdict.describe(width=28).split()
    assert {word for word in text.partition("verdict ")[2].split() if word.isalpha()} <= {
        *said,
        "log",
    }


def test_a_reason_is_told_once_and_then_in_few_words(log_of, iteration_of):
    told = {}
    one, two, three = (
        describe(iteration_of(log_of(*BREACH, *[0.6] * count), number), Path("log"), told=told)
        for number, count in ((1, 20), (2, 30), (3, 0))
    )
    assert "no limit seen: none of 26 requests was rejected" in one
    assert "no limit seen, as in iteration 1" in two
    assert "36" in two
    assert "is this the page that is meant" not in two
    assert "no limit seen" not in three
    assert all("over-admission: 1 key was admitted too often" in text for text in (one, two, three))


def test_the_totals_of_what_held_remark_once_on_redirects_and_client_errors():
    odd = "some answers that count as admitted were redirects or client errors"
    totals, rest = Totals(), "if that is what lies behind the limiter: --admitted 404"
    for counts in ("404: 49", "404: 7, 200: 5"):
        totals.judge(Verdict(CONSISTENT, (f"{odd} ({counts}); {rest}", "something else")))
    remarks = [line for line in totals.describe().splitlines() if line.startswith("  remark ")]
    assert remarks == [f"  remark    {odd}; {rest}"]
    assert totals.reasons == [f"{odd}; {rest}", "something else"]


def test_an_inconclusive_iteration_says_why_once(log_of, iteration_of):
    told = {}
    first, then = (
        describe(iteration_of(log_of(lost=range(count)), number), Path("log"), 200, told)
        for number, count in ((1, 9), (2, 7))
    )
    assert first.startswith("iteration 1: INCONCLUSIVE: no request was answered (timeout: 9): it ")
    assert then.startswith(
        "iteration 2: INCONCLUSIVE: no request was answered, as in iteration 1\n"
    )
    assert [text.count("no request was answered") for text in (first, then)] == [1, 1]


def test_names_are_one_line_without_commands_to_the_terminal(log_of, iteration_of, tmp_path):
    folder = tmp_path / "a\x1b[31m\nb\udcff"
    iteration = iteration_of(log_of(0.0))
    assert describe(iteration, folder / "log").endswith(r"a\x1b[31m\nb\xff/log")
    (folder / NAME).mkdir(parents=True)
    with pytest.raises(CannotWrite) as caught:
        SummaryFile(folder)
    assert rf"a\x1b[31m\nb\xff/{NAME}: not a regular file" in str(caught.value)


BREACH, KEPT = (0, 0.1, 0.2, 0.3, 0.4, 0.5), (0, 0.1, 0.2, 0.3, 0.4)


def test_an_iteration_that_holds_is_a_line_and_another_is_told_whole(
    log_of, iteration_of, subject, capsys
):
    held = iteration_of(log_of(*KEPT, rejected=[0.6]), 1)
    broken = iteration_of(log_of(*BREACH), 2)
    console = Console(json=False)
    console.begin(subject, Totals())
    capsys.readouterr()
    console.add(held, Path("log"))
    assert capsys.readouterr().err == "iteration 1: consistent, 6 requests in 0.6 s; steady\n"
    console.add(broken, Path("log"))
    told = capsys.readouterr().err
    assert told.startswith("iteration 2: VIOLATED: 6 let through in 5 s, 5 promised (1.2")
    assert "requests  6" in told
    assert "window" in told


def test_the_line_of_an_iteration_that_holds_is_whole_on_a_narrow_terminal(
    log_of, iteration_of, subject, capsys, monkeypatch
):
    held = iteration_of(log_of(*KEPT, rejected=[0.6]))
    brief = "all at once; bursts around a window's end; two bursts within a window"
    held.draw = held.draw._replace(brief=brief)
    for module in (text, output):
        monkeypatch.setattr(module, "columns", lambda _: 80)
    console = Console(json=False)
    console.begin(subject, Totals())
    capsys.readouterr()
    console.add(held, Path("log"))
    told = capsys.readouterr().err
    assert " ".join(told.split()).endswith(f"consistent, 6 requests in 0.6 s; {brief}")
    assert max(map(len, told.splitlines())) <= 80


def test_all_figures_of_an_iteration_that_holds_are_told_on_request(
    log_of, iteration_of, subject, capsys
):
    console = Console(json=False, verbose=True)
    console.begin(subject, Totals())
    console.add(iteration_of(log_of(*KEPT, rejected=[0.6])), Path("log"))
    assert "iteration 1: CONSISTENT: never more than 5 in 5 s" in (said := capsys.readouterr().err)
    assert "latency" in said


def test_the_answer_is_last_on_the_terminal_and_first_in_the_file(
    log_of, iteration_of, subject, capsys, tmp_path
):
    totals = Totals()
    totals.add(iteration_of(log_of(*BREACH)))
    with SummaryFile(tmp_path) as file:
        for reporter in (file, console := Console(json=False)):
            reporter.begin(subject, totals)
        file.end()
        console.end()
    line = "VIOLATED: 6 let through in 5 s, 5 promised"
    assert capsys.readouterr().out.splitlines()[-1].startswith(line)
    *_, last = (tmp_path / NAME).read_text().strip().split("\n\n")
    assert last.startswith(line)


def test_what_was_not_tested_stands_before_the_answer_but_after_it_in_files(
    subject, capsys, tmp_path
):
    totals = Totals(allow_untested=True)
    totals.judge(Verdict(CONSISTENT))
    totals.untried = ("many other clients",)
    answer, untested = totals.answer
    assert answer.startswith("CONSISTENT (as far as tried): ")
    with SummaryFile(tmp_path) as file:
        for reporter in (file, console := Console(json=False)):
            reporter.begin(subject, totals)
        file.end()
        console.end()
    assert capsys.readouterr().out.splitlines()[-2:] == [untested, answer]
    assert f"\n{answer}\n{untested}\n" in (tmp_path / NAME).read_text()


@pytest.mark.parametrize("claim", [HEADERS, OVER_ADMISSION, WRONG_REJECTION])
def test_no_claim_holds_before_all_known_attacks_were_tried(claim):
    """A window that is too long shows in rejections, too, and only around its end."""
    totals = Totals([claim])
    totals.judge(Verdict(CONSISTENT))
    assert totals.exit_code == 0
    totals.untried, totals.remedy = ("many other clients",), "more time"
    assert totals.exit_code == 2
    assert totals.answer[0].startswith("NOT TESTED: many other clients; what was claimed held")
    assert totals.of_claim(claim).outcome == "inconclusive"
    totals.allow_untested = True
    assert totals.answer[0].startswith("CONSISTENT (as far as tried): ")


def test_a_crash_is_never_behind_a_green_word(log_of, iteration_of):
    totals = Totals()
    totals.add(iteration_of(log_of(*KEPT, rejected=[0.6]), crashes=["died"]))
    assert totals.answer[0].startswith("CRASHED: the server crashed (server died: 1); CONSISTENT:")
    totals.failed = "no space left"
    assert totals.answer == ("INCONCLUSIVE: the test did not end in order: no space left",)
    totals.absent = "nothing listens at http://127.0.0.1:9/"
    assert totals.answer == ("UNREACHABLE: nothing listens at http://127.0.0.1:9/",)


def test_what_is_unreliable_is_in_the_totals(log_of, iteration_of):
    log = log_of(*KEPT, rejected=[0.6])
    log.metadata["warnings"] = ["latencies are unreliable, counts and verdicts are not"]
    totals = Totals()
    totals.add(iteration_of(log_of(*KEPT, rejected=[0.6])))
    totals.add(iteration_of(log, 2))
    (told,) = totals.to_json()["warnings"]
    assert told == f"iteration 2: {log.metadata['warnings'][0]}"
    assert f"\n  warning: {told}\n" in totals.describe(), "its line has not said it"
    for number in range(3, 12):
        totals.add(iteration_of(log, number))
    assert totals.describe().count("warning: ") == 8
    assert "\n  2 more warnings are in the logs\n" in totals.describe()


def test_the_totals_count_what_was_sent_besides_the_iterations(log_of, iteration_of):
    totals = Totals()
    totals.add(iteration_of(log_of(*KEPT, rejected=[0.6])))
    totals.sent = 6
    assert "besides" not in totals.describe()
    totals.sent = 22
    assert "\n  requests  6\n  besides   16 requests to see how it answers\n" in totals.describe()
    totals.sent, totals.pursuing = 4_016, 4_000
    assert (
        "answers\n  besides   4000 requests to shorten what was found and to look for the worst\n"
        in totals.describe()
    )


def test_a_diagnosis_is_repeated_in_the_totals_once_if_it_is_of_what_decides():
    totals = Totals()
    totals.judge(Verdict(CONSISTENT, ("limits nobody",), diagnosis=("unlimited",)))
    assert totals.diagnosis == ["limits nobody"]
    for number in (1, 2):
        reasons = (f"limits all together, {number}", "3 of 4 keys violated")
        totals.judge(Verdict(VIOLATED, reasons, diagnosis=("together",)))
    assert totals.to_json()["diagnosis"] == totals.diagnosis == ["limits all together, 1"]
    assert "verdict   violated\n  diagnosis limits all together, 1" in totals.describe()


def test_a_log_that_will_be_dropped_is_told_as_such(log_of, iteration_of):
    held = iteration_of(log_of(*KEPT, rejected=[0.6]))
    assert describe(held, Path("log")).endswith("log       log (kept until 3 more hold)")
    assert describe(iteration_of(log_of(*BREACH)), Path("log")).endswith("log       log")


def test_what_one_iteration_found_is_told_once_on_a_terminal_and_in_the_file(
    log_of, iteration_of, subject, capsys, monkeypatch, tmp_path
):
    command = ["rateproof", "test"]
    found = Reproduction("over-admission", None, Tries(0, 0), None, command)
    iteration = iteration_of(log_of(*BREACH))
    for width, times in ((None, 2), (100, 1)):  # redirected, each stream is whole
        monkeypatch.setattr(text, "columns", lambda _, width=width: width)
        totals = Totals()
        with SummaryFile(tmp_path / str(width)) as file:
            for reporter in (console := Console(json=False), file):
                reporter.begin(subject, totals)
            totals.add(iteration)
            totals.reproductions.append(found)
            for reporter in (console, file):
                reporter.found(found, 1)
                reporter.end()
        said = capsys.readouterr()
        assert (said.out + said.err).count("repeat    ") == times
        assert (tmp_path / str(width) / NAME).read_text().count("repeat    ") == 1
