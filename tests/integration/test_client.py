"""Claims about the interactive client, in a real terminal and without one."""

import codecs
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rateproof.errors import RateproofError
from rateproof.events import read_log
from rateproof.keyspec import KeySpec  # noqa: F401 - of the settings below
from rateproof.simulate.client.live import ClientSettings, run_client  # noqa: F401

DRIVER = textwrap.dedent(
    """
    import sys
    from rateproof.errors import RateproofError
    from rateproof.keyspec import KeySpec
    from rateproof.simulate.client.live import ClientSettings, run_client
    try:
        sys.exit(run_client(eval("ClientSettings.told(" + sys.argv[1] + ")")))
    except RateproofError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    """
)

# A server that is alone in its process, so that 500 clients do not share its interpreter.
SERVER = textwrap.dedent(
    """
    import asyncio, sys
    delay = float(sys.argv[1])
    async def serve(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\\r\\n\\r\\n")
                await asyncio.sleep(delay)
                writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()
    asyncio.run(main())
    """
)


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    """The URL of a server that answers 200 after a delay, one a delay for all tests."""
    started: dict[float, subprocess.Popen[str]] = {}
    urls: dict[float, str] = {}

    def url(delay: float = 0) -> str:
        if delay not in urls:
            process = started[delay] = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(delay)], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            urls[delay] = f"http://127.0.0.1:{int(process.stdout.readline())}/"
        return urls[delay]

    yield url
    for process in started.values():
        process.kill()
        process.communicate()


SMALL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"

BROKEN_VIEW = textwrap.dedent(
    """
    from rateproof.simulate.client.view import View
    def fail(self):
        raise ZeroDivisionError
    View._draw = fail
    """
)


class Terminal:
    """A program whose stdin and stderr are a terminal; its stdout is a pipe, or the same one."""

    def __init__(
        self,
        settings: str,
        *,
        columns: int = 80,
        prefix: tuple[str, ...] = (),
        whole: bool = False,
        before: str = "",
    ) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (24, columns))
        self.modes = termios.tcgetattr(self.slave)
        self.screen = self.passed = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", before + DRIVER, settings],
            stdin=self.slave,
            stderr=self.slave,
            stdout=self.slave if whole else subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Ctrl-C is a byte only to a process whose controlling terminal this is.
            preexec_fn=_take_terminal,  # noqa: PLW1509 - only makes system calls
            env={key: value for key, value in os.environ.items() if key not in _OWN}
            | {"TERM": "xterm-256color"},
        )

    def expect(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Read the screen until it shows the pattern beyond what was expected before."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.screen)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} not in {self.screen!r}"
            self.read(left)
        self.passed, self.screen = self.screen[: match.start()], self.screen[match.end() :]
        return match

    def read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.screen += self._decoder.decode(os.read(self.master, 65_536))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self, seconds: float = 60) -> tuple[int, str]:
        """Wait for the end; the exit code and everything on stdout."""
        out, _ = self.process.communicate(timeout=seconds)
        while select.select([self.master], [], [], 0)[0]:
            self.read(0)
        return self.process.returncode, out

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        os.close(self.master)
        os.close(self.slave)


