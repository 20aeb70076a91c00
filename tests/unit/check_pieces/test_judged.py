"""`rateproof check --memory`: a log that does not fit is judged in pieces."""

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest

from rateproof import linux
from rateproof.errors import LogError
from rateproof.events import ADMITTED, Event, EventLog, read_log, splitter
from rateproof.events.parquet_reader import opened
from rateproof.events.pieces import Pieces
from rateproof.events.progress import Progress
from rateproof.events.reading_ahead import ahead
from rateproof.events.splitter import Splitter
from rateproof.events.workplace import Workplace
from tests.unit.check_pieces.pieces import MEMORY, MS, S, file_of


def test_the_verdict_is_that_of_the_whole_and_what_it_takes_is_said_before(check, log, monkeypatch):
    code, whole, err = check(log, "--json", "--memory", "10GB")
    assert "pieces" not in err
    assert code == 1
    assert json.loads(whole)["headers"]["broken"] > 0
    again, parted, err = check(log, "--json", *MEMORY)
    assert (again, json.loads(parted)) == (code, json.loads(whole))
    assert "200,406 requests do not fit in 190 MB: 5 pieces by key go to" in err
    monkeypatch.setattr(linux, "free_memory", lambda: 380_000_000)
    *_, err = check(log)
    assert "do not fit in 190 MB, half of what is free: 5 pieces" in err
    assert "are removed afterwards" in err


def test_evidence_against_every_client_reads_no_piece_for_each(check, log, monkeypatch):
    read, numbers = Pieces._read, []
    monkeypatch.setattr(Pieces, "_read", lambda *of: numbers.append(of[1]) or read(*of))
    code, out, _ = check(log, "--json", "--policy", "4 per 5s", *MEMORY)
    assert code == 1
    assert "over-admission: 100 keys were admitted too often" in json.loads(out)["reasons"]
    assert max(map(numbers.count, range(5))) <= 4, (
        "surveyed, searched, shown, and at most once more"
    )


def test_a_piece_that_does_not_fit_is_split_again(check, log, monkeypatch):
    needed = splitter.pieces_needed
    monkeypatch.setattr(splitter, "pieces_needed", lambda *a, **k: min(3, needed(*a, **k)))
    _, whole, _ = check(log, "--json", "--memory", "10GB")
    code, parted, _ = check(log, "--json", "--memory", "184MB")
    assert (code, json.loads(parted)) == (1, json.loads(whole))


def test_json_lines_obey_memory_and_have_the_same_verdict(check, log, lines):
    code, out, err = check(lines, "--json", "--memory", "10GB")
    assert (code, "as it is read" in err) == (1, False)
    again, parted, err = check(lines, "--json", *MEMORY)
    assert (again, json.loads(parted)) == (code, json.loads(out))
    assert "the log does not fit in 190 MB: it goes to" in err
    assert "200,406 requests do not fit in 190 MB: 5 pieces by key" in err
    assert check(log, "--json", *MEMORY)[:2] == (code, out)


@pytest.mark.slow
def test_a_client_that_does_not_fit_is_judged_in_stretches_of_its_time(check, busy):
    path = busy(extra=5)
    asked = "--policy", "1003 per 1s", "--json"
    code, out, _ = check(path, *asked, "--memory", "190MB")
    found, whole = json.loads(out), json.loads(check(path, *asked, "--memory", "10GB")[1])
    assert code == 1, "in the middle of its time it got 1,005 in a second"
    assert found["reasons"] == whole["reasons"]
    assert found["counts"] == whole["counts"]
    assert found["evidence"] == whole["evidence"]


def test_a_client_that_does_not_fit_is_explained_from_its_first_request_to_its_last(check, busy):
    path, asked = busy(extra=1), ("--policy", "1001 per 1s", "--json")
    found = json.loads(check(path, *asked, "--memory", "190MB")[1])
    assert found["causes"] == ["too-coarse"], "and not too-large"
    assert found["reasons"] == json.loads(check(path, *asked, "--memory", "10GB")[1])["reasons"]


def test_a_client_whose_windows_are_not_searched_as_a_whole_keeps_the_verdict_open(check, busy):
    policy = "fixed-window 1001 per 1s"
    code, out, _ = check(busy(extra=1), "--policy", policy, "--json", "--memory", "190MB")
    found = json.loads(out)
    assert code == 2
    assert "too-large" in found["causes"]
    (reason,) = (reason for reason in found["reasons"] if "stretches" in reason)
    assert reason.startswith("100,000 requests were judged in stretches of time, not together: ")
    assert reason.endswith("--memory 198MB has room")
    assert found["counts"]["events"] == 260_000


