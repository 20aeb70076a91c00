"""Claims about the live view in a real terminal, and about where the line takes its place."""

import signal
import termios
import textwrap
import time
from collections.abc import Callable

import pytest

from tests.integration.client_session import Terminal
from tests.samples import quick_first

BROKEN_VIEW = textwrap.dedent(
    """
    from rateproof.simulate.client.view import View
    def fail(self):
        raise ZeroDivisionError
    View._draw = fail
    """
)

SUMMARY = r"\x1b\[\?1049l.*clients   7\r\n"
"""The screen of before is back when the summary is printed."""


@pytest.mark.parametrize("leaving", quick_first(["x", "SIGINT", "\x03", "\x1b[A", "SIGTERM"], 2))
def test_the_view_ends_as_the_line_does_and_leaves_the_summary(
    serve: Callable[..., str], terminal: Callable[..., Terminal], leaving: str
) -> None:
    # Its end takes long enough for the view to tell of it.
    session = terminal(f"url={serve(1.5)!r}, clients=7, behaviour='saturate'", whole=True)
    session.expect(r"\x1b\[\?1049h")
    session.expect("any other key ends")
    time.sleep(0.3)
    if leaving.startswith("SIG"):
        session.process.send_signal(signal.Signals[leaving])
    else:
        session.type(leaving)
    session.expect("draining")
    match = session.expect(f"(?s){SUMMARY}")
    assert "Traceback" not in match.group()
    assert session.end()[0] == 0
    assert termios.tcgetattr(session.slave) == session.modes
    assert "unknown: 0" in session.screen


def test_the_view_ends_by_itself_when_the_run_is_over(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    session = terminal(f"url={serve()!r}, clients=7, duration_ns=2 * 10**9", whole=True)
    session.expect("any other key ends")
    session.expect(f"(?s){SUMMARY}")
    assert session.end()[0] == 0
    assert termios.tcgetattr(session.slave) == session.modes


def test_keys_of_the_view_act_on_the_real_run(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    session = terminal(f"url={serve()!r}, clients=5", whole=True)
    session.expect("any other key ends")
    session.type("++")
    session.expect("1 more")
    session.type("p")
    session.expect("paused")
    session.type("p")
    session.expect("going on")
    session.type(" ")
    session.expect(f"(?s){SUMMARY}")
    assert session.end()[0] == 0


def test_a_view_that_fails_leaves_the_run_to_the_line(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    session = terminal(f"url={serve()!r}, clients=7", whole=True, before=BROKEN_VIEW)
    session.expect("the view has failed; the run goes on, Ctrl-C stops")
    session.expect(r"7 clients \d+ s: [1-9]\d* sent")
    session.type("\x03")
    session.expect("draining")
    session.expect(r"clients   7\r\n")
    assert session.end()[0] == 0
    assert termios.tcgetattr(session.slave) == session.modes


@pytest.mark.parametrize("settings", ["plain=True", "log='-'"])
def test_the_view_is_not_shown_where_it_is_unwanted_or_would_mix_with_data(
    serve: Callable[..., str], terminal: Callable[..., Terminal], settings: str
) -> None:
    session = terminal(f"url={serve()!r}, clients=7, duration_ns=10**9, {settings}", whole=True)
    session.expect(r"7 clients \d+ s: \d+ sent")
    assert session.end()[0] == 0
    assert "\x1b[?1049h" not in session.screen


def test_without_textual_the_line_takes_the_place_of_the_view(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    settings = f"url={serve()!r}, clients=7, duration_ns=10**9"
    session = terminal(settings, whole=True, before="import sys; sys.modules['textual'] = None")
    session.expect(r"7 clients \d+ s: \d+ sent")
    assert session.end()[0] == 0
    assert "\x1b[?1049h" not in session.screen
    assert "clients   7" in session.screen
