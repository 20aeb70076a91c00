"""The hunt against real servers: it finds, shrinks, repeats, and finds nothing where nothing is."""

import json
import re
import shlex
import signal
import time

import pytest

from rateproof.events import read_log
from rateproof.simulate.behaviours.schedule import Schedule

FIXED_WINDOW = """
from flask import Flask, request
from flask_limiter import Limiter
app = Flask(__name__)
Limiter(
    key_func=lambda: request.args.get("clientId", ""),
    app=app,
    default_limits=["5 per 2 seconds"],
    strategy="fixed-window",
    storage_uri="memory://",
)
@app.get("/")
def index():
    return "hello"
"""

MEMORY = """
import time
from collections import defaultdict, deque
seen = defaultdict(deque)
def app(environ, start_response):
    times, now = seen[environ["QUERY_STRING"]], time.monotonic()
    while times and times[0] <= now - 1:
        times.popleft()
    full = len(times) >= 5
    if not full:
        times.append(now)
    status = "429 Too Many Requests" if full else "200 OK"
    start_response(status, [("Content-Length", "0")])
    return [b""]
"""

FORGETFUL = (
    MEMORY.replace("seen = defaultdict(deque)", "seen = {}").replace(
        'seen[environ["QUERY_STRING"]]', 'remembered(environ["QUERY_STRING"])'
    )
    + """
def remembered(key):
    seen[key] = seen.pop(key, None) or deque()
    if len(seen) > 100:
        del seen[next(iter(seen))]
    return seen[key]
"""
)


@pytest.fixture
def serve(spawn, free_port, wait_for_port, tmp_path):
    """Serve a WSGI application by gunicorn; its URL."""

    def start(program, *options):
        (tmp_path / "limited.py").write_text(program)
        process = spawn(
            *("-m", "gunicorn", "limited:app", "--preload", "--chdir", tmp_path),
            *("--bind", f"127.0.0.1:{free_port}", "--log-level", "warning", *options),
        )
        wait_for_port(free_port, process)
        return f"http://127.0.0.1:{free_port}"

    return start


@pytest.fixture
def hunt(run_tester):
    """Run the tester against a server that is there."""

    def run(url, *options, **settings):
        return run_tester(url, "--seed", 1, *options, **settings)

    return run


def schedules(lines):
    return [line for line in lines if "schedule" in line]


@pytest.mark.slow
@pytest.mark.alone  # a busy machine moves requests over the edge of the window
def test_a_fixed_window_is_found_and_shrunk_to_a_short_schedule(serve, hunt, spawn, tmp_path):
    url = serve(FIXED_WINDOW, "--threads", "8")
    code, lines, words = hunt(url, "--fail-fast", "--claim", "over-admission", policy="5 per 2s")
    assert code == 1, words
    (found,) = schedules(lines)
    first, *_, last = Schedule.parse(found["schedule"]).steps
    assert first == (0, 1), "docs/theory.md, section 4: it opens the window"
    assert last[0] > 2_000_000_000
    # A busy machine may leave one or two that are not needed.
    assert 5 + 2 <= sum(count for _, count in Schedule.parse(found["schedule"]).steps) <= 12
    assert found["reproduced"] > found["tries"] / 2
    assert found["tries"] >= 3
    assert lines[-1]["reproductions"][0]["schedule"] == found["schedule"]
    text = (tmp_path / "test_summary.txt").read_text()
    assert found["schedule"] in text
    assert found["repeat"] in text

    _, *command = shlex.split(found["repeat"])
    assert command[:3] == ["-m", "rateproof", "test"], "as it was started"
    again = spawn(*command, "--out", tmp_path / "again", "--json")
    output, words = again.communicate(timeout=200)
    assert again.returncode == 1, words
    (repeated,) = schedules(map(json.loads, output.splitlines()))
    assert repeated["schedule"] == found["schedule"]
    assert repeated["reproduced"] > 3


def test_four_workers_that_count_each_for_itself_are_found_in_the_first_iteration(serve, hunt):
    url = serve(MEMORY, "--workers", "4")
    code, lines, words = hunt(url, "--fail-fast", "--claim", "over-admission")
    assert code == 1, words
    assert lines[0]["iteration"] == 1
    assert lines[0]["verdict"]["outcome"] == "violated"
    (found,) = schedules(lines)
    assert found["schedule"] == "6 at 0 s"


