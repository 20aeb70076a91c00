"""The tester's files: a log is whole or not there, and every report ends."""

from types import SimpleNamespace

import pytest

from rateproof.errors import CannotWrite, Unreachable
from rateproof.events import Event, EventLog, read_log
from rateproof.hunt import session
from rateproof.hunt.report.totals import Totals


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


class Recorder:
    """A reporter that remembers how it ended, or cannot end."""

    def __init__(self, error=None):
        self.error, self.ended = error, 0

    def begin(self, _subject, totals):
        self.totals = totals

    def end(self):
        self.ended += 1
        if self.error is not None:
            raise self.error


def test_every_report_ends_whatever_breaks_and_knows_why_the_test_did():
    full = CannotWrite("cannot write: no space left")
    reporters, totals = [Recorder(), Recorder(full), Recorder()], Totals()
    with pytest.raises(CannotWrite), session._reported(reporters, None, totals):
        raise Unreachable("the server is gone", "start it")
    assert [reporter.ended for reporter in reporters] == [1, 1, 1]
    assert totals.failed == "the server is gone (start it)"
    assert "failed    the server is gone" in totals.describe()


def test_a_test_that_ends_in_order_has_not_failed():
    totals = Totals()
    with session._reported([], None, totals):
        pass
    assert totals.failed is None
    assert "failed" not in totals.describe()
