"""The server, as real processes: exact across its workers, honest in its fields, orderly in death."""

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rateproof.enforce.stores.location import directory_of, remove
from tests.samples import quick_first

NATIVE, PYTHON, BARE = "native core, granian", "python core, granian", "bare"
FLAVOURS = (NATIVE, PYTHON, BARE)

# Serve as the command line does, with a change made to the application first. Nobody is quicker
# by waiting for less: requests are awaited for a minute, and a minute of deaths lasts an hour.
PROGRAM = """
import contextlib, multiprocessing, os, sys, time
from rateproof import cli
from rateproof.enforce.server import werkzeug_server, worker

werkzeug_server._DRAIN_S = 60
with contextlib.suppress(ImportError):
    from rateproof.enforce.server import granian_server
    granian_server._DRAIN_S, granian_server._MINUTE_S = 60, 3_600

multiprocessing.set_start_method("fork")  # so that workers inherit the change
greeting, parent = worker.greeting, os.getpid()

def changed():
    app = greeting()
    {change}
    return app

worker.greeting = changed
sys.exit(cli.main(sys.argv[1:]))
"""
SLOW = """
    @app.route("/slow", methods=["POST"])
    def slow():
        print("in flight", file=sys.stderr, flush=True)
        time.sleep(0.7)
        return "done"
"""
AS_IT_IS = "pass"
BROKEN = """
    if os.getpid() != parent:
        raise RuntimeError("this worker is broken")
"""


def changed(change):
    return ("-c", PROGRAM.format(change=change.strip()))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_five_requests_pass_and_the_sixth_does_not(start, flavour):
    server = start(flavour)
    assert [server.status("a") for _ in range(6)] == [200] * 5 + [503]
    assert server.status("b") == 200
    assert server.ask("/healthz")[::2] == (200, b"ok\n")


