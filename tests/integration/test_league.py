"""The league judges real servers, and leaves none behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from league import __main__ as league
from league.limiters import ROWS
from league.row import Row, Truth
from league.start import DidNotStart, running
from rateproof.simulate.target import Target
from tests.samples import quick_first

ROOT = Path(__file__).parents[2]
OURS = next(row for row in ROWS if row.name.startswith("rateproof serve"))
KNOWN = {
    "row": "example", "run": 1, "date": "2026-01-02", "version": "1", "truth": "yes",
    "verdict": "violated", "worst": 7,
}  # fmt: skip
ENDLESS = """
import sys
from league import __main__ as league
league.prepare = lambda: None
sys.argv[1:] = ["--only", "rateproof serve"]
league.entry()
"""


def flask_limiter(*, truth):
    """The example application, whose windows open at a client's first request."""
    app = (sys.executable, str(ROOT / "examples" / "flask_limiter_app.py"))
    return Row(
        name="example",
        truth=truth,
        why="a window opens at a client's first request",
        worst=9,
        version=lambda: "as installed",
        commands=lambda place: [(*app, "--port", str(place.port))],
    )


@pytest.fixture
def play(monkeypatch, tmp_path, capfd):
    """Run the league with rows of the test's own; what is returned is code, results and page."""

    def play(*rows, options):
        monkeypatch.setattr(league, "ROWS", rows)
        monkeypatch.setattr(league, "prepare", lambda: None)
        page = tmp_path / "league.md"
        page.write_text("")
        monkeypatch.setattr(league, "_PAGE", page)
        code = league.main(options)
        printed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        return code, printed, page.read_text()

    return play


@pytest.mark.slow
def test_a_yes_is_found_and_a_no_is_not_called_violated(play):
    code, printed, page = play(
        flask_limiter(truth=Truth.YES), OURS, options=["--seconds", "30", "--runs", "1"]
    )
    assert [result["verdict"] for result in printed] == ["violated", "consistent"]
    assert 5 < printed[0]["worst"] <= 9
    assert printed[1]["worst"] == 5
    assert code == 0
    assert "The 2 rows whose truth is known came out right in every run, 2 runs in all" in page


@pytest.mark.slow
def test_a_row_that_comes_out_wrong_fails_the_league(play):
    code, _, page = play(flask_limiter(truth=Truth.NO), options=["--seconds", "30"])
    assert code == 1
    assert "came out wrong at least once: example" in page


def test_a_limiter_that_does_not_start_is_a_failure_with_its_last_words(play):
    words = "import sys; sys.exit('no such limiter')"
    broken = Row(
        name="broken",
        truth=Truth.YES,
        why="it ends at once",
        worst=None,
        version=lambda: "",
        commands=lambda _: [(sys.executable, "-c", words)],
    )
    with pytest.raises(DidNotStart, match="no such limiter"), running(broken):
        pass
    code, printed, page = play(broken, options=[])
    assert code == 1
    assert (printed[0]["verdict"], printed[0]["reason"]) == ("failed", "no such limiter")
    assert "broken" not in page


def test_a_row_without_its_program_is_not_run_and_fails_nothing_but_itself(play, tmp_path):
    absent = Row(
        name="absent",
        truth=Truth.YES,
        why="never mind",
        worst=None,
        needs=("no-such-program",),
        version=lambda: "",
        commands=lambda _: [],
    )
    code, printed, page = play(absent, options=[])
    assert code == 1, "nothing was run"
    file = tmp_path / "results.jsonl"
    file.write_text(json.dumps(KNOWN) + "\n")
    code, printed, page = play(
        absent, flask_limiter(truth=Truth.YES), options=["--results", str(file)]
    )
    assert code == 0
    assert (printed[0]["verdict"], printed[0]["reason"]) == ("not run", "no no-such-program here")
    assert "absent" not in page


def test_a_part_of_the_league_does_not_write_the_page(play):
    """It would lose the other rows."""
    assert play(OURS, options=["--runs", "0"])[2].startswith("# The league")
    assert play(OURS, options=["--runs", "0", "--only", "rateproof"])[2] == ""


def test_what_has_a_verdict_in_the_file_of_results_is_not_run_again(play, tmp_path):
    file = tmp_path / "results.jsonl"
    failed = KNOWN | {"run": 2, "verdict": "failed"}
    file.write_text(json.dumps(KNOWN) + "\n" + json.dumps(failed) + "\n")
    code, printed, page = play(flask_limiter(truth=Truth.YES), options=["--results", str(file)])
    assert (code, printed) == (0, [])
    assert "| example | yes | 1 of 1 | 7 / 9 |" in page


def test_every_process_of_a_row_ends_with_it():
    """Workers too, which are children of what was started."""
    with running(OURS) as url:
        target = Target.parse(url)
        assert target.answers()
        started = groups_of_children()
        assert started
    assert not target.answers()
    wait_for_end(started)


@pytest.mark.parametrize("number", quick_first([signal.SIGINT, signal.SIGTERM]))
def test_a_league_that_is_interrupted_leaves_no_server_behind(number):
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 120
        while len(groups := groups_of_children(process.pid)) < 2:  # the limiter and the hunt
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        wait_for_end(groups)
    finally:
        process.kill()
        process.communicate()


def groups_of_children(parent=None):
    """Process groups that the children of a process lead, from the machine's table."""
    parent = parent or os.getpid()
    table = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid="], capture_output=True, text=True, check=True
    ).stdout
    rows = [tuple(map(int, re.findall(r"\d+", line))) for line in table.splitlines()]
    return {pid for pid, ppid, group in rows if ppid == parent and pid == group}


def wait_for_end(groups):
    """Until the machine has taken all of their processes away."""
    deadline = time.monotonic() + 60
    while any(is_alive(group) for group in groups):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(group):
    with suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False
