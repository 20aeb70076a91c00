"""The command line: bad arguments are named, and a bug never looks like a verdict."""

import socket
import subprocess
import sys

import pytest

from rateproof import cli
from rateproof.errors import CannotWrite, LogError, Unreachable
from rateproof.events import Event, EventLog, open_log_writer
from rateproof.keyspec import KeySpec
from rateproof.options import forms, shared
from rateproof.options.arguments import parse
from rateproof.policy import Policy
from rateproof.prove.terms import CLAIM_SETS
from rateproof.simulate.client import live
from rateproof.simulate.transports import TRANSPORTS

COUNT, RATE, DURATION = "a whole number", "requests a second", "a duration"
STATUSES = "status codes from 100 to 999, each once, such as 403 or 429,503"


@pytest.mark.parametrize(
    ("argv", "named", "hint"),
    [
        ([], "COMMAND", "--help"),
        (["fly"], "fly", "one of serve, service, simulate, test"),
        (["serve", "--colour"], "--colour", "rateproof serve --help"),
        (["serve", "--polcy=5/s"], "--polcy", "did you mean --policy?"),
        (
            ["test", "--key", "heder:X"],
            "heder:X",
            "\nhint: query:NAME, header:NAME, cookie:NAME, path:2 or",
        ),
        (["serve", "--key", "heder:X"], "heder:X", "\nhint: ip, path, path:2, method, query:NAME"),
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
        (["simulate", "--clients", "1000001"], "1000001", COUNT),
        (["simulate", "--connections", "0"], "0", COUNT),
        (["simulate", "--threads", "0"], "0", COUNT),
        (["simulate", "--max-connections", "none"], "none", COUNT),
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
        (["simulate", "--connect-timeout", "0s"], "0s", DURATION),
        (["simulate", "--header", "Accept"], "Accept", "NAME: VALUE"),
        (["simulate", "--header", ": x"], "--header: a header without NAME:", "NAME: VALUE"),
        (["simulate", "--header", "Host: x"], "Host", "what frames the message"),
        (["simulate", "--header", "A: b", "--header", "a: c"], "'a' twice", "comma"),
        (["simulate", "--header", "Ä: x"], "Ä", "letters, digits"),
        (["simulate", "--data", "@missing.json"], "missing.json", "@FILE"),
        (["simulate", "--data", "@/"], "'/'", "@FILE"),
        (["simulate", "--data", "@/dev/zero"], "1048577", "1 MiB"),
        (["simulate", "--method", "get"], "'get'", "capital letters"),
        (["simulate", "--behaviour", "fly"], "fly", "saturate"),
        (["simulate", "--transport", "post"], "post", "native"),
        (["simulate", "--transport", "threads", "--threads", "2"], "threads is 2", "native"),
        (["simulate", "--cacert", "ca.pem"], "ca_file", "https://"),
        (["simulate", "https://h/", "--cacert", "missing.pem"], "missing.pem", "PEM"),
        (["simulate", "--rejected", "200x"], "'200x'", STATUSES),
        (["simulate", "--rejected", "99"], "'99'", STATUSES),
        (["simulate", "--rejected", "1000"], "'1000'", STATUSES),
        (["simulate", "--rejected", ""], "''", STATUSES),
        (["test", "--rejected", "403,"], "'403,': ''", STATUSES),
        (["check", "x.jsonl", "--rejected", "abc"], "--rejected: 'abc' is not", STATUSES),
        (["test", "--rejected", "-403"], "'-403'", STATUSES),
        (["probe", "--rejected", "403 429"], "'403 429'", STATUSES),
        (["probe", "--rejected", "\u0664\u0660\u0663"], "is not a status code", STATUSES),
        (["check", "x.jsonl", "--rejected", "403, 429,403"], "403 is there twice", STATUSES),
        (["simulate", "--insecure"], "insecure", "https://"),
        (["simulate", "--scenario", "missing.toml"], "missing.toml", "name a TOML file"),
        (["test", "--iterations", "0"], "0", COUNT),
        (["test", "--iterations", "1.5"], "1.5", COUNT),
        (["test", "--seed", "-1"], "-1", COUNT),
        (["test", "--claim", "everything"], "everything", "over-admission"),
        (["check", "x.jsonl", "--tolerance", "1%"], "1%", "parts per million"),
        (["check", "x.jsonl", "--tolerance", "200000ppm"], "200000ppm", "parts per million"),
        (["check", "x.jsonl", "--granularity", "1"], "'1'", "a number and a unit"),
        (["test", "--granularity", "2h"], "2h", "0s to 1h"),
        (["simulate", "-H", "Accept"], "--header: a header without NAME:", "NAME: VALUE"),
        (["simulate", "-d", "@missing.json"], "missing.json", "@FILE"),
        (["completion", "ksh"], "ksh", "bash, zsh or fish"),
        (["--", "serve"], "COMMAND", "--help"),
        (["tset", "--policy", "5 per 5s"], "no command is named 'tset'", "did you mean test?"),
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


@pytest.fixture
def told(monkeypatch):
    """The arguments as the command line reads them, instead of running them."""
    seen = []
    monkeypatch.setattr(live, "run_client", lambda settings: seen.append(settings) or 0)

    def tell(*argv):
        assert cli.main(["simulate", *map(str, argv)]) == 0
        return seen.pop()

    return tell


def test_simulate_passes_on_what_it_is_told(told, tmp_path):
    body = tmp_path / "body.bin"
    body.write_bytes(b"\xff\x00")
    settings = told(
        *("https://h/", "--clients", 1_000_000, "--connections", 2, "--behaviour", "poisson"),
        *("--rate", "0.5", "--policy", "3 per 2s", "--key", "cookie:id", "--duration", "1m"),
        *("--seed", 7, "--timeout", "3s", "--connect-timeout", "200ms", "--max-rate", 9),
        *("--max-connections", 50, "--method", "POST", "--data", f"@{body}"),
        *("--header", "Accept:  text/* ", "--header", "X-Empty:"),
        *("--cacert", "ca.pem", "--insecure", "--transport", "native", "--threads", 2),
        *("--log", "run.jsonl", "--json", "--yes", "--plain", "--scenario", "s.toml"),
    )
    assert settings == live.ClientSettings(
        scenario_file="s.toml",
        transport="native",
        threads=2,
        log="run.jsonl",
        json=True,
        yes=True,
        plain=True,
        values={
            "url": "https://h/",
            "clients": 1_000_000,
            "connections": 2,
            "behaviour": "poisson",
            "rate_per_s": 0.5,
            "policy": Policy.parse("3 per 2s"),
            "key": KeySpec.parse("cookie:id"),
            "duration_ns": 60 * 10**9,
            "seed": 7,
            "timeout_ns": 3 * 10**9,
            "connect_timeout_ns": 200 * 10**6,
            "max_rate": 9.0,
            "max_connections": 50,
            "method": "POST",
            "headers": (("Accept", "text/*"), ("X-Empty", "")),
            "data": forms.Data(b"\xff\x00", f"@{body}"),
            "ca_file": "ca.pem",
            "insecure": True,
        },
    )


def test_what_simulate_is_not_told_is_left_to_a_scenario_file(told):
    settings = told()
    nothing = dict.fromkeys(("clients", "connections", "behaviour", "rate_per_s"))
    assert settings == live.ClientSettings(values=nothing)
    assert settings.asks_clients


def test_data_is_bytes_as_they_were_typed(told):
    def body(*argv):
        return told(*argv).values["data"].body

    assert body("--data", "a=\u00e4") == b"a=\xc3\xa4"
    assert body("--data", "") == b""
    assert body("--data", "-1") == b"-1"
    assert body("-d", "-1") == body("-d-1") == b"-1"
    assert body("--data", "\udcff") == b"\xff"  # how Python hands on a stray byte


def test_the_errors_of_a_scenario_file_are_listed_one_a_line(tmp_path, capsys):
    path = tmp_path / "scenario.toml"
    path.write_text("duraton = '3s'\n[[clients]]\ncount = 0\n")
    assert cli.main(["simulate", "--scenario", str(path)]) == 64
    assert capsys.readouterr().err.splitlines()[:3] == [
        f"rateproof: error: scenario {str(path)!r} has 2 errors",
        "  line 1: duraton: unknown key (did you mean duration?)",
        "  line 3: clients[0].count: 0 is out of range (a whole number from 1 to 1000000)",
    ]


def test_the_help_of_simulate_is_one_screen(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main(["simulate", "--help"]) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 66


@pytest.mark.parametrize("command", ["simulate", "test", "probe"])
def test_the_statuses_of_a_rejection_are_a_set_wherever_requests_are_sent(command, capsys):
    read = parse([command, "--rejected", "503, 200,100,999"])
    assert read.rejected_statuses == {100, 200, 503, 999}
    assert cli.main([command, "--help"]) == 0
    assert "default: 429,503" in " ".join(capsys.readouterr().out.split())


def test_the_help_of_check_says_what_holds_where_nothing_is_said(capsys):
    assert cli.main(["check", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "default: 500ppm" in told
    assert "default: 0s" in told
    assert "None" not in told


def test_the_declarations_name_what_the_rooms_have():
    """The names stand there so that --help loads no room."""
    assert set(shared.CLAIMS) == set(CLAIM_SETS)
    assert shared.TRANSPORTS == TRANSPORTS


def test_the_module_runs_as_the_command_does():
    done = subprocess.run(
        [sys.executable, "-m", "rateproof", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("rateproof ")


def checked(tmp_path, capsys, policy, *flags):
    """The words of `check` on six admissions within a millisecond, by a log with this policy."""
    log = EventLog()
    for number in range(6):
        log.append(
            Event(
                key=b"a",
                sequence=number,
                sent_ns=number,
                received_ns=1_000_000,
                status=200,
                outcome="admitted",
            )
        )
    path = tmp_path / "run.jsonl"
    with open_log_writer(path, {"policy": policy, "fresh_keys": True}) as writer:
        writer.write(log)
    code = cli.main(["check", str(path), *flags])
    captured = capsys.readouterr()
    assert "olicy" not in captured.out.partition("the policy allows")[0]
    return code, captured.err


@pytest.mark.parametrize(
    ("policy", "flags", "code", "said"),
    [
        ("6 per 1s", [], 2, "policy of the log: 6 per 1s\n"),
        ("4 per 1s", [], 1, "policy of the log: 4 per 1s\n"),
        (None, [], 1, "policy: 5 per 5s (default)\n"),
        ("6 per 1s", ["--policy", "6 per 1s"], 2, ""),
        ("6/s", ["--policy", "6 per 1000ms"], 2, ""),
        (None, ["--policy", "6 per 1s"], 2, ""),
        (
            "6 per 1s",
            ["--policy", "5 per 5s"],
            1,
            "hint: the log was made for the policy '6 per 1s', and is judged by '5 per 5s'\n",
        ),
        ("nonsense", ["--policy", "5 per 5s"], 1, ""),
    ],
)
def test_a_log_is_judged_by_its_own_policy_unless_told_otherwise(
    tmp_path, capsys, policy, flags, code, said
):
    assert checked(tmp_path, capsys, policy, *flags) == (code, said)


def test_a_policy_of_a_log_that_is_none_is_said(tmp_path, capsys):
    code, said = checked(tmp_path, capsys, "nonsense")
    assert code == LogError.exit_code
    assert "the log's policy: " in said
    assert "'nonsense'" in said
    assert "hint: give --policy" in said


@pytest.mark.parametrize(
    "flags",
    [
        ["--insecure"],
        ["--timeout", "1ns"],
        ["--key", "ip"],
        ["http://127.0.0.1:9/?clientId=x"],
        ["--max-rate", "1", "--cacert", "none.pem"],
    ],
)
def test_a_test_that_no_iteration_could_be_run_with_leaves_everything_as_it_was(
    tmp_path, capsys, flags
):
    summary = tmp_path / "test_summary.txt"
    summary.write_text("what was found yesterday")
    url = [] if flags[0].startswith("http:") else ["http://127.0.0.1:9"]
    code = cli.main(["test", *url, *flags, "--out", str(tmp_path)])
    captured = capsys.readouterr()
    assert (code, captured.out) == (64, "")
    assert captured.err.startswith("rateproof: error: ")
    assert summary.read_text() == "what was found yesterday"


@pytest.mark.parametrize(
    "text",
    ['[test]\nurl = "{url}"\n', '[[test.endpoints]]\nname = "one"\nurl = "{url}"\n'],
)
def test_a_url_in_a_file_is_never_replaced_by_a_server_of_our_own(
    text, tmp_path, monkeypatch, capsys
):
    """An endpoint that a file names has to be there: else a test of nothing would pass."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}/"
    (tmp_path / "rateproof.toml").write_text(text.format(url=url))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["test", "--iterations", "1", "--junit", "found.xml"]) == 69
    assert f"nothing listens at {url}" in capsys.readouterr().err
    assert "<error" in (tmp_path / "found.xml").read_text()