@pytest.mark.slow
def test_admissions_that_no_stretch_shows_all_of_are_not_said_to_be_the_tightest(check, busy):
    asked = "--policy", "5 per 1ms", "--json"
    whole = json.loads(check(busy(), *asked, "--memory", "10GB")[1])
    found = json.loads(check(busy(), *asked, "--memory", "190MB")[1])
    (pressure,), (of_whole,) = found["pressure"], whole["pressure"]
    assert (of_whole["key"], of_whole["margin_ns"]) == ("'busy'", 9 * MS // 2)
    assert (pressure["key"], pressure["margin_ns"]) == ("'busy'", None)
    assert found["closest"] == [], "of others the tightest six took 5 s"


def test_a_stretch_that_does_not_fit_is_not_judged_and_the_verdict_says_so(check, busy):
    asked = "--policy", "90000 per 90s", "--json"
    code, out, _ = check(busy(), *asked, "--memory", "190MB")
    found = json.loads(out)
    assert (code, found["counts"]["events"]) == (2, 160_000)
    (reason,) = (reason for reason in found["reasons"] if "not judged" in reason)
    assert reason.startswith("100,000 requests were not judged: they are of clients")


def test_a_request_that_is_twice_in_a_client_that_does_not_fit_is_found(
    check, busy, tmp_path_factory
):
    rows = read_log(busy())
    rows.append(replace(rows[99], sent_ns=rows[99_000].sent_ns + 1, received_ns=10**12))
    code, _, err = check(
        file_of(tmp_path_factory.mktemp("log"), rows), "--policy", "1 per 1s", *MEMORY
    )
    assert code == 65
    assert "sequence 99 of run 0 is there a second time" in err


def test_a_request_that_is_there_twice_is_found_in_its_piece(check, log, tmp_path_factory):
    rows = read_log(log)
    rows.append(rows[1_234])
    code, _, err = check(file_of(tmp_path_factory.mktemp("log"), rows), *MEMORY)
    assert code == 65
    assert "sequence 1234 of run 0 is there a second time" in err


@pytest.mark.parametrize(
    ("numbers", "twice"),
    [
        (range(1, 10), None),
        (range(9, 0, -1), None),
        ([5, 1, 8, 2, 9, 3, 7, 6, 4], None),
        (range(2**63 - 9, 2**63), None),
        ([1, 2, 3, 4, 5, 6, 7, 2, 9], 2),
        ([1, 2, 3, 4, 4, 6, 7, 8, 9], 4),
        ([0, 0, 0, 1, 2, 3, 4, 5, 6], 0),
        ([*range(2**63 - 9, 2**63 - 1), 2**63 - 4], 2**63 - 4),
        ([0] * 9, None),
    ],
)
@pytest.mark.parametrize("together", [1, 2, 9])
def test_a_number_that_two_clients_have_is_refused_in_any_number_of_pieces(
    tmp_path, numbers, twice, together
):
    rows = EventLog({})
    for at, number in enumerate(numbers):
        sent, key = S + at * MS, b"%d" % at
        told = {"status": 200, "outcome": ADMITTED, "sequence": number}
        rows.append(Event(key=key, sent_ns=sent, received_ns=sent + MS, **told))
    path = file_of(tmp_path, rows)
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pq.read_table(path), tmp_path / "groups.parquet", row_group_size=1)
    refused = pytest.raises(LogError, match=f"sequence {twice} of run 0 is there a second time")
    for memory, file in ((None, path), (together, tmp_path / "groups.parquet")):
        with nullcontext() if twice is None else refused, opened(file) as log:
            if memory is None:
                read_log(file)
            else:
                into = Splitter(Workplace(tmp_path), 3, "log")
                splitter.split(log, into, together, lambda one: one, print)


def test_progress_says_how_long_it_will_take():
    now, said = iter([0, 4, 11, 12, 22, 40]), []
    progress = Progress("splitting", 100, said.append, clock=lambda: next(now))
    for done in (10, 25, 30, 50, 100):
        progress.at(done)
    assert said == ["splitting: 25 %, 33 s left", "splitting: 50 %, 22 s left"]


def test_what_is_read_ahead_comes_in_order_and_no_more_than_the_next_is_made():
    made, seen = [], []

    def items():
        for number in range(5):
            made.append(number)
            yield number, "item"

    for number, _ in ahead(items()):
        seen.append(number)
        assert len(made) <= len(seen) + 1
    assert seen == made == [*range(5)]


def test_an_error_in_what_is_read_ahead_is_raised_at_its_turn():
    def items():
        yield "whole"
        raise LogError("damaged")

    seen = []
    with pytest.raises(LogError, match="damaged"):
        seen.extend(ahead(items()))
    coming = ahead(items())
    assert next(coming) == "whole"
    coming.close()  # what nobody waits for is raised nowhere
