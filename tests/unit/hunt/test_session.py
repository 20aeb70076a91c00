"""The tester's files: a log is whole or not there."""

from types import SimpleNamespace

import pytest

from rateproof.errors import CannotWrite
from rateproof.events import Event, EventLog, read_log
from rateproof.hunt import session


@pytest.fixture
def iteration():
    log = EventLog({"seed": 1})
    event = Event(key=b"a", sent_ns=1, received_ns=2, status=200, outcome="admitted")
    log.extend([event] * 5_000)
    return SimpleNamespace(log=log)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_log_that_does_not_fit_on_the_disk_is_not_left_behind(tmp_path, iteration, suffix):
    path = tmp_path / f"log.{suffix}"
    path.symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match="cannot write the log"):
        session._write_log(path, iteration)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_log_that_fits_is_whole(tmp_path, iteration, suffix):
    path = tmp_path / f"log.{suffix}"
    session._write_log(path, iteration)
    assert len(read_log(path)) == 5_000
