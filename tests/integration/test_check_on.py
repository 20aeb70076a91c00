"""`rateproof check --on`: the verdict of one machine, whoever does the work, and whoever dies meanwhile."""

import errno
import json
import os
import random
import shutil
import signal
import sys
import time
from array import array
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from upath import UPath

from rateproof import cli
from rateproof.checking import command as checking
from rateproof.errors import CannotWrite
from rateproof.events import (
    ADMITTED,
    REJECTED,
    EventLog,
    costs,
    judged,
    open_log_writer,
    shares,
    splitter,
)
from rateproof.events import (
    pieces as pieces_module,
)
from rateproof.events.parquet_reader import read_parquet
from rateproof.events.places import remove
from rateproof.events.workplace import Workplace
from rateproof.prove import ALL_CLAIMS, CLAIMS, judge
from rateproof.prove import pieces as surveys
from tests.property.test_pieces import whole_and_file
from tests.samples import quick_first, samples

MS = 1_000_000
S = 1_000 * MS
ROWS, CLIENTS = 201_000, 300
METADATA = {"fresh_keys": True, "policy": "5 per 5s", "seed": 7}
SPLIT, SURVEY = shares.split_turn, surveys.survey_piece


def write(path, first=0, until=ROWS, busy=0, **metadata):
    """Write some rows of a log in which two clients get more than they were promised; or one has so many."""
    rows = range(first, until)
    sent = array("q", [S + row * 10 * MS for row in rows])
    codes = array("i", [row % CLIENTS for row in rows])
    for row in (*range(200, 207), *range(70_000, 70_007), *range(130_000, 130_007)):
        if first <= row < until:
            codes[row - first] = row % 100 // 3 + 5
    codes[:busy] = array("i", [0]) * busy
    outcome = array("i", [row % 50_000 == 49_999 for row in rows])
    columns = {
        "key": (codes, [b"client %d" % client for client in range(CLIENTS)]),
        "sent_ns": sent,
        "received_ns": array("q", [one + MS // 2 for one in sent]),
        "status": array("q", [429 if denied else 200 for denied in outcome]),
        "sequence": array("q", rows),
        "outcome": (outcome, [ADMITTED, REJECTED]),
    }
    told = METADATA | metadata
    with open_log_writer(path, told) as writer:
        writer.write(EventLog.from_columns(columns, len(rows), told))
    if until - first > 10_000:  # in more than two row groups
        pq.write_table(pq.read_table(path), path, row_group_size=40_000)
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write(tmp_path_factory.mktemp("log") / "log.parquet")


@pytest.fixture
def check(on_two, capsys):
    """Run the command on the cluster of this file."""
    on_two(checking)

    def run(*words, on="dask"):
        code = cli.main(["check", *map(str, words), *(() if on is None else ("--on", on))])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_verdict_is_that_of_one_machine(check, log):
    code, whole, _ = check(log, "--json", on=None)
    again, parted, err = check(log, "--json", "--memory", "1GB")
    assert (again, json.loads(parted)) == (code, json.loads(whole))
    assert json.loads(whole)["outcome"] == "violated"
    assert f"{ROWS:,} requests go to 2 workers: 2 pieces by key" in err
    again, parted, err = check(log, "--json", "--memory", "183MB")
    assert (again, json.loads(parted)) == (code, json.loads(whole))
    assert "15 pieces by key" in err


@pytest.mark.parametrize(
    ("policy", "claim", "causes"),
    quick_first(
        [
            ("100 per 1s", "over-admission", ["too-coarse"]),
            ("99 per 1s", "limit", []),
            ("fixed-window 101 per 1s", "over-admission", ["too-large", "never-stressed"]),
        ]
    ),
)
def test_a_client_that_does_not_fit_a_task_is_judged_as_on_one_machine(
    check, tmp_path, policy, claim, causes
):
    """In stretches of its time, by both workers."""
    path = write(tmp_path / "busy.parquet", busy=100_000)
    asked = path, "--json", "--memory", "190MB", "--policy", policy, "--claim", claim
    code, alone, err = check(*asked, on=None)
    assert "5 pieces by key" in err
    assert json.loads(alone)["causes"] == causes
    assert (json.loads(alone)["outcome"] == "violated") == (not causes)
    again, parted, err = check(*asked)
    assert "requests go to 2 workers" in err
    assert (again, json.loads(parted)) == (code, json.loads(alone))


def killed_once(path, work, *given, **named):
    """Do something, but for the first time: then end this process."""
    mark = Path(path).with_suffix(".killed")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(*given, **named)


def split_killed(asked, *given):
    return killed_once(asked.paths[0], SPLIT, asked, *given)


def survey_killed(pieces, number, question):
    return killed_once(pieces.files[number][0], SURVEY, pieces, number, question)


@pytest.mark.slow
@pytest.mark.parametrize("work", ["split", "survey"])
def test_a_worker_that_is_killed_changes_nothing_but_the_time(
    check, log, tmp_path, monkeypatch, work
):
    path = shutil.copy(log, tmp_path / "log.parquet")
    if work == "split":
        monkeypatch.setattr(shares, "split_turn", split_killed)
    else:
        monkeypatch.setattr(surveys, "survey_piece", survey_killed)
    code, _, _ = check(path, "--json")
    assert work != "split" or (tmp_path / "log.killed").exists()
    monkeypatch.undo()
    assert cli.main(["check", str(path), "--json"]) == code


CHECKS = [
    (shares, "refuse_impossible", shares.refuse_impossible),
    (shares, "refuse_repeated_apart", shares.refuse_repeated_apart),
    (pieces_module, "refuse_equal_rows", pieces_module.refuse_equal_rows),
]


def patched_for_times_at_random():
    """Take logs that are impossible."""
    for module, name, _ in CHECKS:
        setattr(module, name, lambda *_, **__: None)


def unpatched():
    for module, name, check in CHECKS:
        setattr(module, name, check)


@pytest.mark.slow
def test_pieces_on_workers_matter_to_no_field_of_a_verdict(two, tmp_path, monkeypatch):
    monkeypatch.setattr(judged, "LONG", 0)
    monkeypatch.setattr(shares, "LONG", 0)
    seen = set()
    two.client.run(patched_for_times_at_random)
    patched_for_times_at_random()
    try:
        for seed in range(samples(10)):
            rng = random.Random(seed)
            policy, path = whole_and_file(rng, tmp_path, seed)
            options = {
                "claims": rng.choice((CLAIMS, ALL_CLAIMS)),
                "tolerance_ppm": rng.choice((500, 0, 100_000)),
                "fresh_keys": rng.random() < 0.3,
            }
            whole = judge(read_parquet(path), policy, **options)
            most = max(Counter(event.key for event in read_parquet(path)).values())
            memory = costs.BASE + costs.BYTES_IN_TURN * (most + rng.choice((0, 10, 1_000)))
            same = (lambda rows: rows), same_rows
            with shares.pieces_on(two, [path], memory, same, print, name="log") as pieces:
                pieces.leave_out(len(pieces), "")
                verdict = judge(pieces, policy, **options)
                seen |= {whole.outcome, len(pieces.files) > 1}
            assert verdict.to_json() == whole.to_json(), seed
            assert verdict == whole
    finally:
        two.client.run(unpatched)
        unpatched()
    assert {"violated", True, False} <= seen


def same_rows(rows):
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["removed", "damaged", "cut"])
def test_a_piece_that_is_harmed_meanwhile_is_named(check, log, monkeypatch, harm):
    split = shares._split

    def harmed(*given):
        files, facts = split(*given)
        path = files[1][-1]
        content = path.read_bytes()
        if harm == "removed":
            path.unlink()
        else:
            middle = len(content) // 2
            path.write_bytes(
                content[:middle] + (b"" if harm == "cut" else bytes(64) + content[middle + 64 :])
            )
        return files, facts

    monkeypatch.setattr(shares, "_split", harmed)
    code, out, err = check(log, "--memory", "1GB")
    assert (code, out) == (65, ""), err
    assert "piece 1 of 2 that the log was split into was damaged or removed meanwhile" in err


def split_removed(asked, *given):
    Path(asked.paths[0]).unlink(missing_ok=True)
    return SPLIT(asked, *given)


def split_on_a_full_disk(asked, *given):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitter.Splitter, "_writer", full)
        return SPLIT(asked, *given)


