"""`rateproof check --memory`: a log that does not fit is judged in pieces, and says so."""

import gc
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from array import array
from contextlib import nullcontext
from dataclasses import replace

import pytest

from rateproof import cli, linux
from rateproof.checking import command as checking
from rateproof.errors import CannotWrite, LogError
from rateproof.events import (
    ADMITTED,
    REJECTED,
    Event,
    EventLog,
    costs,
    open_log_writer,
    read_log,
    splitter,
)
from rateproof.events import pieces as pieces_module
from rateproof.events import workplace as workplaces
from rateproof.events.judged import LONG
from rateproof.events.parquet_reader import opened
from rateproof.events.pieces import Pieces
from rateproof.events.progress import Progress
from rateproof.events.reading_ahead import ahead
from rateproof.events.splitter import Splitter
from rateproof.events.workplace import Workplace, identity_of, workplace
from rateproof.folders import scratch
from rateproof.prove import judge
from rateproof.prove import pieces as surveying
from rateproof.prove.keys import Counts
from rateproof.prove.pieces import survey_piece
from tests.samples import quick_first

MS = 1_000_000
S = 1_000 * MS
MEMORY = "--memory", "190MB"  # 180 are the program's


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A file of 200,400 requests, of which one client got more than it was promised."""
    rows = EventLog({"fresh_keys": True, "policy": "5 per 5s"})
    for second in range(2_004):
        for client in range(100):
            sent = S + second * S + client * MS
            rows.append(
                Event(
                    key=b"client %d" % client,
                    sequence=second * 100 + client,
                    sent_ns=sent,
                    received_ns=sent + MS // 2 + client * 37 % 100,
                    status=200,
                    outcome=ADMITTED,
                )
            )
    for extra in range(6):
        sent = 9 * S + 7 * MS + extra * MS
        rows.append(
            Event(
                key=b"client 7",
                sequence=300_000 + extra,
                sent_ns=sent,
                received_ns=sent + MS // 2,
                status=429 if extra > 3 else 200,
                outcome=REJECTED if extra > 3 else ADMITTED,
                retry_after_s=5.0 if extra > 3 else None,
            )
        )
    assert len(rows) > LONG
    path = tmp_path_factory.mktemp("pieces") / "big.parquet"
    with open_log_writer(path, rows.metadata) as writer:
        writer.write(rows)
    return path


@pytest.fixture
def check(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def run(*words):
        code = cli.main(["check", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    assert not list(tmp_path.iterdir()), "pieces were left behind"


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
    with open_log_writer(tmp_path / "log.parquet", {}) as writer:
        writer.write(EventLog.from_columns(columns, rows))
    place = tmp_path / "pieces"
    place.mkdir()
    with opened(tmp_path / "log.parquet", to_judge=True) as log:
        told, into = costs.disk_for(log), Splitter(Workplace(place), 3, "log")
        splitter.split(log, into, rows, lambda one: one, print)
    taken = sum(path.stat().st_size for path in place.iterdir())
    assert told / 3 < taken <= told


def test_a_disk_that_fills_up_leaves_the_log_as_it_was(check, log, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = log.read_bytes()
    monkeypatch.setattr(splitter.Splitter, "_share_out", full)
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


def test_a_piece_that_does_not_fit_is_split_again(check, log, monkeypatch):
    needed = splitter.pieces_needed
    monkeypatch.setattr(splitter, "pieces_needed", lambda *a, **k: min(3, needed(*a, **k)))
    _, whole, _ = check(log, "--json", "--memory", "10GB")
    code, parted, _ = check(log, "--json", "--memory", "184MB")
    assert (code, json.loads(parted)) == (1, json.loads(whole))


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """Files of 260,000 requests, 100,000 of them of one client; asked for with so many of them extra."""

    def written(extra=0, pause=0):
        rows, own = 260_000, 100_000
        sent = array("q", (S + row * MS + pause * (row >= 50_000) for row in range(rows)))
        for row in range(50_000, 50_000 + extra):
            sent[row] = sent[49_999] + row - 49_999
        numbers = [row if row < own else own + row % 1_000 for row in range(rows)]
        codes = array("i", [0 if number < own else number - own + 1 for number in numbers])
        columns = {
            "key": (codes, [b"busy", *(b"%d" % n for n in range(1_000))]),
            "sent_ns": sent,
            "received_ns": array("q", [one + MS // 2 for one in sent]),
            "status": array("q", [200]) * rows,
            "sequence": array("q", range(rows)),
            "outcome": (array("i", [0]) * rows, [ADMITTED]),
        }
        path = tmp_path_factory.mktemp("busy") / "busy.parquet"
        with open_log_writer(path, {"fresh_keys": True}) as writer:
            writer.write(EventLog.from_columns(columns, rows, {"fresh_keys": True}))
        return path

    return written


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
    path = tmp_path_factory.mktemp("twice") / "twice.parquet"
    with open_log_writer(path, rows.metadata) as writer:
        writer.write(rows)
    code, _, err = check(path, "--policy", "1 per 1s", *MEMORY)
    assert code == 65
    assert "sequence 99 of run 0 is there a second time" in err


def test_a_request_that_is_there_twice_is_found_in_its_piece(check, log, tmp_path_factory):
    rows = read_log(log)
    rows.append(rows[1_234])
    path = tmp_path_factory.mktemp("twice") / "twice.parquet"
    with open_log_writer(path, rows.metadata) as writer:
        writer.write(rows)
    code, _, err = check(path, *MEMORY)
    assert code == 65
    assert "sequence 1234 of run 0 is there a second time" in err


def test_a_size_that_is_none_is_refused(check, log):
    code, _, err = check(log, "--memory", "much")
    assert code == 64
    assert "a size, such as 500MB or 4GiB" in err


@pytest.mark.parametrize("option", ["--by-key", "--report=page.html"])
def test_what_takes_the_whole_log_is_refused_in_pieces(check, log, option):
    code, _, err = check(log, option, *MEMORY)
    assert code == 64
    assert f"{option.partition('=')[0]} with a log that does not fit in memory" in err


def test_what_takes_the_whole_log_is_refused_of_pieces_that_were_left_too(check, log, tmp_path):
    killed_meanwhile(log, tmp_path)
    code, _, err = check(log, "--by-key", *MEMORY)
    assert (code, "--by-key with a log that does not fit in memory" in err) == (64, True)
    code, _, err = check(log, "--json", *MEMORY)
    assert (code, "it goes on there" in err) == (1, True), "they are still there"


def rows_from(first_ns, numbers):
    rows = EventLog({})
    for number in numbers:
        sent = first_ns + number % 1_000 * MS
        told = {"status": 200, "outcome": ADMITTED, "sequence": number}
        rows.append(Event(key=b"a", sent_ns=sent, received_ns=sent + MS, **told))
    return rows


def test_readings_of_two_clocks_are_refused_where_no_part_of_the_log_has_both(tmp_path):
    parts = Splitter(Workplace(tmp_path), 2, "log")
    parts.add(rows_from(S, range(1, 9)))
    with pytest.raises(LogError, match="53 years apart: readings of two clocks"):
        parts.add(rows_from(1_700_000_000 * S, range(9, 17)))


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
    path, rows = tmp_path / "log.parquet", EventLog({})
    for at, number in enumerate(numbers):
        sent, key = S + at * MS, b"%d" % at
        told = {"status": 200, "outcome": ADMITTED, "sequence": number}
        rows.append(Event(key=key, sent_ns=sent, received_ns=sent + MS, **told))
    with open_log_writer(path, {}) as writer:
        writer.write(rows)
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


def test_several_runs_are_not_judged_in_pieces(check, log, tmp_path_factory):
    rows = read_log(log)
    rows.append(Event(run=1, key=b"x", sent_ns=S, received_ns=2 * S, status=200, outcome=ADMITTED))
    path = tmp_path_factory.mktemp("runs") / "runs.parquet"
    with open_log_writer(path, rows.metadata) as writer:
        writer.write(rows)
    code, _, err = check(path, *MEMORY)
    assert code == 65
    assert "has several runs" in err


KILLED = """
import os, signal, sys
from rateproof import cli, linux
from rateproof.checking import command as checking
checking.judge = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
cli.main(["check", *sys.argv[1:]])
"""


def test_a_check_that_is_killed_goes_on_with_the_pieces_it_had(check, log, tmp_path):
    words = [sys.executable, "-c", KILLED, str(log), *MEMORY]
    killed = subprocess.run(words, check=False, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    pieces = sorted(left.glob("*.parquet"))
    before = [(piece, piece.stat().st_mtime_ns) for piece in pieces]
    seen = []

    def judged(*given, **named):
        seen.extend((piece, piece.stat().st_mtime_ns) for piece in pieces)
        return judge(*given, **named)

    less = splitter._left(Workplace(left), 183_000_000, print)
    assert less is None, "a piece would not fit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "judge", judged)
        code, out, err = check(log, "--json", *MEMORY)
    assert seen == before, "they were split again"
    assert "200,406 requests are in 5 pieces" in err
    assert "it goes on there" in err
    assert (code, out) == check(log, "--json", "--memory", "10GB")[:2]


KILLED_MEANWHILE = """
import os, signal, sys
from rateproof import cli
from rateproof.prove import pieces
survey, seen = pieces.survey_piece, []
def killed_at_the_third(*given, **named):
    seen.append(given)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return survey(*given, **named)
