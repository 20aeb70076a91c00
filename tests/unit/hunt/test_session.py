"""The tester's files: a log is whole or not there, and every report ends."""

import threading
from types import SimpleNamespace

import pytest

from rateproof.errors import CannotWrite, Unreachable
from rateproof.events import Event, EventLog, read_log
from rateproof.hunt import iterations, session
from rateproof.hunt import settings as hunt_settings
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.rig import Rig
from rateproof.hunt.signals import Signals
from rateproof.policy import Policy
from rateproof.simulate.target import Target
from tests.unit.hunt import simulated


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


class Counting(simulated.Unlimited):
    """It counts what it is asked."""

    asked = 0

    def passes(self, *_):
        self.asked += 1
        return True


def test_the_totals_count_what_the_pursuit_of_a_finding_sends(tmp_path, monkeypatch):
    monkeypatch.setattr(Target, "accepts", lambda _: True)
    settings = hunt_settings.TestSettings.told(
        url="http://127.0.0.1:1", policy=Policy.parse("5 per 5s"), seed=1, iterations=1,
        out=tmp_path, shrink_time_ns=10**9, worst_time_ns=60 * 10**9, fail_fast=True,
    )  # fmt: skip
    limiter, totals, stop = Counting(), Totals(), threading.Event()
    hunt = iterations.Hunt(Rig(settings, simulated.transport(limiter), stop))
    session._iterate_until_done(hunt, Signals(stop), [], totals)
    assert totals.worst
    assert limiter.asked == totals.sent > totals.requests + totals.pursuing
    assert totals.pursuing > 1_000
