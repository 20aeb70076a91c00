"""Under a nemesis the verdict is still right, and says what was done to whom and when."""

import os
import shlex
import signal
import socket
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from rateproof.errors import InvalidArgument, Unreachable
from rateproof.events import read_log
from rateproof.hunt.server.child import ChildServer
from rateproof.hunt.server.nemesis import Stroke
from rateproof.hunt.server.watch import Watch
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.simulate.target import Target
from tests.samples import quick_first

SECOND = 1_000_000_000
LOST = {"unknown-outcomes", "too-coarse"}  # what lost answers may leave open
FORGETFUL = Path(__file__).parent / "forgetful_server.py"
GUNICORN = "-m gunicorn --worker-class gthread --bind {host}:{port} --no-control-socket"

APP = """
import os, signal
from urllib.parse import unquote

def app(environ, start_response):
    if environ["QUERY_STRING"].endswith("fatal"):
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def target_of(port):
    return Target("http", "127.0.0.1", port)


def python(arguments):
    return f"{shlex.quote(sys.executable)} {arguments}"


@pytest.fixture
def ours(free_port):
    """Our own server with three workers."""
    key = KeySpec.parse("query:clientId")
    child = ChildServer.ours(target_of(free_port), Policy.parse("5 per 1s"), key, workers=3)
    with child:
        yield child


@pytest.fixture
def gunicorn(free_port, tmp_path, monkeypatch):
    """Gunicorn with two workers, either of which a request can kill."""
    (tmp_path / "fatal.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    command = python(f"{GUNICORN} --preload --workers 2 fatal:app")
    with ChildServer.of(target_of(free_port), command) as child:
        until(lambda: len(child.workers()) == 2)
        yield child


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def watched(child, *strokes):
    with Watch(child, strokes) as watch:
        yield watch


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(("server", "count"), [("ours", 3), ("gunicorn", 2)])
def test_the_workers_are_the_processes_that_serve_and_not_the_one_that_starts_them(
    request, server, count
):
    child = request.getfixturevalue(server)
    until(lambda: len(child.workers()) == count)
    workers = child.workers()
    assert [worker.number for worker in workers] == list(range(1, count + 1))
    assert len({parent_of(worker.pid) for worker in workers}) == 1
    assert not any(worker.leads for worker in workers)


def test_a_killed_worker_is_replaced_and_is_no_crash(ours):
    until(lambda: len(ours.workers()) == 3)
    (victim, *_) = ours.workers()
    with watched(ours, Stroke("kill", 0, 0, 0.0)) as watch:
        until(lambda: watch.deeds and watch.deeds[0].until_ns)
        until(lambda: len(ours.workers()) == 3)
    (deed,) = watch.deeds
    assert (deed.what, deed.worker, deed.pid) == ("kill", 1, victim.pid)
    assert watch.crashes == []
    assert {worker.number for worker in ours.workers()} == {2, 3, 4}


def test_a_paused_worker_stands_still_and_goes_on(ours):
    until(lambda: len(ours.workers()) == 3)
    pid = ours.workers()[2].pid

    def state():
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    with watched(ours, Stroke("pause", 0, SECOND // 2, 0.99)) as watch:
        until(lambda: state() == "T")
        until(lambda: state() != "T")
    (deed,) = watch.deeds
    assert (deed.worker, deed.pid) == (3, pid)
    assert SECOND // 2 <= deed.until_ns - deed.at_ns < 20 * SECOND
    assert watch.crashes == []


def test_whoever_is_paused_goes_on_when_the_watch_ends(ours):
    with watched(ours, Stroke("pause", 0, 3_600 * SECOND, 0.0)) as watch:
        until(lambda: watch.deeds)
    pid = watch.deeds[0].pid
    assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T"


def test_a_restart_replaces_every_process_and_is_no_crash(ours):
    until(lambda: len(ours.workers()) == 3)
    before = {worker.pid for worker in ours.workers()}
    with watched(ours, Stroke("restart", 0, 0, 0.0)) as watch:
        until(lambda: watch.deeds and watch.deeds[0].until_ns)
        assert ours.answers()
        until(lambda: len(ours.workers()) == 3)
    assert watch.crashes == []
    assert before.isdisjoint(worker.pid for worker in ours.workers())


def test_a_server_of_one_process_is_its_own_worker_and_is_started_again(free_port):
    command = python(f"{FORGETFUL} {{port}} forgets")
    with ChildServer.of(target_of(free_port), command) as child:
        with watched(child, Stroke("kill", 0, 0, 0.5)) as watch:
            until(lambda: watch.deeds and watch.deeds[0].until_ns)
            assert child.answers()
        assert watch.crashes == []
        assert "killed the server at" in str(watch.deeds[0])


def test_a_worker_that_dies_by_itself_is_a_crash_beside_a_killed_one_too(gunicorn):
    with watched(gunicorn, Stroke("kill", 0, 0, 0.0)) as watch:
        until(lambda: watch.deeds and watch.deeds[0].until_ns)
        until(lambda: len(gunicorn.workers()) == 2)
        with socket.create_connection(("127.0.0.1", gunicorn_port(gunicorn))) as connection:
            connection.sendall(b"GET /?fatal HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(1) == b""
        until(lambda: watch.crashes)
    (crash,) = watch.crashes
    assert (crash.whose, crash.what) == ("worker", "worker 2 died") or crash.what == "worker 3 died"


def gunicorn_port(child):
    return int(str(child).split("127.0.0.1:")[1].split()[0])


def test_a_server_that_dies_by_itself_is_a_crash_and_is_started_again(ours):
    until(lambda: len(ours.workers()) == 3)
    with watched(ours) as watch:
        os.kill(parent_of(ours.workers()[0].pid), signal.SIGKILL)
        until(lambda: watch.crashes)
        until(ours.answers)
    (crash,) = watch.crashes
    assert (crash.whose, crash.what) == ("server", "server killed by signal 9")


def test_a_server_that_stays_away_is_a_crash_and_the_next_watch_tries_again(free_port, tmp_path):
    """It starts only where a file is."""
    allowed = tmp_path / "allowed"
    allowed.touch()
    program = tmp_path / "once.py"
    program.write_text(
        "import os, sys\n"
        f"os.path.exists({str(allowed)!r}) or sys.exit(3)\n"
        f"os.execv(sys.executable, [sys.executable, {str(FORGETFUL)!r}, '{free_port}', 'forgets'])\n"
    )
    with ChildServer.of(target_of(free_port), python(str(program))) as child:
        allowed.unlink()
        with watched(child, Stroke("restart", 0, 0, 0.0)) as watch:
            until(lambda: watch.crashes)
        assert "does not listen" in watch.crashes[0].what
        assert "since when nothing accepts connections" in str(watch.deeds[0])
        allowed.touch()
        with watched(child) as again:
            assert child.answers()
        assert again.crashes == []


@pytest.mark.parametrize(
    ("command", "words"),
    [("", "is empty"), ("'", "quotation"), ("/no/such/program --port {port}", "cannot start")],
)
def test_a_command_that_cannot_be_one_is_refused(free_port, command, words):
    with pytest.raises(InvalidArgument, match=words):
        ChildServer.of(target_of(free_port), command).start()


def test_a_command_that_ends_says_its_last_words(free_port):
    command = python("-c 'import sys; sys.exit(\"no such app\")'")
    with pytest.raises(Unreachable, match="does not listen") as caught:
        ChildServer.of(target_of(free_port), command).start()
    assert caught.value.hint == "no such app"


# ------------------------------------------------------------- the tester


@pytest.fixture
def tester(run_tester, free_port, tmp_path):
    """Run the tester against a server that it starts."""

    def run(*arguments, deeds="all", seed=1, iterations=2, ours=("--self",)):
        steps = ("--seed", seed, "--iterations", iterations, "--nemesis", deeds, "--no-shrink")
        whose = () if "--start" in arguments else ours
        url = f"http://127.0.0.1:{free_port}"
        return run_tester(url, *steps, *whose, *arguments, cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    ("seed", "iterations"), quick_first((seed, 1 + (seed > 1)) for seed in range(1, 7))
)
def test_our_own_server_is_never_called_violated(tester, seed, iterations):
    """Whatever is done to it: its promise goes on across every death."""
    code, lines, errors = tester(seed=seed, iterations=iterations)
    *told, totals = lines
    assert totals["verdict"] in {"consistent", "inconclusive"}, errors
    assert totals["crashes"] == {}, errors
    assert code == {"consistent": 0, "inconclusive": 2}[totals["verdict"]]
    assert any(iteration["nemesis"] for iteration in told), "a stroke may meet no worker"
    for iteration in told:
        if iteration["verdict"]["outcome"] == "inconclusive":
            assert set(iteration["verdict"]["causes"]) <= LOST, errors


@pytest.mark.alone  # on a busy machine so many answers are lost that nothing is certain
def test_a_limiter_that_forgets_is_violated_and_what_was_done_is_told(tester, tmp_path):
    code, lines, errors = tester(
        *("--start", python(f"{FORGETFUL} {{port}} forgets")), deeds="kill,restart"
    )
    assert code == 1
    assert lines[-1]["verdict"] == "violated"
    assert lines[-1]["crashes"] == {}
    iterations = [line for line in lines if line["type"] == "iteration"]
    claims = {e["claim"] for line in iterations for e in line["verdict"]["evidence"]}
    assert claims == {"over-admission"}
    (found,) = [line for line in lines if line["type"] == "reproduction"]
    assert found["schedule"] is None
    assert f"--nemesis kill,restart --seed 1 --iterations {found['iteration']}" in found["repeat"]
    assert found["repeat"] in errors
    assert "nemesis   " in errors
    text = (tmp_path / "test_summary.txt").read_text()
    assert "killed the server" in text or "restarted the server" in text
    log = min(tmp_path.glob("test_log_*.parquet"))
    assert read_log(log).metadata["nemesis"] == lines[0]["nemesis"]


@pytest.mark.slow
def test_a_limiter_that_rejects_everybody_after_a_start_is_violated(tester):
    code, lines, _ = tester(
        *("--start", python(f"{FORGETFUL} {{port}} distrusts")), deeds="restart", iterations=1
    )
    assert code == 1
    (evidence, *_) = lines[0]["verdict"]["evidence"]
    assert evidence["claim"] == "wrong-rejection"


@pytest.mark.slow
def test_a_limiter_that_forgets_is_not_violated_when_nothing_is_done_to_it(tester):
    code, lines, errors = tester(
        *("--allow-untested", "--start", python(f"{FORGETFUL} {{port}} forgets")),
        deeds="none",
        iterations=1,
    )
    assert (code, lines[0]["verdict"]["outcome"]) == (0, "consistent"), errors
    assert lines[0]["nemesis"] == []


def test_a_server_that_was_not_started_here_is_left_alone(tester, free_port):
    with socket.create_server(("127.0.0.1", free_port)):
        code, lines, errors = tester(ours=())
        assert (code, lines) == (64, [])
        assert "a nemesis for" in errors
        assert "--start" in errors
        code, lines, errors = tester("--start", "anything", deeds="none")
        assert (code, lines) == (69, [])
        assert "something listens at" in errors


def test_another_word_for_a_deed_is_refused(tester):
    code, _, errors = tester(deeds="maim")
    assert code == 64
    assert "nemesis 'maim'" in errors