_OWN = {"COLUMNS", "LINES", "NO_COLOR"}


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Whoever runs the tests in the background of a shell ignores Ctrl-C, and so would we.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(settings: str, **options: Any) -> Terminal:
        opened.append(Terminal(settings, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


# ------------------------------------------------------------- at a terminal


def test_it_asks_until_it_has_a_number_shows_figures_and_ends_at_a_key_press(
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


@pytest.mark.parametrize("key", ["\x03", "\x1b[A", " ", "\n", "\x00"])
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
    termios.tcsetattr(session.slave, termios.TCSANOW, session.modes)  # as a shell does
    session.process.send_signal(signal.SIGCONT)
    session.expect(r"[1-9]\d* sent")
    session.type("x")
    assert session.end()[0] == 0
    assert termios.tcgetattr(session.slave) == session.modes


@pytest.mark.alone
def test_many_ctrl_cs_while_it_drains_cost_nothing(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    session = terminal(f"url={serve(1.0)!r}, clients=5, behaviour='saturate'")
    session.expect(r"0 s: 0 sent")
    time.sleep(0.3)
    for _ in range(8):
        session.type("\x03")
        time.sleep(0.05)
    code, out = session.end()
    assert code == 0
    assert "codes     200: 5" in out
    assert "Traceback" not in session.screen
    assert termios.tcgetattr(session.slave) == session.modes


@pytest.mark.parametrize("leaving", ["\x04", "\x03"])
def test_leaving_at_the_question_ends_it_without_a_request(
    serve: Callable[..., str], terminal: Callable[..., Terminal], leaving: str
) -> None:
    session = terminal(f"url={serve()!r}")
    session.expect(re.escape("How many clients? "))
    session.type(leaving)
    assert session.end() == (0, "")
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
    assert len(frames) >= 4
    assert all(len(frame) < columns for frame in frames)
    assert "\n" not in after_hint.rstrip("\r\n")


@pytest.mark.parametrize("whole", [False, True])
def test_a_run_whose_disk_gets_full_is_summed_up_and_fails(
    serve: Callable[..., str],
    terminal: Callable[..., Terminal],
    tmp_path: Path,
    whole: bool,  # noqa: FBT001
) -> None:
    """The log may be 20 kB long: the run fails in the middle."""
    log = tmp_path / "full.jsonl"
    settings = f"url={serve()!r}, clients=9, behaviour='saturate', log={str(log)!r}"
    session = terminal(settings, whole=whole, before=SMALL_DISK)
    session.expect(r"error: cannot write the log \S+full.jsonl: File too large")
    code, out = session.end()
    assert code == 73
    told = session.passed.rpartition("\x1b[?1049l")[2] if whole else out
    assert re.search(r"^requests  [1-9]\d* in", told, re.MULTILINE)  # as far as it came
    assert termios.tcgetattr(session.slave) == session.modes
    assert "Traceback" not in session.passed
    assert len(read_log(log)) > 0


def test_a_log_on_a_full_disk_fails_before_anything_is_sent(
    serve: Callable[..., str], terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    log = tmp_path / "full.jsonl"
    log.symlink_to("/dev/full")
    session = terminal(f"url={serve()!r}, clients=9, behaviour='saturate', log={str(log)!r}")
    session.expect(r"error: cannot write the log \S+full.jsonl: No space left on device")
    assert session.end() == (73, "")
    assert termios.tcgetattr(session.slave) == session.modes


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


# ------------------------------------------------------------- the view

SUMMARY = r"\x1b\[\?1049l.*clients   7\r\n"
"""The screen of before is back when the summary is printed."""


@pytest.mark.parametrize("leaving", ["x", "\x03", "\x1b[A", "SIGTERM", "SIGINT"])
def test_the_view_ends_as_the_line_does_and_leaves_the_summary(
    serve: Callable[..., str], terminal: Callable[..., Terminal], leaving: str
) -> None:
    session = terminal(f"url={serve(0.5)!r}, clients=7, behaviour='saturate'", whole=True)
    session.expect(r"\x1b\[\?1049h")
    session.expect("any other key ends")
    time.sleep(0.7)
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
def test_the_view_is_not_shown_where_it_is_not_wanted_or_would_mix_with_data(
    serve: Callable[..., str], terminal: Callable[..., Terminal], settings: str
) -> None:
    session = terminal(f"url={serve()!r}, clients=7, duration_ns=10**9, {settings}", whole=True)
    session.expect(r"7 clients \d+ s: \d+ sent")
    assert session.end()[0] == 0
    assert "\x1b" not in session.screen


def test_without_textual_the_line_takes_the_place_of_the_view(
    serve: Callable[..., str], terminal: Callable[..., Terminal]
) -> None:
    settings = f"url={serve()!r}, clients=7, duration_ns=10**9"
    session = terminal(settings, whole=True, before="import sys; sys.modules['textual'] = None")
    session.expect(r"7 clients \d+ s: \d+ sent")
    assert session.end()[0] == 0
    assert "\x1b" not in session.screen
    assert "clients   7" in session.screen


def test_another_machine_is_asked_about_first_and_no_means_no(
    terminal: Callable[..., Terminal],
) -> None:
    for answer in ("n\n", "\n", "\x04", "\x03", "maybe\n"):
        session = terminal("url='http://192.0.2.1/', clients=1")
        session.expect(re.escape("192.0.2.1 is not this machine. Send load to it? [y/N] "))
        session.type(answer)
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


# ------------------------------------------------------------- without a terminal


def test_without_a_terminal_or_a_number_it_runs_ten_and_says_so(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn("-c", DRIVER, f"url={serve()!r}, duration_ns=2 * 10**9")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "10 clients" in err.splitlines()[0]
    assert len(re.findall(r"^10 clients \d+ s: \d+ sent", err, re.MULTILINE)) in {2, 3, 4}
    assert "\r" not in err
    assert "clients   10" in out


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_within_two_seconds_of_the_slowest_request(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]], number: int
) -> None:
    process = spawn("-c", DRIVER, f"url={serve(0.5)!r}, clients=50, behaviour='saturate'")
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(1)
    before = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - before < 0.5 + 2
    assert process.returncode == 0
    assert "unknown: 0" in out
    assert "errors    none" in out
    assert "Traceback" not in err


@pytest.mark.alone
def test_500_clients_run_and_are_drained(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn("-c", DRIVER, f"url={serve()!r}, clients=500, json=True")
    assert process.stderr is not None
    while not re.search(r"[1-9]\d* admitted", process.stderr.readline()):
        assert process.poll() is None
    time.sleep(2)
    before = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - before < 4
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["clients"] == 500
    assert summary["statuses"] == {"200": summary["requests"]}
    assert summary["errors"] == {}
    assert summary["audit"]["requests"] == summary["requests"]


def test_its_log_holds_every_request_of_the_summary(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    log = tmp_path / "run.jsonl"
    settings = f"url={serve()!r}, clients=5, duration_ns=10**9, json=True, seed=4, log={str(log)!r}"
    process = spawn("-c", DRIVER, settings)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    events = read_log(log)
    assert len(events) == json.loads(out)["requests"] > 0
    assert len(events.by_key()) <= 5
    assert events.metadata["seed"] == json.loads(out)["seed"] == 4


def test_a_log_on_stdout_is_not_mixed_with_the_summary(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = spawn("-c", DRIVER, f"url={serve()!r}, clients=20, duration_ns=10**9, log='-'")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert " sent " in err
    path = tmp_path / "piped.jsonl"
    path.write_text(out)
    assert len(read_log(path)) > 0


def test_nothing_listening_is_one_error_that_says_how_to_start_the_server(
    free_port: int, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn("-c", DRIVER, f"url='http://127.0.0.1:{free_port}/', clients=3")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 69
    assert out == ""
    assert err.strip() == (
        f"error: nothing answers at http://127.0.0.1:{free_port}/ "
        f"(start the server first: python server.py --port {free_port})"
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("clients=0", "clients is 0"),
        ("clients=-1", "clients is -1"),
        ("clients=0, rate_per_s=5", "clients is 0"),
        ("clients=5, rate_per_s=0", "rate is 0"),
        ("clients=1000001", "clients is 1000001"),
        ("clients=5, duration_ns=0", "duration is 0s"),
        ("clients=5, max_rate=0", "max_rate is 0"),
        ("clients=5, timeout_ns=1", "timeout is 1ns"),
        ("clients=5, key=KeySpec.parse('ip')", "no place for an identity"),
        ("clients=5, url='127.0.0.1:8080'", "write http://127.0.0.1:8080"),
        ("clients=5, url='http://192.0.2.1/'", "give --yes"),
        ("clients=5, connections=0", "connections is 0"),
        ("clients=5, transport='carrier pigeon'", "unknown transport 'carrier pigeon'"),
        ("clients=5, transport='threads', threads=2", "threads is 2"),
        ("clients=5, log='log.txt'", "'log.txt' is not the name of a log"),
    ],
)
def test_a_bad_value_is_named_before_anything_is_sent(
    serve: Callable[..., str], capsys: pytest.CaptureFixture[str], settings: str, named: str
) -> None:
    url = "" if "url=" in settings else f"url={serve()!r}, "
    with pytest.raises(RateproofError, match=re.escape(named)) as refused:
        run_client(eval(f"ClientSettings.told({url}{settings})"))
    assert refused.value.exit_code == 64
    assert capsys.readouterr().out == ""


def test_an_unwritable_log_is_said_before_anything_is_sent(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "missing" / "log.jsonl"
    process = spawn("-c", DRIVER, f"url={serve()!r}, clients=3, log={str(path)!r}")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 73
    assert str(path) in err
    assert (out, "seed" in err) == ("", False)


def test_a_server_that_dies_is_counted_and_does_not_end_the_run(
    spawn: Callable[..., subprocess.Popen[str]],
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def die_soon() -> None:
        for _ in range(2):  # the probe, and the first request
            connection, _ = listener.accept()
            connection.close()
        listener.close()

    threading.Thread(target=die_soon, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    settings = f"url={url!r}, clients=1, duration_ns=10**9, json=True, behaviour='saturate'"
    process = spawn("-c", DRIVER, settings)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    errors = json.loads(out)["errors"]
    assert errors["refused"] >= 2
    assert sum(errors.values()) == json.loads(out)["outcomes"]["unknown"]


# ------------------------------------------------------------- however it is ended


@pytest.fixture
def hung() -> Iterator[str]:
    """The URL of a server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.parametrize(
    ("first", "second", "whole", "transport"),
    [
        ("x", "y", False, "threads"),
        ("x", "y", True, "native"),
        ("x", "SIGTERM", True, "threads"),
        ("SIGINT", "x", False, "native"),
        ("SIGINT", "x", True, "native"),
    ],
)
def test_who_asks_again_need_not_wait_for_a_server_that_hangs(
    hung: str,
    terminal: Callable[..., Terminal],
    tmp_path: Path,
    first: str,
    second: str,
    whole: bool,  # noqa: FBT001
    transport: str,
) -> None:
    log = tmp_path / "hung.jsonl"
    settings = (
        f"url={hung!r}, clients=3, behaviour='saturate', timeout_ns=3600 * 10**9, "
        f"transport={transport!r}, log={str(log)!r}"
    )
    session = terminal(settings, whole=whole)
    session.expect("any other key")
    time.sleep(0.7)
    for ask, answer in ((first, "again to give up"), (second, "giving up what is in flight")):
        if ask.startswith("SIG"):
            session.process.send_signal(signal.Signals[ask])
        else:
            session.type(ask)
        session.expect(answer)
        time.sleep(0.6)
    code, out = session.end()
    assert code == 0
    assert "unknown: 3" in (session.screen if whole else out)
    events = read_log(log)
    assert [(event.outcome, event.error) for event in events] == [("unknown", "other")] * 3
    assert events.metadata["complete"] is True
    assert termios.tcgetattr(session.slave) == session.modes


@pytest.mark.parametrize("whole", [False, True])
def test_a_terminal_that_is_closed_does_not_cost_the_log(
    serve: Callable[..., str],
    tmp_path: Path,
    whole: bool,  # noqa: FBT001
) -> None:
    log = tmp_path / "closed.parquet"
    session = Terminal(f"url={serve()!r}, clients=3, log={str(log)!r}", whole=whole)
    session.expect("any other key")
    time.sleep(1)
    os.close(session.slave)
    os.close(session.master)
    try:
        session.process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session.process.pid, signal.SIGKILL)
    events = read_log(log)
    assert len(events) > 0
    assert events.metadata["complete"] is True
    assert events.metadata["valid"] is not None


@pytest.mark.parametrize("stdin", ["<&-", "</dev/null"])
def test_without_stdin_it_runs_and_asks_nobody(serve: Callable[..., str], stdin: str) -> None:
    code, out, err = shell(f"url={serve()!r}, duration_ns=3 * 10**8", stdin)
    assert (code, "clients   10\n" in out) == (0, True)
    assert "no terminal to ask at: 10 clients" in err
    code, _, err = shell("url='http://192.0.2.1/', clients=1", stdin)
    assert (code, "give --yes" in err) == (64, True)


def test_a_log_for_a_closed_stdout_cannot_be_written(serve: Callable[..., str]) -> None:
    code, _, err = shell(f"url={serve()!r}, clients=2, duration_ns=10**8, log='-'", ">&-")
    assert code == 73
    assert "standard output is closed" in err
    assert "Traceback" not in err


def test_without_stderr_it_runs(serve: Callable[..., str]) -> None:
    code, out, _ = shell(f"url={serve()!r}, clients=2, duration_ns=3 * 10**8", "2>&-")
    assert (code, "clients   2\n" in out) == (0, True)


def shell(settings: str, redirection: str, before: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f'{before} exec "$0" "$@" {redirection}',
            sys.executable,
            "-c",
            DRIVER,
            settings,
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("transport", ["threads", "native"])
def test_a_run_that_the_machine_cannot_carry_leaves_the_last_log_alone(
    serve: Callable[..., str], tmp_path: Path, transport: str
) -> None:
    log = tmp_path / "old.jsonl"
    log.write_text("what was measured yesterday\n")
    settings = f"url={serve()!r}, clients=100, transport={transport!r}, log={str(log)!r}"
    code, out, err = shell(settings, "", "ulimit -n 64;")
    assert (code, out) == (64, "")
    assert "need" in err
    assert "seed" not in err
    assert log.read_text() == "what was measured yesterday\n"


def test_a_log_says_whether_its_run_came_to_its_end(
    serve: Callable[..., str], tmp_path: Path
) -> None:
    log = tmp_path / "run.jsonl"
    settings = f"url={serve()!r}, clients=9, behaviour='saturate', log={str(log)!r}"
    assert shell(f"{settings}, duration_ns=10**8", "")[0] == 0
    assert json.loads(log.read_text().splitlines()[0])["complete"] is False
    assert read_log(log).metadata["complete"] is True
    assert shell(settings, "", "ulimit -f 40;")[0] == 73
    assert read_log(log).metadata["complete"] is False
