"""Signals while a test goes on: what was concluded stands, whenever they come."""

import signal
import threading

import pytest

from rateproof.hunt import session
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.signals import Signals


@pytest.fixture
def signals():
    signals = Signals(threading.Event())
    with signals.handled():
        yield signals


def totals_of(requests):
    totals = Totals()
    totals.iterations, totals.requests = 1, requests
    return totals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_interrupts(signals, number):
    signal.raise_signal(number)
    assert signals.stop.is_set()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.usefixtures("signals")
def test_what_a_signal_says_does_not_stand_behind_what_is_under_way(capfd, monkeypatch):
    monkeypatch.setattr("os.isatty", lambda _: True)
    monkeypatch.setenv("TERM", "xterm")
    signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == "\r\x1b[Kstopping: requests in flight are awaited\n"


def test_a_second_signal_leaves_the_verdict_so_far(signals):
    totals = totals_of(requests=9)
    with session._reported([], None, totals), session._verdict_so_far(signals, totals):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("interrupted before")
    assert totals.failed is None
    signal.raise_signal(signal.SIGINT)  # the reports are written all the same


@pytest.mark.parametrize("times", [1, 2])
def test_before_any_request_there_is_no_verdict(signals, times):
    totals = totals_of(requests=0)
    ends = session._reported([], None, totals)
    with pytest.raises(KeyboardInterrupt), ends, session._verdict_so_far(signals, totals):
        list(map(signal.raise_signal, [signal.SIGINT] * times))
    assert totals.failed == "interrupted before there was a verdict"


def test_an_interrupt_that_is_not_of_a_handled_signal_goes_on(signals):
    with pytest.raises(KeyboardInterrupt), session._verdict_so_far(signals, totals_of(9)):
        raise KeyboardInterrupt


def test_an_iteration_is_kept_whole_or_not_at_all(signals):
    signals.stop.set()
    kept = []
    with pytest.raises(KeyboardInterrupt), signals.held():
        kept.extend(signal.raise_signal(signal.SIGINT) for _ in range(2))
    assert len(kept) == 2
