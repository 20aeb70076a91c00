"""A full disk ends a log and does not spoil it: what was written is whole and readable."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rateproof.errors import CannotWrite, LogError
from rateproof.events import Event, EventLog, open_log_writer, read_log
from rateproof.events.reserved import ReservedFile
from tests.samples import quick_first

WRITE = textwrap.dedent("""
    import random, resource, sys
    from array import array
    from rateproof.errors import CannotWrite
    from rateproof.events import EventLog, open_log_writer

    path, limit, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    rng, told, row = random.Random(1), 0, 0
    keys = [b"client-%d" % number for number in range(100)]
    try:
        with open_log_writer(path, {"seed": 1}) as writer:
            while row < 5_000_000:
                sent = array("q", sorted(rng.getrandbits(60) for _ in range(batch)))
                status = array("q", [200]) * batch
                columns = {
                    "key": (array("i", rng.choices(range(100), k=batch)), keys),
                    "sent_ns": sent,
                    "received_ns": sent,
                    "status": status,
                    "outcome": (array("i", [0]) * batch, ["admitted"]),
                    "sequence": array("q", range(row, row + batch)),
                }
                writer.write(EventLog.from_columns(columns, batch))
                row += batch
    except CannotWrite as error:
        print(error, file=sys.stderr)
        sys.exit(73)
""")


def write_until_full(path: str, *, limit: int = 0, batch: int = 5_000, stdout: int | None = None):
    command = [sys.executable, "-c", WRITE, path, str(limit), str(batch)]
    return subprocess.run(command, stderr=subprocess.PIPE, stdout=stdout, text=True, check=False)


def rows_of(path: Path, *, complete: bool = False) -> list[int]:
    log = read_log(path)
    assert log.metadata == {"seed": 1, "complete": complete}
    return log.column("sequence")


@pytest.mark.parametrize(
    ("suffix", "limit"), quick_first([("jsonl", 3 << 20), ("parquet", 6 << 20)])
)
def test_a_file_that_may_not_grow_keeps_what_was_written(tmp_path, suffix, limit):
    path = tmp_path / f"run.{suffix}"
    ended = write_until_full(str(path), limit=limit)
    assert ended.returncode == 73
    assert ended.stderr == f"cannot write the log {path}: File too large\n"
    rows = rows_of(path)
    assert rows == list(range(len(rows)))
    assert path.stat().st_size > limit / 2, "most of the disk was of use"


@pytest.mark.parametrize(("suffix", "size"), quick_first([("parquet", "6m"), ("jsonl", "3m")]))
def test_a_disk_without_space_keeps_what_was_written(tmp_path, suffix, size):
    """A small disk that only the writing process sees, and that goes away with it."""
    (tmp_path / "disk").mkdir()
    mount = f'mount -t tmpfs -o size={size} tmpfs "$1"'
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    unshare = ["unshare", *as_root, "--mount", "sh", "-c"]
    script = f'{mount} && "$2" -c "$3" "$1/run" 0 5000; status=$?; cp "$1/run" "$4"; exit $status'
    path = tmp_path / f"run.{suffix}"
    script = script.replace("/run", f"/run.{suffix}")
    arguments = ["sh", str(tmp_path / "disk"), sys.executable, WRITE, str(path)]
    ended = subprocess.run(
        [*unshare, script, *arguments], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (ended.returncode, "No space left on device" in ended.stderr) == (73, True)
    rows = rows_of(path)
    assert rows == list(range(len(rows)))
    assert len(rows) > 10_000


def test_a_file_on_standard_output_ends_with_a_whole_line(tmp_path):
    path = tmp_path / "run.jsonl"
    with path.open("wb") as file:
        ended = write_until_full("-", limit=1 << 20, stdout=file)
    assert ended.returncode == 73
    assert "cannot write the log standard output: File too large" in ended.stderr
    assert path.read_bytes().endswith(b"}\n")
    rows = rows_of(path)
    assert rows == list(range(len(rows)))


def test_a_log_that_never_gets_a_row_group_is_a_log_without_events(tmp_path):
    """Its footer still fits, so it is not mistaken for a broken file."""
    path = tmp_path / "run.parquet"
    assert write_until_full(str(path), limit=300_000, batch=300_000).returncode == 73
    with pytest.raises(LogError, match="has no events"):
        read_log(path)


def test_a_reader_that_leaves_ends_the_log():
    reading, writing = os.pipe()
    os.close(reading)
    ended = write_until_full("-", stdout=writing)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (
        73,
        "cannot write the log standard output: Broken pipe\n",
    )


def test_a_pipe_that_does_not_block_is_waited_for(tmp_path):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    script = WRITE.replace("5_000_000", "20_000")
    command = [sys.executable, "-c", script, "-", "0", "5000"]
    path = tmp_path / "run.jsonl"
    with subprocess.Popen(command, stdout=writing) as process, path.open("wb") as file:
        os.close(writing)
        while data := os.read(reading, 1 << 20):
            file.write(data)
        assert process.wait() == 0
    os.close(reading)
    assert rows_of(path, complete=True) == list(range(20_000))


def test_space_set_aside_is_given_back(tmp_path):
    path = tmp_path / "file"
    file = ReservedFile(path)
    file.reserve(1 << 20)
    assert path.stat().st_size == 1 << 20
    file.write(b"abc")
    file.reserve(1 << 20)
    file.close()
    assert path.read_bytes() == b"abc"


def test_a_device_is_written_without_promises():
    file = ReservedFile(Path("/dev/null"))
    file.reserve(1 << 40)
    file.write(b"abc")
    file.close()


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_what_only_the_run_could_tell_is_in_the_metadata(tmp_path, suffix):
    path = tmp_path / f"run.{suffix}"
    log = EventLog()
    log.append(Event(key=b"a", sent_ns=1, received_ns=2, status=200, outcome="admitted"))
    with open_log_writer(path, {"seed": 1, "valid": True}) as writer:
        writer.write(log)
        writer.note({"valid": False, "invalid_because": ["the disk was full"]})
    whole = read_log(path)
    assert list(whole) == list(log)
    noted = {"seed": 1, "valid": False, "invalid_because": ["the disk was full"]}
    assert whole.metadata == noted | {"complete": True}


def test_a_full_device_is_said_each_time(tmp_path):
    path = tmp_path / "run.parquet"
    path.symlink_to("/dev/full")
    log = EventLog()
    log.extend([Event(key=b"a", sent_ns=1, received_ns=2, status=200, outcome="admitted")])
    writer = open_log_writer(path, {})
    writer.write(log)
    with pytest.raises(CannotWrite, match="No space left on device"):
        writer.close()


def test_a_log_that_loses_its_last_events_when_closed_is_not_called_complete(tmp_path, monkeypatch):
    def full(_file, _length):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "run.parquet"
    event = Event(key=b"a", sent_ns=1, received_ns=2, status=200, outcome="admitted")
    log, last = EventLog(), EventLog()
    log.extend([event])
    for _ in range(18):
        log.extend(log)
    last.append(event)
    writer = open_log_writer(path, {"seed": 1})
    writer.write(log)
    monkeypatch.setattr(ReservedFile, "reserve", full)
    writer.write(last)
    writer.note({"complete": True})
    with pytest.raises(CannotWrite):
        writer.close()
    whole = read_log(path)
    assert len(whole) == len(log) == 1 << 18
    assert whole.metadata == {"seed": 1, "complete": False}