@pytest.mark.slow
def test_a_log_that_goes_meanwhile_and_a_full_disk_are_told(check, two, log, tmp_path, monkeypatch):
    monkeypatch.setattr(shares, "split_turn", split_removed)
    path = shutil.copy(log, tmp_path / "log.parquet")
    code, out, err = check(path)
    assert (code, out) == (65, "")
    assert f"cannot read {path}: No such file" in err
    monkeypatch.setattr(shares, "split_turn", split_on_a_full_disk)
    code, out, err = check(log)
    assert (code, out) == (73, "")
    assert "No space left on device" in err
    free = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(costs.shutil, "disk_usage", lambda _: free)
    code, out, err = check(log)
    assert (code, out) == (73, "")
    assert "has room for 1 MB" in err
    assert "TMPDIR names another disk" in err
    with monkeypatch.context() as patch:
        patch.setattr(two, "folder", None)
        code, out, err = check(log)
    assert (code, out) == (73, "")
    assert "TMPDIR" not in err
    assert "go beside it" in err


def test_a_task_that_outlives_whoever_asked_for_it_leaves_nothing_among_objects(log):
    """A store of objects has no folders: what is written late would make the removed one anew."""
    UPath("memory://logs").mkdir(exist_ok=True)
    elsewhere = SimpleNamespace(folder=None)
    with shares.folder_on(elsewhere, UPath("memory://logs/log.parquet")) as folder:
        asked = shares.Asked([log], Workplace(folder), 2, 1 << 30, lambda rows: rows, "log")
        pieces, _ = SPLIT(asked, range(1), 0)
        assert all(path.exists() for path, _ in pieces.values())
    assert folder.fs.find("/logs") == []
    with pytest.raises(CannotWrite, match="was removed meanwhile"):
        SPLIT(asked, range(1), 0)
    assert folder.fs.find("/logs") == []


