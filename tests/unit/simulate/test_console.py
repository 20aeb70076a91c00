"""Claims about the console: questions end cleanly, and requests to stop are notes."""

import io
import os
import signal
import sys
import threading
import time

import pytest

from rateproof.clock import ManualClock
from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog
from rateproof.simulate.client.console import Attention, ask_clients
from rateproof.simulate.client.figures import Figures
from rateproof.simulate.consent import confirm, has_terminal
from rateproof.simulate.control import Control
from rateproof.simulate.summary import Summary


class Interrupted(io.StringIO):
    def readline(self, _size: int | None = -1, /) -> str:
        raise KeyboardInterrupt


def test_the_question_is_asked_again_until_the_answer_is_a_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("x\n\x1b[2J\n0\n12\n"))
    assert ask_clients() == 12
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("How many clients? ") == 4
    assert err.count("is not a whole number from 1 to 1000000\n") == 3
    assert "\x1b" not in err  # what was typed does not act on the terminal


@pytest.mark.parametrize(
    ("stdin", "raised"), [(io.StringIO(""), InvalidArgument), (Interrupted(), KeyboardInterrupt)]
)
def test_the_end_of_input_and_ctrl_c_are_no_answer(
    monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO, raised: type[BaseException]
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(raised):
        ask_clients()
    assert confirm("Sure?") is False


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("y", True), (" YES \n", True), ("n", False), ("\n", False), ("yeah", False)],
)
def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, answer: str, expected: object) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert confirm("Sure?") is expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_once_and_for_all_and_its_handler_put_back(number: int) -> None:
    before = signal.getsignal(number)
    with Attention() as attention:
        assert not attention.wait(0)
        for _ in range(3):
            os.kill(os.getpid(), number)
        assert attention.wait(60)
        assert attention.wait(0)
        assert attention.stopping
    assert signal.getsignal(number) is before


def test_a_signal_is_not_lost_in_a_flood_of_wakings() -> None:
    with Attention() as attention:
        for _ in range(100_000):
            attention.wake()
        os.kill(os.getpid(), signal.SIGTERM)
        assert attention.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_asks_again_gives_up_what_is_in_flight_and_one_signal_sent_twice_does_not(
    number: int,
) -> None:
    clock, control = ManualClock(), Control()
    with Attention(now_ns=clock.now_ns) as attention:
        attention.obey(control)
        assert not control.stopping
        os.kill(os.getpid(), signal.SIGINT)
        assert attention.wait(60)
        clock.advance(499_999_999)
        os.kill(os.getpid(), number)
        attention.wait(60)
        attention.obey(control)
        assert (control.stopping, control.abandoned) == (True, False)
        clock.advance(1)
        os.kill(os.getpid(), number)
        attention.wait(60)
        attention.obey(control)
        assert control.abandoned


def test_without_stdin_there_is_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert not has_terminal()
    with Attention() as attention:
        assert not attention.has_keys


def test_waking_is_not_stopping() -> None:
    with Attention() as attention:
        threading.Timer(0.05, attention.wake).start()
        before = time.monotonic()
        assert not attention.wait(120)
        assert time.monotonic() - before < 60


def test_handlers_are_put_back_when_the_run_fails() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), Attention():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def enter() -> None:
        with Attention():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_live_figures_count_what_was_observed() -> None:
    figures = Figures(3, Summary())
    assert "3 clients 0 s: 0 sent 0/s, 0 admitted" in figures.text()
    table = EventLog()
    table.extend(
        Event(
            key=b"a",
            sent_ns=0,
            received_ns=1,
            done_ns=(number + 1) * 1_000_000,
            status=200 if number < 7 else 503,
            outcome="admitted" if number < 7 else "rejected",
            error="oversized" if number == 0 else None,
        )
        for number in range(10)
    )
    figures.observe(table)
    text = figures.text()
    assert ": 10 sent " in text
    assert text.endswith("7 admitted 3 rejected 1 errors, p50 5.0 ms")