@pytest.mark.parametrize("flavour", quick_first(FLAVOURS))
def test_of_200_concurrent_requests_of_one_client_exactly_five_pass(start, flavour):
    workers = ("--workers", 4) if flavour == NATIVE else ()
    server = start(flavour, "--policy", "5 per 1m", *workers)
    for _ in range(3):
        client = uuid.uuid4().hex
        together = threading.Barrier(50)

        def ask_four_times(_, client=client, together=together):
            with contextlib.closing(server.connect()) as connection:
                connection.connect()
                together.wait()
                return [server.status(client, connection=connection) for _ in range(4)]

        with ThreadPoolExecutor(50) as pool:
            statuses = Counter(itertools.chain(*pool.map(ask_four_times, range(50))))
        assert statuses == {200: 5, 503: 195}


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_both_kinds_of_answer_say_the_same_limit(start, flavour):
    server = start(flavour, "--status", 429, "--policy", "2 per 5s; 100 per 1m")
    answers = [server.ask("/?clientId=a") for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    states = []
    for _, fields, _ in answers:
        assert fields["RateLimit-Policy"] == '"2-per-5s";q=2;w=5, "100-per-1m";q=100;w=60'
        item = r'"{}";r=(\d+);t=(\d+)'
        form = f"{item.format('2-per-5s')}, {item.format('100-per-1m')}"
        states.append([int(n) for n in re.fullmatch(form, fields["RateLimit"]).groups()])
    assert [(state[0], state[2]) for state in states] == [(1, 99), (0, 98), (0, 98)]
    assert all(1 <= state[1] <= 5 and 55 <= state[3] <= 60 for state in states)
    _, fields, body = answers[2]
    assert int(fields["Retry-After"]) == states[2][1]
    assert fields["Content-Type"] == "application/problem+json"
    assert fields["Cache-Control"] == "no-store"
    assert json.loads(body)["violated-policies"] == ["2-per-5s"]
    assert "Retry-After" not in answers[0][1]


@pytest.mark.parametrize("flavour", quick_first([BARE, NATIVE]))
def test_a_connection_is_kept_for_many_requests(start, flavour):
    server = start(flavour)
    with contextlib.closing(server.connect()) as connection:
        connection.connect()
        used = connection.sock
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
            status, fields, answer = server.ask("/", connection, method)
            assert status in {200, 503}
            assert (answer == b"") == (method == "HEAD")
            assert int(fields["Content-Length"]) > 0
        assert server.ask("/healthz", connection)[0] == 200
        assert connection.sock is used


def test_the_banner_says_what_is_served_and_by_which_core(start):
    server = start(NATIVE, "--workers", 2, "--policy", "7 per 9s", "--key", "header:X|ip")
    assert "".join(server.said) == (
        f"rateproof 0.1.0 (native core): 7 per 9s per header:X|ip, 2 workers, "
        f"listening at http://127.0.0.1:{server.port}\n"
    )


def test_without_the_native_core_one_worker_counts_and_the_banner_says_what_that_means(start):
    server = start(PYTHON, "--policy", "7 per 9s", "--json")
    warning, banner = server.said
    assert "a restart forgives" in warning
    assert "without the native core" in warning
    assert "(python core): 7 per 9s" in banner
    assert ", 1 worker, " in banner
    assert '"store": "memory://"' in server.stop()[2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--workers", 2), "2 workers with memory://, which they cannot share"),
        (("--store", "shm://mine"), "store 'shm://mine' needs the native core"),
    ],
)
def test_without_the_native_core_what_needs_it_is_refused_with_what_to_install(
    spawn, options, problem
):
    process = spawn(
        *("-m", "rateproof", "serve", "--port", 0, *options),
        env=os.environ | {"RATEPROOF_CORE": "python"},
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 64
    assert problem in err
    assert "native core" in err
    assert "Traceback" not in out + err


def test_without_flask_it_says_how_to_install_it(spawn, hide):
    process = spawn("-m", "rateproof", "serve", "--port", 0, env=os.environ | hide("flask"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 64
    assert "Flask is not installed" in err
    assert "pip install flask" in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("flavour", [NATIVE, BARE])
def test_a_port_in_use_is_named_and_its_server_undisturbed(start, flavour):
    first = start(flavour)
    second = start(flavour, "--port", first.port, wait=False)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 69
    assert f"127.0.0.1:{first.port} is already in use" in err
    assert "Traceback" not in out + err
    assert first.status("a") == 200


def test_an_address_of_another_machine_is_refused(start):
    process = start(NATIVE, "--host", "192.0.2.1", wait=False)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 69
    assert "192.0.2.1" in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("flavour", "number"),
    [(NATIVE, signal.SIGTERM), (NATIVE, signal.SIGINT), (BARE, signal.SIGTERM)],
)
def test_a_signal_ends_it_at_once_though_connections_are_idle(start, flavour, number):
    server = start(
        flavour, *(("--workers", 2) if flavour == NATIVE else ()), program=changed(AS_IT_IS)
    )
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(contextlib.closing(server.connect()))
            assert server.ask("/healthz", connection)[0] == 200
        stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        code, took, said = server.stop(number)
    assert code == 0
    assert took < 30
    assert len(said.splitlines()) == (1 if flavour == NATIVE else 3), said
    again = start(flavour, "--port", server.port)  # its connections linger in TIME_WAIT
    assert again.port == server.port


@pytest.mark.slow
def test_a_signal_is_never_lost_however_early_it_comes(start):
    """Workers that are still starting, and threads about to wait, would miss it."""
    for moment in range(20):
        server = start(NATIVE, "--workers", 4)
        time.sleep(moment * 0.002)
        assert server.stop()[0] == 0


@pytest.mark.parametrize("flavour", [NATIVE, BARE])
def test_a_request_in_flight_is_answered_before_it_ends(start, flavour):
    server = start(flavour, program=changed(SLOW))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.ask, "/slow", method="POST")
        while "in flight" not in server.process.stderr.readline():
            pass
        code, took, _ = server.stop()
        assert answer.result()[::2] == (200, b"done")
    assert code == 0
    assert took < 30


def test_a_request_that_never_ends_does_not_keep_it_alive(start):
    server = start(NATIVE)
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHos")
        time.sleep(0.2)
        assert server.stop()[0] == 0


def test_a_killed_worker_is_replaced_and_loosens_nothing(start):
    server = start(NATIVE, "--workers", 2, "--policy", "5 per 1m")
    before = server.workers(2)
    assert [server.status("a") for _ in range(6)] == [200] * 5 + [503]
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    statuses = set()
    deadline = time.monotonic() + 60
    while len(server.pids() - {killed}) < 2 and time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError):  # it was waiting on the killed worker
            statuses.add(server.status("a"))
    for _ in range(20):
        statuses.add(server.status("a"))
    assert statuses == {503}
    assert len(server.workers(2) - before) == 1
    code, _, said = server.stop()
    assert code == 0
    assert "Unexpected exit from worker" in said


