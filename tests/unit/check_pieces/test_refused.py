"""`rateproof check --memory`: what cannot be judged in pieces is told, and before anything is written."""

import gc
import random
import resource
import shutil
import sys
from array import array

import pytest

from rateproof.errors import CannotWrite, LogError
from rateproof.events import ADMITTED, Event, EventLog, costs, read_log, splitter
from rateproof.events.parquet_reader import opened
from rateproof.events.splitter import Splitter
from rateproof.events.workplace import Workplace
from tests.unit.check_pieces.pieces import MEMORY, MS, S, file_of


def rows_from(first_ns, numbers):
    rows = EventLog({})
    for number in numbers:
        sent = first_ns + number % 1_000 * MS
        told = {"status": 200, "outcome": ADMITTED, "sequence": number}
        rows.append(Event(key=b"a", sent_ns=sent, received_ns=sent + MS, **told))
    return rows


def test_a_disk_without_room_is_told_before_anything_is_written(check, log, monkeypatch):
    free = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(costs.shutil, "disk_usage", lambda _: free)
    code, out, err = check(log, *MEMORY)
    assert (code, out) == (73, "")
    assert "has room for 1 MB" in err
    assert "TMPDIR names another disk" in err


@pytest.mark.parametrize("length", [5, 200])
def test_the_disk_that_pieces_take_is_told_whatever_the_length_of_keys(tmp_path, length):
    rng, rows, clients = random.Random(length), 40_000, 4_000
    sent = array("q", (S + row * MS + rng.randrange(MS) for row in range(rows)))
    columns = {
        "key": (
            array("i", (rng.randrange(clients) for _ in range(rows))),
            [rng.randbytes(length) for _ in range(clients)],
        ),
        "sent_ns": sent,
        "received_ns": array("q", (one + rng.randrange(MS, 100 * MS) for one in sent)),
        "status": array("q", [200]) * rows,
        "sequence": array("q", range(rows)),
        "outcome": (array("i", [0]) * rows, [ADMITTED]),
    }
    path = file_of(tmp_path, EventLog.from_columns(columns, rows))
    place = tmp_path / "pieces"
    place.mkdir()
    with opened(path, to_judge=True) as log:
        told, into = costs.disk_for(log), Splitter(Workplace(place), 3, "log")
        splitter.split(log, into, rows, lambda one: one, print)
    taken = sum(path.stat().st_size for path in place.iterdir())
    assert told / 3 < taken <= told


def test_a_disk_that_fills_up_leaves_the_log_as_it_was(check, log, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = log.read_bytes()
    monkeypatch.setattr(splitter.Splitter, "_writer", full)
    code, out, err = check(log, *MEMORY)
    assert (code, out) == (73, "")
    assert "No space left on device" in err
    assert log.read_bytes() == before


@pytest.mark.parametrize("when", ["written", "closed"])
def test_where_a_disk_is_full_nothing_is_said_but_that(check, log, monkeypatch, when):
    said, close = [], Splitter.closed
    gc.collect()  # what other tests left behind
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))

    def closed(of):
        full()
        return close(of)

    if when == "closed":
        monkeypatch.setattr(Splitter, "closed", closed)
    else:
        full()
    try:
        code, out, err = check(log, *MEMORY)
        gc.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out, said) == (73, "", [])
    assert "File too large" in err


def test_a_folder_that_is_gone_is_said_once(tmp_path, monkeypatch):
    gc.collect()  # what other tests left behind
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    parts = Splitter(Workplace(tmp_path / "gone"), 1, "log")
    with pytest.raises(CannotWrite, match="No such file or directory"):
        parts.add(rows_from(S, range(1, 9)))
    del parts
    gc.collect()
    assert said == []


def test_a_url_without_a_cluster_is_refused_and_not_taken_for_a_file_that_is_missing(check):
    code, out, err = check("s3://logs/big.parquet")
    assert (code, out) == (64, "")
    assert "s3://logs/big.parquet without --on" in err


@pytest.mark.parametrize("harm", ["removed", "damaged", "cut"])
def test_a_piece_that_is_harmed_meanwhile_is_named(check, log, monkeypatch, harm):
    split = splitter.split

    def harmed(*given):
        found = split(*given)
        (path,) = found.files[1]
        content = path.read_bytes()
        if harm == "removed":
            path.unlink()
        else:
            middle = len(content) // 2
            rest = b"" if harm == "cut" else bytes(64) + content[middle + 64 :]
            path.write_bytes(content[:middle] + rest)
        return found

    monkeypatch.setattr(splitter, "split", harmed)
    code, out, err = check(log, *MEMORY)
    assert (code, out) == (65, "")
    assert "piece 1 of 5 that the log was split into was damaged or removed meanwhile" in err


def test_too_little_memory_is_told_how_much_it_takes(check, log):
    code, _, err = check(log, "--memory", "100MB")
    assert code == 64
    assert "--memory 100 MB is too little for 200,406 requests" in err
    assert "at least 181 MB" in err


def test_a_size_that_is_none_is_refused(check, log):
    code, _, err = check(log, "--memory", "much")
    assert code == 64
    assert "a size, such as 500MB or 4GiB" in err


@pytest.mark.parametrize("option", ["--by-key", "--report=page.html"])
def test_what_takes_the_whole_log_is_refused_in_pieces(check, log, option):
    code, _, err = check(log, option, *MEMORY)
    assert code == 64
    assert f"{option.partition('=')[0]} with a log that does not fit in memory" in err


def test_readings_of_two_clocks_are_refused_where_no_part_of_the_log_has_both(tmp_path):
    parts = Splitter(Workplace(tmp_path), 2, "log")
    parts.add(rows_from(S, range(1, 9)))
    with pytest.raises(LogError, match="53 years apart: readings of two clocks"):
        parts.add(rows_from(1_700_000_000 * S, range(9, 17)))


def test_several_runs_are_not_judged_in_pieces(check, log, tmp_path_factory):
    rows = read_log(log)
    rows.append(Event(run=1, key=b"x", sent_ns=S, received_ns=2 * S, status=200, outcome=ADMITTED))
    code, _, err = check(file_of(tmp_path_factory.mktemp("log"), rows), *MEMORY)
    assert code == 65
    assert "has several runs" in err


def test_several_logs_in_parquet_are_refused_by_name(check, log):
    code, out, err = check(log, log)
    assert (code, out) == (64, "")
    assert f"{log} is one of 2 logs" in err
    assert "check each log by itself" in err


LINE = b'{"key":"a","sent_ns":1,"received_ns":2000000,"status":200}\n'


LITTLE = "--memory", "100MB"  # the program takes more: all lines go to a file


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (b'{"key": "a", "sent_ns": 1}\n', ", line 2: "),
        (LINE[:-2], ", line 2 is cut off"),
        (LINE.replace(b"}", b',"error":"\\ud800"}'), " has text that UTF-8 cannot hold"),
        (
            LINE.replace(b"}", b',"sequence":7}') * 2,
            ", row 3: sequence 7 of run 0 is there a second time",
        ),
    ],
)
def test_what_is_wrong_with_lines_is_told_by_their_name(check, tmp_path_factory, wrong, told):
    path = tmp_path_factory.mktemp("wrong") / "wrong.jsonl"
    path.write_bytes(LINE + wrong)
    code, _, err = check(path, *LITTLE)
    assert code == 65
    assert f"{path}{told}" in err
