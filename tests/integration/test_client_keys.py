"""Claims about the client at a terminal: what it asks, shows, and does at a key press."""

import os
import re
import signal
import socket
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.client_session import Terminal
from tests.samples import quick_first
from tests.scripts import OK


def test_it_asks_until_it_has_a_number_shows_figures_and_ends_at_a_key(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    session = terminal(f"url={serve()!r}")
    for nonsense in (
        "many",
        "0",
        "-3",
        "1000001",
        "2.5",
        "1e2",
        "",
        "9" * 30,
        "\N{SUPERSCRIPT TWO}",
    ):
        session.expect(re.escape("How many clients? "))
        session.type(f"{nonsense}\n")
        session.expect("is not a whole number from 1 to 1000000")
    session.expect(re.escape("How many clients? "))
    session.type(" 7 \n")
    session.expect(
        r"7 clients to http://127.0.0.1:\d+/, seed \d+\r\n\? shows the keys that act, any other key"
    )
    session.expect(r"\r7 clients \d+ s: [1-9]\d* sent \d+/s, [1-9]\d* admitted")
    assert termios.tcgetattr(session.slave)[3] & (termios.ICANON | termios.ECHO) == 0
    session.type("x")
    session.expect("draining")
    code, out = session.end()
    assert code == 0
    assert re.search(r"^clients   7$", out, re.MULTILINE)
    assert re.search(r"^codes     200: \d+$", out, re.MULTILINE)
    assert termios.tcgetattr(session.slave) == session.modes
    assert "Traceback" not in session.screen


@pytest.mark.parametrize("key", quick_first(["\x03", "\x1b[A", " ", "\n", "\x00"], 2))
def test_ctrl_c_and_keys_of_any_length_end_it(
    serve: Callable[..., str], terminal: Callable[..., Terminal], key: str
) -> None:
    session = terminal(f"url={serve()!r}, clients=3")
    session.expect(r"[1-9]\d* sent")
    session.type(key)
    code, out = session.end()
    assert code == 0
    assert "requests" in out
    assert "Traceback" not in session.screen
    assert termios.tcgetattr(session.slave) == session.modes


def test_a_key_still_stops_it_after_it_was_suspended(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    session = terminal(f"url={serve()!r}, clients=3")
    session.expect(r"[1-9]\d* sent")
    session.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, session.process.pid, os.WSTOPPED)
    termios.tcsetattr(session.slave, termios.TCSANOW, session.modes)  # as a shell does
    session.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 60
    # What is typed before it has its own modes again is thrown away.
    while termios.tcgetattr(session.slave)[3] & termios.ICANON:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    session.type("x")
    assert session.end()[0] == 0
    assert termios.tcgetattr(session.slave) == session.modes


def test_many_ctrl_cs_at_once_cost_nothing_of_what_is_in_flight(
    scripted: Callable[..., Any], terminal: Callable[..., Terminal]
) -> None:
    typed = threading.Event()

    def answer(connection: socket.socket, _head: bytes) -> None:
        typed.wait(60)
        connection.sendall(OK)

    server = scripted(answer)
    session = terminal(f"url={server.target().url!r}, clients=5, behaviour='saturate'")
    server.wait_for_heads(5)
    session.type("\x03" * 8)
    session.expect("draining")
    typed.set()
    code, out = session.end()
    assert code == 0
    assert "rejected: 0, unknown: 0" in out
    assert "Traceback" not in session.screen
    assert termios.tcgetattr(session.slave) == session.modes


@pytest.mark.parametrize(
    ("leaving", "code", "said"),
    [("\x04", 64, "error: no number of clients"), ("\x03", 130, "interrupted")],
)
def test_leaving_at_the_question_ends_it_without_a_request(
    serve: Callable[..., str], terminal: Callable[..., Terminal], leaving: str, code: int, said: str
) -> None:
    session = terminal(f"url={serve()!r}")
    session.expect(re.escape("How many clients? "))
    session.answer(leaving)
    assert session.end() == (code, "")
    assert said in session.screen
    assert "Traceback" not in session.screen


def test_long_lines_are_broken_at_words(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    session = terminal(f"url={serve()!r}, clients=3", columns=44)
    session.expect(r"any other key or\r\n  Ctrl-C stops\r\n")
    session.type("x")
    session.expect(r"draining: requests in flight finish, nothing\r\n  new is sent; again")
    assert session.end()[0] == 0


@pytest.mark.parametrize("columns", [20, 60])
def test_the_live_line_is_rewritten_in_place_and_never_wider_than_the_terminal(
    serve: Callable[..., str], terminal: Callable[..., Terminal], columns: int
) -> None:
    session = terminal(f"url={serve()!r}, clients=30, duration_ns=2 * 10**9", columns=columns)
    code, _ = session.end()
    assert code == 0
    after_hint = session.screen.partition("stops\r\n")[2]
    frames = after_hint.rstrip("\r\n").split("\r")[1:]
    assert len(frames) >= 2
    assert all(len(frame) < columns for frame in frames)
    assert "\n" not in after_hint.rstrip("\r\n")


def test_bound_keys_act_without_the_view_as_well(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    session = terminal(f"url={serve()!r}, clients=20")
    session.expect(r"[1-9]\d* sent")
    session.type("+")
    session.expect(r"2 more\r\n")
    session.expect(r"\r22 clients ")
    session.type("-")
    session.expect(r"2 fewer\r\n")
    session.type("?")
    session.expect("any other key  ends the run")
    session.type("b")
    session.expect(r"burst\r\n")
    session.type("p")
    session.expect(r"paused\r\n")
    session.type("p")
    session.expect(r"going on\r\n")
    session.expect(r"\r20 clients \d+ s: [1-9]\d* sent")
    assert "draining" not in session.screen
    session.type("x")
    session.expect("draining")
    code, out = session.end()
    assert code == 0
    assert "clients   22\n" in out  # at once, at most


def test_another_machine_is_asked_about_first_and_no_means_no(
    terminal: Callable[..., Terminal],
) -> None:
    for answer in ("\n", "\x03", "maybe\n"):
        session = terminal("url='http://192.0.2.1/', clients=1")
        session.expect(re.escape("192.0.2.1 is not this machine. Send load to it? [y/N] "))
        session.answer(answer)
        assert session.end() == (0, "")


def test_in_the_background_of_a_terminal_it_is_not_stopped(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    """Setting the modes of a terminal from its background suspends a process."""
    settings = f"url={serve()!r}, clients=20, duration_ns=2 * 10**9"
    session = terminal(settings, prefix=("sh", "-c", 'set -m; "$@" & wait $!', "sh"))
    session.expect(r"[1-9]\d* sent")
    session.type("x")  # is the shell's, not the client's
    code, out = session.end()
    assert code == 0
    assert "requests" in out
    assert "draining" not in session.screen