def killed_and_replaced(server):
    """The only worker is killed, and another one serves; the time that took."""
    (worker,) = server.workers(1)
    began = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    while time.monotonic() < began + 60 and server.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.status("b") in {200, 503} and server.workers(1) != {worker}:
                return time.monotonic() - began
    return None


def test_a_worker_that_dies_again_and_again_is_replaced(start):
    server = start(NATIVE, "--workers", 1, "--policy", "5 per 1h")
    assert [server.status("a") for _ in range(6)] == [200] * 5 + [503]
    assert None not in [killed_and_replaced(server) for _ in range(4)]
    assert server.status("a") == 503
    assert server.stop()[0] == 0


@pytest.mark.slow
def test_the_tenth_death_within_a_minute_ends_the_server(start):
    server = start(NATIVE, "--workers", 1, program=changed(AS_IT_IS))
    assert None not in [killed_and_replaced(server) for _ in range(9)]
    os.kill(*server.workers(1), signal.SIGKILL)
    assert server.process.wait(60) == 70
    assert "the worker processes died" in server.process.stderr.read()


def test_workers_that_cannot_start_end_the_server(start):
    process = start(NATIVE, "--workers", 2, program=changed(BROKEN), wait=False)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 70
    assert "this worker is broken" in err
    assert "error: the worker processes did not start" in err
    assert "listening at" not in out + err


def test_workers_end_with_a_server_that_was_killed(start):
    server = start(NATIVE, "--workers", 2)
    with contextlib.closing(server.connect()) as connection:
        assert server.ask("/healthz", connection)[0] == 200
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
            except ConnectionRefusedError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the workers go on")


def test_its_own_environment_is_no_part_of_a_request(start):
    server = start(NATIVE, "--key", "header:X-Client-Id|query:clientId", HTTP_X_CLIENT_ID="all")
    assert [server.status("a") for _ in range(6)] == [200] * 5 + [503]
    assert server.status("b") == 200


def test_the_default_store_belongs_to_the_port(spawn, listening, free_port):
    name = f"server-{free_port}"
    arguments = ("-m", "rateproof", "serve", "--port", free_port, "--workers", 1)
    try:
        for expected in ([200, 200], [503]):  # the second finds what the first admitted
            server = listening(spawn(*arguments, "--policy", "2 per 1h"))
            assert [server.status("a") for _ in expected] == expected
            assert server.stop()[0] == 0
    finally:
        assert remove(name)


@pytest.mark.parametrize("packages", [(), ("granian",)])
def test_the_default_store_of_a_port_that_was_picked_does_not_stay(
    spawn, listening, hide, packages
):
    server = listening(
        spawn("-m", "rateproof", "serve", "--port", 0, env=os.environ | hide(*packages))
    )
    assert server.status("a") == 200
    folder = directory_of(f"server-{server.port}")
    assert folder.exists()
    assert server.stop()[0] == 0
    assert not folder.exists()


def test_a_store_that_cannot_be_opened_ends_it_before_it_listens(spawn):
    process = spawn("-m", "rateproof", "serve", "--port", 0, "--store", "etcd://nowhere")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 64
    assert "etcd://nowhere" in err
    assert "Traceback" not in out + err


def test_the_root_script_is_the_command(spawn, listening, store):
    script = Path(__file__).parents[2] / "server.py"
    server = listening(spawn(script, "--port", 0, "--store", store))
    assert [server.status("a") for _ in range(6)] == [200] * 5 + [503]