pieces.survey_piece = killed_at_the_third
cli.main(["check", *sys.argv[1:]])
"""


def killed_meanwhile(log, folder):
    words = [sys.executable, "-c", KILLED_MEANWHILE, str(log), *MEMORY]
    killed = subprocess.run(words, check=False, env=os.environ | {"TMPDIR": str(folder)})
    assert killed.returncode == -signal.SIGKILL


@pytest.fixture
def surveyed(monkeypatch):
    """The numbers of the pieces that are judged in this process."""
    survey, numbers = survey_piece, []

    def noted(pieces, number, **named):
        numbers.append(number)
        return survey(pieces, number, **named)

    monkeypatch.setattr(surveying, "survey_piece", noted)
    return numbers


@pytest.mark.parametrize("kind", quick_first(["log", "lines"]))
def test_a_piece_that_was_judged_before_the_kill_is_not_judged_again(
    check, kind, tmp_path, surveyed, request, monkeypatch
):
    path = request.getfixturevalue(kind)
    killed_meanwhile(path, tmp_path)
    progress, totals = pieces_module.Progress, []
    monkeypatch.setattr(
        pieces_module, "Progress", lambda *of: totals.append(of[:2]) or progress(*of)
    )
    code, out, err = check(path, "--json", *MEMORY)
    assert surveyed == [2, 3, 4]
    assert "2 of 5 pieces were judged by then\n" in err
    (total,) = (rows for what, rows in totals if what == "judging")
    assert 100_000 < total < 150_000, "the time that is left is that of three pieces"
    assert (code, out) == check(path, "--json", "--memory", "10GB")[:2]
    assert ("already, from a check that was killed\n" in err) == (kind == "lines")


def test_results_of_pieces_that_are_no_longer_there_are_not_used(check, log, tmp_path, surveyed):
    killed_meanwhile(log, tmp_path)
    found = check(log, "--json", "--memory", "184MB")
    assert "it goes on there" not in found[1], "the pieces are others in less memory"
    assert surveyed == list(range(len(surveyed)))
    assert found[:2] == check(log, "--json", "--memory", "10GB")[:2]


def test_a_result_of_another_question_or_a_damaged_one_is_not_used(check, log, tmp_path, surveyed):
    killed_meanwhile(log, tmp_path)
    (left,) = tmp_path.iterdir()
    first, _ = sorted(left.glob("*-[01]"), key=lambda path: path.name[-1])
    stored = first.read_bytes()
    first.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    kept = shutil.copytree(left, tmp_path.with_name(f"{tmp_path.name}-kept") / left.name)
    check(log, *MEMORY)
    assert surveyed == [0, 2, 3, 4]
    surveyed.clear()
    shutil.copytree(kept, left, copy_function=shutil.copy2)
    assert "judged by then" not in check(log, "--policy", "6 per 5s", *MEMORY)[2]
    assert surveyed == [0, 1, 2, 3, 4]


def test_what_is_noted_holds_while_its_files_are_as_they_were(tmp_path):
    place, piece = Workplace(tmp_path), tmp_path / "2.parquet"
    assert place.noted() is None
    piece.write_bytes(b"rows")
    place.note([piece], {"rows": 1})
    assert place.noted() == {"rows": 1}
    piece.write_bytes(b"row")
    assert place.noted() is None
    piece.unlink()
    assert place.noted() is None


def test_a_file_that_was_made_before_the_kill_is_not_made_again(tmp_path):
    place, made = Workplace(tmp_path), []

    def make(path):
        made.append(path)
        path.write_bytes(b"rows")

    assert [place.made(make), place.made(make)] == [tmp_path / "log.parquet"] * 2
    assert len(made) == 1
    made[0].write_bytes(b"row")
    place.made(make)
    assert len(made) == 2, "it was not as it had been"


class Planted:
    def __reduce__(self):
        return print, ("planted",)


def test_what_is_kept_runs_nothing_that_somebody_planted_there(tmp_path, capsys):
    place = Workplace(tmp_path)
    for number, result in enumerate((Planted(), [Planted()], Workplace, identity_of)):
        place.keep(str(number), result)
        assert place.kept(str(number)) is None
    assert capsys.readouterr().out == ""
    place.keep("survey", [Counts(keys=1), b"key", (1, None)])
    assert place.kept("survey") == [Counts(keys=1), b"key", (1, None)]


def test_another_log_setting_or_program_is_another_work(tmp_path, monkeypatch):
    path = tmp_path / "log.parquet"
    path.write_bytes(b"rows")
    first = identity_of(path, "403")
    assert identity_of(path, "403") == first
    assert identity_of(path, "429") != first
    monkeypatch.setattr(workplaces, "_code", lambda: ["another"])
    assert identity_of(path, "403") != first
    monkeypatch.undo()
    assert identity_of(path, "403") == first
    os.utime(path, (1, 1))
    assert identity_of(path, "403") != first


def test_a_folder_that_another_process_has_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with workplace("a" * 64) as one:
        with workplace("a" * 64) as other:
            assert one.folder != other.folder
        assert one.folder.exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_others_may_write_to_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted = tmp_path / f"rateproof-{'a' * 16}"
    planted.mkdir()
    planted.chmod(0o777)
    with workplace("a" * 64) as place:
        assert place.folder != planted
    assert list(tmp_path.iterdir()) == [planted]


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


def test_several_logs_in_parquet_are_refused_by_name(check, log):
    code, out, err = check(log, log)
    assert (code, out) == (64, "")
    assert f"{log} is one of 2 logs" in err
    assert "check each log by itself" in err


@pytest.fixture(scope="module")
def lines(log, tmp_path_factory):
    """The same log as JSON lines, what is known of the run between and after its events."""
    rows = read_log(log)
    path = tmp_path_factory.mktemp("lines") / "big.jsonl"
    with open_log_writer(path, {"fresh_keys": True}) as writer:
        writer.write(rows.take(range(100_000)))
        writer.note({"policy": "5 per 5s"})
        writer.write(rows.take(range(100_000, len(rows))))
        writer.note({"valid": True})
    return path


def test_json_lines_obey_memory_and_have_the_same_verdict(check, log, lines):
    code, out, err = check(lines, "--json", "--memory", "10GB")
    assert (code, "as it is read" in err) == (1, False)
    again, parted, err = check(lines, "--json", *MEMORY)
    assert (again, json.loads(parted)) == (code, json.loads(out))
    assert "the log does not fit in 190 MB: it goes to" in err
    assert "200,406 requests do not fit in 190 MB: 5 pieces by key" in err
    assert check(log, "--json", *MEMORY)[:2] == (code, out)


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


HOLDER = """
import os, signal
from rateproof.folders import scratch
with scratch() as folder:
    (folder / "rows").write_bytes(b"rows")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_of_a_process_that_was_killed_goes_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch() as used:
        subprocess.run(
            [sys.executable, "-c", HOLDER], check=False, env=os.environ | {"TMPDIR": str(tmp_path)}
        )
        (left,) = set(tmp_path.iterdir()) - {used}
        assert (left / "rows").exists()
        with scratch() as own:
            assert set(tmp_path.iterdir()) == {used, own}
    assert not list(tmp_path.iterdir())
