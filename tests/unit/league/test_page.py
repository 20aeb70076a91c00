"""The page has a line for each row that was run, and counts its runs honestly."""

from dataclasses import replace

from league import results
from league.page import render
from league.results import Result
from league.row import Row, Truth


def row(name, truth, worst=None):
    return Row(
        name=name, truth=truth, why="so", worst=worst, version=lambda: "", commands=lambda _: []
    )


LEAKY, EXACT, NEAR = (
    row("leaky", Truth.YES, 9),
    row("exact", Truth.NO, 5),
    row("near", Truth.EITHER),
)
FOUND = Result(
    row="leaky", run=1, date="2026-01-02", version="leaky 1.0", truth=Truth.YES,
    verdict="violated", worst=8, schedule="1 at 0s, 4 at 4.9s, 2 at 5.1s", reproduced=6, tries=6,
    needless="denials count",
)  # fmt: skip
HELD = Result(
    row="exact", run=1, date="2026-01-03", version="exact 2.0", truth=Truth.NO,
    verdict="consistent", worst=5,
)  # fmt: skip


def lines(*given):
    page = render([LEAKY, EXACT, NEAR], given, 40)
    return page, [line for line in page.splitlines() if line.startswith("| ")][1:]


def test_a_line_shows_the_worst_case_and_the_most_reliable_schedule_of_all_runs():
    longer = replace(FOUND, run=2, worst=9, schedule="1 at 0s, 1 at 1s, 4 at 4.9s, 2 at 5.1s")
    by_luck = replace(FOUND, run=3, schedule="6 at 0s", reproduced=4)
    _, table = lines(by_luck, longer, FOUND)
    (line,) = table
    assert line.startswith(
        "| leaky | yes | 3 of 3 | 9 / 9 | `1 at 0s, 4 at 4.9s, 2 at 5.1s`, 6 of 6 | denials count |"
    )


def test_what_was_seen_in_any_run_counts():
    honest = replace(HELD, headers="true")
    _, table = lines(honest, replace(honest, run=2, headers="false", needless="yes"))
    assert table == ["| exact | no | 0 of 2 | 5 / 5 |  | yes | false | exact 2.0 |"]


def test_rows_with_the_same_reason_share_a_line():
    page, _ = lines(HELD, FOUND)
    assert "\n- leaky; exact: so.\n" in page


def test_a_row_that_was_not_run_is_not_written():
    page, table = lines(HELD, replace(FOUND, verdict="not run"), replace(FOUND, verdict="failed"))
    assert table == ["| exact | no | 0 of 1 | 5 / 5 |  |  |  | exact 2.0 |"]
    assert "leaky" not in page


def test_rows_keep_their_order_whatever_the_order_of_the_results():
    page, table = lines(HELD, FOUND)
    assert [line.split()[1] for line in table] == ["leaky", "exact"]
    assert "between 2026-01-02 and 2026-01-03" in page


def test_the_page_says_whether_every_known_truth_came_out():
    page, _ = lines(FOUND, HELD)
    assert "The 2 rows whose truth is known came out right in every run, 2 runs in all" in page
    page, _ = lines(FOUND, replace(FOUND, run=2, verdict="consistent"), HELD)
    assert "came out wrong at least once: leaky." in page


def test_a_no_that_is_called_violated_is_wrong_and_an_inconclusive_no_is_not():
    assert HELD.is_right
    assert replace(HELD, verdict="inconclusive").is_right
    assert not replace(HELD, verdict="violated").is_right


def test_only_a_violation_is_right_for_a_yes():
    assert FOUND.is_right
    assert not replace(FOUND, verdict="inconclusive").is_right
    assert not replace(FOUND, verdict="consistent").is_right


def test_where_either_is_possible_both_are_right_but_a_failure_is_not():
    either = replace(FOUND, truth=Truth.EITHER)
    assert either.is_right
    assert replace(either, verdict="consistent").is_right
    assert not replace(either, verdict="failed").is_right
    assert replace(FOUND, verdict="not run").is_right


def test_results_are_read_as_they_were_written(tmp_path):
    file = tmp_path / "results.jsonl"
    assert results.read(file) == []
    file.write_text("".join(results.write(result) + "\n" for result in (FOUND, HELD)))
    assert results.read(file) == [FOUND, HELD]
