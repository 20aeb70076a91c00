"""Access logs that do not fit in memory are judged as those that do."""

import json
import tempfile

import pytest

from rateproof import cli
from rateproof.events import costs, splitter
from rateproof.events.access_logs import bounded

FORMAT = '$remote_addr $msec $request_time $status "$request"'
BEGIN_S = 1_790_000_000
MEMORY = "--memory", "190MB"  # 180 are the program's


def line(at_s, client, status=200, path="/"):
    return f'10.0.0.{client} {BEGIN_S + at_s:.3f} 0.004 {status} "GET {path} HTTP/1.1"\n'


@pytest.fixture
def log(tmp_path):
    """40 clients, one that got too much, one that was rejected without need, one at the very end."""
    lines = [(at * 0.2, line(at * 0.2, at % 40)) for at in range(900)]
    lines += [(50 + at / 10, line(50 + at / 10, 50)) for at in range(9)]
    lines += [(80.0, line(80, 51, 429)), (179.7, line(179.7, 52, 429))]
    path = tmp_path / "access.log"
    path.write_text("".join(text for _, text in sorted(lines)))
    return path


@pytest.fixture
def check(capsys, tmp_path, monkeypatch):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr("rateproof.events.judged.LONG", 100)  # what goes to pieces is long

    def run(*words):
        code = cli.main(["check", *map(str, words), "--policy", "5 per 10s", "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    yield run
    assert not list(folder.iterdir()), "files were left behind"


@pytest.fixture
def little(monkeypatch):
    """200 rows are as many as 1,000,000 are, and go to pieces."""
    monkeypatch.setattr(bounded, "BYTES_A_ROW", 350_000)
    monkeypatch.setattr(bounded, "_LEAST_ROWS", 200)
    monkeypatch.setattr("rateproof.events.lines._BLOCK", 5_000)
    monkeypatch.setattr(costs, "_BYTES_A_ROW", 120_000)
    monkeypatch.setattr(costs, "BYTES_IN_TURN", 120_000)
    monkeypatch.setattr(splitter, "LONG", 100)


@pytest.mark.parametrize(
    "options", [(), ("--where", "path !~ x", "--until", "2026-09-21T14:16:00Z")]
)
def test_the_verdict_is_that_of_the_whole(options, log, check, request):
    asked = (log, "--format", FORMAT, *options)
    code, whole, err = check(*asked)
    assert "fit" not in err
    assert code == 1
    assert {one["claim"] for one in whole["evidence"]} == {"over-admission", "wrong-rejection"}
    request.getfixturevalue("little")
    again, parted, err = check(*asked, *MEMORY)
    assert "the log does not fit in 190 MB: it goes to" in err
    assert "pieces by key" in err
    assert (again, parted) == (code, whole)


@pytest.mark.usefixtures("little")
def test_several_hosts_go_to_one_file(log, check, tmp_path):
    other = tmp_path / "other.log"
    other.write_text("".join(line(at * 0.3, 60 + at % 30) for at in range(600)))
    code, found, err = check(log, other, "--skew", "5ms", "--format", FORMAT, *MEMORY)
    assert "it goes to" in err
    assert code == 1
    assert found["counts"]["events"] == 1_511


@pytest.mark.usefixtures("little")
def test_what_needs_the_whole_log_is_refused(log, capsys):
    asked = ["check", str(log), "--format", FORMAT, "--by-key", *MEMORY]
    assert cli.main(asked) == 64
    assert "--by-key with a log that does not fit in memory" in capsys.readouterr().err


@pytest.mark.usefixtures("little", "check")
def test_a_clock_that_is_set_back_is_noticed_in_a_log_on_disk(log, capsys):
    with log.open("a") as file:
        file.write(line(-3_000, 1))
    assert cli.main(["check", str(log), "--format", FORMAT, *MEMORY]) == 65
    assert "before one of a line above" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("others", "options", "rejected", "unknown"),
    [([429], [], 1, 40), ([], [], 40, 0), ([], ["--rejected", "429"], 0, 40)],
)
def test_a_503_beside_a_429_is_a_failing_servers(others, options, rejected, unknown, log, check):
    """By itself it is taken for the limiter's, and the verdict says so."""
    lines = [line(at, 1, status) for at, status in enumerate([*[503] * 40, *others])]
    log.write_text("".join(lines))
    _, found, _ = check(log, "--format", FORMAT, *options)
    assert (found["counts"]["rejected"], found["counts"]["unknown"]) == (rejected, unknown)
    assumed = any("a 503 taken for a rejection is the limiter's" in one for one in found["reasons"])
    assert assumed is not bool(others or options)