@pytest.mark.slow
def test_files_of_one_run_are_one_log_and_others_are_not(check, tmp_path):
    first = write(tmp_path / "first.parquet", until=120_000)
    last = write(tmp_path / "last.parquet", 120_000)
    whole = write(tmp_path / "whole.parquet")
    _, alone, _ = check(whole, "--json", on=None)
    assert json.loads(check(first, last, "--json")[1]) == json.loads(alone)
    other = write(tmp_path / "other.parquet", 120_000, policy="6 per 5s")
    code, out, err = check(first, other)
    assert (code, out) == (65, "")
    assert f"{other}, metadata: another policy than in the files before" in err
    other = write(tmp_path / "other.parquet", 120_000, seed=8)
    assert f"{other}, metadata: another seed than" in check(first, other)[2]
    assert f"{first} is there a second time" in check(first, last, first)[2]
    copy = shutil.copy(last, tmp_path / "copy.parquet")
    code, _, err = check(first, last, copy)
    assert code == 65
    assert "of run 0 is there a second time" in err
    short = write(tmp_path / "short.parquet", until=20_000)
    rest = write(tmp_path / "rest.parquet", 20_000, 30_000)
    both = write(tmp_path / "both.parquet", until=30_000)
    assert check(short, rest, "--json")[:2] == check(both, "--json", on=None)[:2]


def test_what_cannot_be_done_by_workers_is_refused_by_name(check, log, tmp_path, monkeypatch):
    lines = tmp_path / "log.jsonl"
    lines.write_text('{"key": "a", "sent_ns": 1, "received_ns": 2000000, "status": 200}\n')
    code, _, err = check(lines)
    assert (code, f"--on dask with {lines}" in err) == (64, True)
    assert "--by-key with --on" in check(log, "--by-key")[2]
    assert "--on with --follow" in check("access.log", "--follow")[2]
    code, _, err = check(log, on="10.0.0.1")
    assert code == 64
    assert "'10.0.0.1' is no cluster" in err
    assert "cannot read" in check(tmp_path / "none.parquet")[2]
    code, _, err = check("nowhere://bucket/log.parquet")
    assert (code, "nowhere://bucket/log.parquet" in err) == (64, True)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    code, _, err = check("s3://bucket/log.parquet")
    assert (code, "s3fs" in err) == (64, True)


def waiting(ended):
    while not Path(ended).exists():
        time.sleep(0.01)


def test_a_check_that_is_told_to_end_leaves_nothing_beside_the_log(spawn, two, log, tmp_path):
    path, ended = shutil.copy(log, tmp_path / "log.parquet"), tmp_path / "ended"
    work = [two.submit(waiting, str(ended), worker=worker) for worker in two.workers()]
    try:
        at = two.client.scheduler.address
        process = spawn("-m", "rateproof", "check", path, "--on", at)
        said = process.stderr.readline()
        assert "requests go to 2 workers" in said, said
        assert len(list(tmp_path.glob("log.parquet.rateproof-*"))) == 1
        process.terminate()
        _, err = process.communicate(timeout=280)
    finally:
        ended.touch()
        list(two.results(work))
    assert (process.returncode, err) == (130, "rateproof: interrupted\n")
    assert sorted(tmp_path.iterdir()) == [ended, path]


def test_a_folder_in_which_somebody_still_writes_goes_too(tmp_path, monkeypatch):
    folder, rmdir, late = tmp_path / "folder", os.rmdir, []
    folder.mkdir()

    def written_to(*given, **named):
        if not late:
            late.append(folder / "late")
            late[0].touch()
        rmdir(*given, **named)

    monkeypatch.setattr(os, "rmdir", written_to)
    remove(folder)
    assert late
    assert not folder.exists()


@pytest.mark.slow
def test_an_interrupt_ends_all_workers_in_silence(spawn, log):
    process = spawn("-m", "rateproof", "check", log, "--on", "dask")
    said = process.stderr.readline()
    assert "requests go to" in said, said
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=280)
    assert process.returncode in {1, 130}  # it may have been done
    assert "Traceback" not in rest
