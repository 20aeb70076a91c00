"""A crash of the server is shrunk to the least traffic that repeats it."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from rateproof.events import Event, EventLog
from rateproof.hunt.shrinking.crashes import suspects

CRASHING = Path(__file__).parent / "crashing_server.py"
MS = 1_000_000


@pytest.fixture
def tested(run_tester, free_port):
    """Run the tester against a server that crashes."""

    def run(mode, bound):
        command = f"{shlex.quote(sys.executable)} {CRASHING} {{port}} {mode} {bound}"
        steps = ("--seed", 1, "--iterations", 1, "--shrink-time", "80s")
        return run_tester(f"http://127.0.0.1:{free_port}", "--start", command, *steps)

    return run


def crash_of(lines):
    (found,) = [line for line in lines if line.get("kind") == "crash"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "bound", "least", "connections"),
    [
        ("requests", 8, 9, 1),
        pytest.param("together", 12, 13, 13, marks=pytest.mark.alone),
    ],
    ids=["more than 8 requests of one client", "more than 12 requests at once"],
)
def test_the_least_traffic_that_crashes_the_server_is_found_and_repeats_it(
    tested, spawn, tmp_path, mode, bound, least, connections
):
    code, lines, errors = tested(mode, bound)
    assert code == 1
    assert lines[0]["crashes"]["server died"] >= 1
    crash = crash_of(lines)
    slack = 0 if connections == 1 else 3  # whether all of them meet is a matter of luck
    assert crash["schedule"] in [f"{least + more} at 0 s" for more in range(slack + 1)], errors
    assert crash["connections"] in range(connections, connections + slack + 1)
    assert crash["tries"] == 6
    assert crash["reproduced"] >= (6 if slack == 0 else 5)
    assert "shrinking the crash: server exited with code 7" in errors
    _, *words = shlex.split(crash["repeat"])
    assert words[:3] == ["-m", "rateproof", "test"], "as it was started"
    again = spawn(*words, "--iterations", 1, "--out", tmp_path, "--json")
    output, errors = again.communicate(timeout=200)
    assert again.returncode == 1
    assert json.loads(output.splitlines()[0])["crashes"]["server died"] >= 1
    assert "crash" in errors


def log_of(*rows):
    log = EventLog()
    for key, at_ms, connection in rows:
        event = Event(
            key=key,
            sent_ns=at_ms * MS,
            received_ns=None,
            status=None,
            outcome="unknown",
            connection=connection,
        )
        log.append(event)
    return log


def test_the_busiest_client_is_suspected_first_and_then_all_together():
    log = log_of((b"a", 0, 1), (b"b", 1, 2), (b"b", 2, 3), (b"b", 300, 2), (b"c", 900, 4))
    first, *_, together = suspects(log, 500 * MS)
    assert str(first) == "2 at 0 s, 1 at 0.29 s; on 2 connections"
    assert str(together) == "4 at 0 s; on 3 connections"


def test_what_was_sent_after_the_crash_is_not_suspected():
    log = log_of((b"a", 0, 1), (b"b", 600, 2))
    assert {recipe.requests for recipe in suspects(log, 500 * MS)} == {1}
    assert list(suspects(log_of((b"b", 600, 2)), 500 * MS)) == []
