"""The command line: bad arguments are named, and a bug never looks like a verdict."""

import subprocess
import sys

import pytest

from rateproof import arguments, cli
from rateproof.errors import CannotWrite, LogError, Unreachable
from rateproof.prove import CLAIMS
from rateproof.simulate.behaviours import BEHAVIOURS

COUNT, RATE, DURATION = "a whole number", "requests a second", "a duration"


@pytest.mark.parametrize(
    ("argv", "named", "hint"),
    [
        ([], "COMMAND", "--help"),
        (["fly"], "fly", "--help"),
        (["serve", "--colour"], "--colour", "--help"),
        (["serve", "--port", "65536"], "65536", COUNT),
        (["serve", "--port", "-1"], "-1", COUNT),
        (["serve", "--workers", "0"], "0", COUNT),
        (["serve", "--workers", "many"], "many", COUNT),
        (["serve", "--status", "200"], "200", "503 or 429"),
        (["serve", "--status", "418"], "418", "503 or 429"),
        (["serve", "--policy", "5 per"], "5 per", "a policy reads like"),
        (["serve", "--policy", "five per 5s"], "five per 5s", "a policy reads like"),
        (["serve", "--policy", "5 per 0s"], "5 per 0s", "a window is above 0"),
        (["serve", "--policy", "-1/s"], "-1/s", ""),
        (["serve", "--key", "body:x"], "body:x", "query:NAME"),
        (["simulate", "--clients", "0"], "0", COUNT),
        (["simulate", "--clients", "-5"], "-5", COUNT),
        (["simulate", "--clients", "1e3"], "1e3", COUNT),
        (["simulate", "--clients", "9" * 30], "9" * 30, COUNT),
        (["simulate", "--clients", "10001"], "10001", COUNT),
        (["simulate", "--rate", "0"], "0", RATE),
        (["simulate", "--rate", "-3"], "-3", RATE),
        (["simulate", "--rate", "nan"], "nan", RATE),
        (["simulate", "--rate", "inf"], "inf", RATE),
        (["simulate", "--rate", "1e9"], "1e9", RATE),
        (["simulate", "--rate", "fast"], "fast", RATE),
        (["simulate", "--rate", "1_000"], "1_000", RATE),
        (["simulate", "--duration", "0"], "0", DURATION),
        (["simulate", "--duration", "0s"], "0s", DURATION),
        (["simulate", "--duration", "-1s"], "-1s", ""),
        (["simulate", "--duration", "10"], "10", DURATION),
        (["simulate", "--duration", "1000000d"], "1000000d", "73 years"),
        (["simulate", "--timeout", "soon"], "soon", DURATION),
        (["test", "--iterations", "0"], "0", COUNT),
        (["test", "--iterations", "1.5"], "1.5", COUNT),
        (["test", "--seed", "-1"], "-1", COUNT),
        (["test", "--claim", "everything"], "everything", "over-admission"),
        (["check", "x.jsonl", "--tolerance", "1%"], "1%", "parts per million"),
        (["check", "x.jsonl", "--tolerance", "200000ppm"], "200000ppm", "parts per million"),
        (["check"], "LOG", "--help"),
    ],
)
def test_a_bad_argument_exits_64_and_names_the_value_and_the_form(argv, named, hint, capsys):
    assert cli.main(argv) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert named in captured.err
    assert hint in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LogError("log"), 65),
        (Unreachable("target", "start it"), 69),
        (CannotWrite("file"), 73),
        (KeyboardInterrupt(), 130),
        (RuntimeError("a bug"), 70),
        (AssertionError(), 70),
        (MemoryError(), 70),
    ],
)
def test_every_end_has_its_exit_code(error, code, monkeypatch, capfd):
    def fail(_arguments):
        raise error

    monkeypatch.setitem(cli.COMMANDS, "check", fail)
    assert cli.main(["check", "log.jsonl"]) == code
    captured = capfd.readouterr()
    assert ("internal error" in captured.err) == (code == 70)


def test_version_names_the_active_core(monkeypatch, capsys):
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip().endswith("(python core)")


def test_a_core_that_does_not_exist_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("RATEPROOF_CORE", "fast")
    assert cli.main(["--version"]) == 64
    assert "'fast'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "simulate", "test", "check"])
def test_help_lists_every_option(command, capsys):
    assert cli.main([command, "--help"]) == 0
    assert "--policy" in capsys.readouterr().out


def test_the_help_names_what_the_rooms_have():
    """The names stand in the command line so that --help loads no room."""
    assert set(arguments.BEHAVIOURS) == set(BEHAVIOURS)
    assert set(arguments.CLAIMS) == CLAIMS


def test_the_module_runs_as_the_command_does():
    done = subprocess.run(
        [sys.executable, "-m", "rateproof", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("rateproof ")
