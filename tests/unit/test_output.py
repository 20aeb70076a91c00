"""Output: a reader who has gone changes no exit code, and a full disk is an error of its own."""

import contextlib
import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from rateproof.output import say
from tests.samples import quick_first

VERDICT_1 = "".join(
    f'{{"key": "a", "sent_ns": {at}, "received_ns": {at + 900_000}, "status": {status}}}\n'
    for at, status in zip(range(0, 7_000_000, 1_000_000), [200] * 6 + [503], strict=True)
)


@pytest.fixture
def check(tmp_path):
    """Run `rateproof check` on a violated log in a shell, with redirections."""
    (tmp_path / "log.jsonl").write_text(VERDICT_1)

    def run(redirection, *options, environment=()):
        command = f"{sys.executable} -m rateproof check log.jsonl {' '.join(options)} {redirection}"
        return subprocess.run(
            ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
            cwd=tmp_path,
            env={**os.environ, **dict(environment)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def all_of(terminal):
    """The bytes written to a terminal that nobody else has open any more, as they come."""
    with contextlib.suppress(OSError):  # its end
        while data := terminal.read(65_536):
            yield data


def in_a_terminal(folder, width, words=("check", "log.jsonl"), **environment):
    """The lines that a command prints to a terminal of that width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with os.fdopen(leader, "rb", buffering=0) as terminal, os.fdopen(follower, "wb") as stdout:
        command = [sys.executable, "-m", "rateproof", *words]
        told = os.environ | {"TERM": "xterm", "NO_COLOR": ""} | environment
        done = subprocess.run(command, cwd=folder, stdout=stdout, stderr=-1, env=told, check=False)
        assert done.returncode in {0, 1}
        stdout.close()
        return b"".join(all_of(terminal)).decode().splitlines()


@pytest.mark.parametrize("width", [40, 80])
def test_what_goes_to_a_terminal_fits_it_and_breaks_no_word(check, tmp_path, width):
    whole = check("").stdout
    lines = in_a_terminal(tmp_path, width, NO_COLOR="1")
    assert max(map(len, lines)) <= width < max(map(len, whole.splitlines()))
    said = [line for line in lines if not line.startswith((" #", "#", "  ")) or line[2].isalpha()]
    assert {word for line in said for word in line.split()} <= set(whole.split())


@pytest.mark.parametrize(
    "words",
    [("check", "log.jsonl", "--by-key"), ("doctor",), ("--help",), ("test", "--help")],
)
def test_a_terminal_of_40_columns_is_wide_enough(check, tmp_path, words):
    check("")
    lines = in_a_terminal(tmp_path, 40, words, NO_COLOR="1", COLUMNS="40")
    too_long = [line for line in lines if len(line) > 40 and " " in line.strip()]
    assert [line for line in too_long if not line.startswith(("  rateproof ", "  -"))] == []


def test_on_a_terminal_alone_the_verdict_is_coloured_and_no_color_is_respected(check, tmp_path):
    red = "\x1b[1;31mVIOLATED\x1b[0m: 6 let through"
    assert in_a_terminal(tmp_path, 80)[0].startswith(red)
    for how in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert in_a_terminal(tmp_path, 80, **how)[0].startswith("VIOLATED: 6 let through")
    assert "\x1b" not in check("").stdout


PROGRESS = """
import os, sys, time
from rateproof.output import emit, progress, say
with progress("waiting for the next window", 12.0):
    time.sleep(0.1)
    say("iteration 1: consistent")
    emit("data")
"""


def test_progress_is_a_line_with_the_time_left_and_nothing_in_a_pipe():
    command = [sys.executable, "-c", PROGRESS]
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (piped.stderr, piped.stdout) == ("iteration 1: consistent\n", "data\n")
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(leader, "rb", buffering=0) as terminal, os.fdopen(follower, "wb") as stderr:
        environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1"}
        subprocess.run(command, stdout=-1, stderr=stderr, env=environment, check=True)
        stderr.close()
        shown = b"".join(all_of(terminal)).decode()
    assert "\r\x1b[Kwaiting for the next window 12 s left\r\x1b[K" in shown
    assert shown.rpartition("\x1b[K")[2] == ""
    assert "\x1b[Kiteration 1: consistent\r\n" in shown


def test_what_a_terminal_has_no_sign_for_is_written_in_ascii(monkeypatch):
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say("657 \N{MICRO SIGN}s, 3\N{MULTIPLICATION SIGN}")
        assert stream.buffer.getvalue() == b"657 us, 3x\n"


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize(
    "redirection", quick_first(["| head -c 1", "2>&- >/dev/null", "| true", ""], 2)
)
def test_the_exit_code_is_the_verdict_whoever_reads(check, redirection, options):
    done = check(redirection, *options)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_a_result_that_cannot_be_written_is_73(check, redirection):
    done = check(redirection)
    assert done.returncode == 73
    assert "cannot write the result" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_without_unicode_gets_the_whole_verdict(check):
    assert "#0 \N{HORIZONTAL ELLIPSIS} #5" in check("").stdout
    for encoding in ("ascii", "latin-1", "cp437"):
        ended = check("", environment={"PYTHONIOENCODING": encoding})
        assert ended.returncode == 1
        assert "requests #0 ... #5 were all decided" in ended.stdout
