"""Claims about the log of a client: whole however the run is ended, and true where it is not."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rateproof.events import read_log
from tests.integration.client_session import DRIVER, Terminal, shell
from tests.samples import quick_first

SMALL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"


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


def test_an_unwritable_log_is_said_before_anything_is_sent(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "missing" / "log.jsonl"
    process = spawn("-c", DRIVER, f"url={serve()!r}, clients=3, log={str(path)!r}")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 73
    assert str(path) in err
    assert (out, "seed" in err) == ("", False)


def test_a_log_on_a_full_disk_fails_before_anything_is_sent(
    serve: Callable[..., str], terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    log = tmp_path / "full.jsonl"
    log.symlink_to("/dev/full")
    session = terminal(f"url={serve()!r}, clients=9, behaviour='saturate', log={str(log)!r}")
    session.expect(r"error: cannot write the log \S+full.jsonl: No space left on device")
    assert session.end() == (73, "")
    assert termios.tcgetattr(session.slave) == session.modes


@pytest.mark.parametrize("whole", quick_first([False, True]))
def test_a_run_whose_disk_gets_full_is_summed_up_and_fails(
    serve: Callable[..., str],
    terminal: Callable[..., Terminal],
    tmp_path: Path,
    *,
    whole: bool,
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


def test_a_log_for_a_closed_stdout_cannot_be_written(serve: Callable[..., str]) -> None:
    code, _, err = shell(f"url={serve()!r}, clients=2, duration_ns=10**8, log='-'", ">&-")
    assert code == 73
    assert "standard output is closed" in err
    assert "Traceback" not in err


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


@pytest.mark.parametrize("whole", quick_first([True, False]))
def test_a_terminal_that_is_closed_does_not_cost_the_log(
    serve: Callable[..., str],
    tmp_path: Path,
    *,
    whole: bool,
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


@pytest.fixture
def hung() -> Iterator[socket.socket]:
    """The socket of a server that never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(60)
        yield listener


def give_up_twice(session: Terminal, first: str, second: str) -> None:
    """A view may be gone before it shows that it gives up."""
    gives_up = "giving up what is in flight|outcomes"
    for ask, answer in ((first, "again to give up"), (second, gives_up)):
        if ask.startswith("SIG"):
            session.process.send_signal(signal.Signals[ask])
        else:
            session.type(ask)
        session.expect(answer)
        time.sleep(0.6)


@pytest.mark.parametrize(
    ("first", "second", "whole", "transport"),
    quick_first(
        [
            ("x", "SIGTERM", True, "threads"),
            ("SIGINT", "x", False, "native"),
            ("x", "y", False, "threads"),
            ("x", "y", True, "native"),
            ("SIGINT", "x", True, "native"),
        ],
        2,
    ),
)
def test_who_asks_again_need_not_wait_for_a_server_that_hangs(
    hung: socket.socket,
    terminal: Callable[..., Terminal],
    tmp_path: Path,
    first: str,
    second: str,
    transport: str,
    *,
    whole: bool,
) -> None:
    log = tmp_path / "hung.jsonl"
    url = f"http://127.0.0.1:{hung.getsockname()[1]}/"
    settings = (
        f"url={url!r}, clients=3, behaviour='saturate', timeout_ns=3600 * 10**9, "
        f"transport={transport!r}, log={str(log)!r}"
    )
    session = terminal(settings, whole=whole)
    session.expect("any other key")
    asked = 0
    with contextlib.ExitStack() as held:
        while asked < 3:  # whether the server is there is asked by a connection without a request
            connection = held.enter_context(hung.accept()[0])
            connection.settimeout(60)
            asked += bool(connection.recv(65_536))
        give_up_twice(session, first, second)
    code, out = session.end()
    assert code == 0
    assert "unknown: 3" in (session.screen if whole else out)
    events = read_log(log)
    assert [(event.outcome, event.error) for event in events] == [("unknown", "other")] * 3
    assert events.metadata["complete"] is True
    assert termios.tcgetattr(session.slave) == session.modes