def test_a_store_that_forgets_is_shrunk_with_the_others_it_takes(serve, hunt):
    url = serve(FORGETFUL, "--threads", "4")
    options = ("--iterations", 3, "--fail-fast", "--claim", "over-admission")
    code, lines, words = hunt(url, *options, policy="5 per 3s")
    assert code == 1, words
    assert all(line["iteration"] <= 3 for line in lines if "iteration" in line)


@pytest.mark.slow
def test_nothing_is_found_in_our_own_server_and_it_is_pressed_ever_closer(
    run_tester, free_port, tmp_path
):
    url = f"http://127.0.0.1:{free_port}"
    code, lines, words = run_tester(url, "--self", "--seed", 2, "--iterations", 7)
    assert code == 0, words
    assert len(lines) == 8
    told = (tmp_path / "test_summary.txt").read_text()
    iterations = [" ".join(part.split()) for part in told.split("\n  sent ")]
    nearer = [
        found.groups()
        for part in iterations
        if (found := re.match(r"attack, closer than the ([\d.]+) s that were left: (.*)", part))
    ]
    assert len(nearer) == 2
    for left, attacks in nearer:
        edges = [float(edge) for edge in re.findall(r"\(([\d.]+) s\)", attacks)]
        # What was left is told in three digits.
        assert 0 < max(edges) <= max(0.001, 1.01 * float(left) / 2), "half, but for the finest"


def test_a_schedule_is_run_as_it_is(scripted, hunt):
    server = scripted(answer)
    arguments = ("--schedule", "3 at 0s, 2 at 0.3s", "--connections", 3)
    code, lines, words = hunt(f"http://127.0.0.1:{server.port}", *arguments)
    assert code == 2, "never stressed"
    (found,) = schedules(lines)
    assert (found["reproduced"], found["tries"]) == (0, 6)
    assert "no violation with any of 6 fresh clients" in words
    names = [head.split()[1] for head in server.heads]
    assert len(names) == 30
    assert len(set(names)) == 6


def test_a_schedule_begins_in_its_phase_and_has_others_beside_it(scripted, hunt, tmp_path):
    server = scripted(answer)
    arguments = ("--schedule", "1 at 0s, 1 at 0.5s", "--others", "40 at 0.1s", "--phase", "0.25s")
    late_ns = []
    while not late_ns or (late_ns[-1] > 10_000_000 and len(late_ns) < 5):
        # A busy machine may not be ready at that instant.
        server.heads.clear()
        _, lines, words = hunt(f"http://127.0.0.1:{server.port}", *arguments)
        assert schedules(lines)[0]["phase"] == "0.25 s of 1 s", words
        assert len({head.split()[1] for head in server.heads}) == 46
        log = read_log(max(tmp_path.glob("test_log_*")))
        late_ns.append(abs(log.metadata["epoch_ns"] % 10**9 - 250_000_000))
    assert late_ns[-1] <= 10_000_000, late_ns


def answer(connection, _head):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_a_signal_ends_a_search_for_the_shortest_with_the_verdict(serve, start_tester):
    url = serve(MEMORY.replace("now - 1", "now - 20"), "--workers", "4")
    process = start_tester(url, "--seed", 1, policy="5 per 20s")
    for line in process.stderr:
        if line.startswith("shrinking"):
            break
    time.sleep(1)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, words = process.communicate(timeout=200)
    assert time.monotonic() - began < 40, "shrinking takes a minute and more"
    assert process.returncode == 1, words
    assert json.loads(output.splitlines()[-1])["verdict"] == "violated"


def test_a_limit_on_the_rate_holds_while_it_shrinks(scripted, hunt):
    times = []

    def admit(connection, head):
        times.append(time.monotonic())
        answer(connection, head)

    server = scripted(admit)
    arguments = ("--fail-fast", "--max-rate", 50, "--claim", "over-admission")
    code, lines, words = hunt(f"http://127.0.0.1:{server.port}", *arguments)
    assert code == 1, words
    (found,) = schedules(lines)
    assert found["schedule"] == "6 at 0 s"
    assert "--max-rate 50" in found["repeat"]
    times.sort()
    assert len(times) > 150
    assert all(b - a > 0.3 for a, b in zip(times, times[100:], strict=False)), (
        "2 s, but for a stall"
    )
