"""Claims about the native engine alone: steering, its own slowness, what is not an answer."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from rateproof.simulate import Group, Scenario, Target
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.control import Control
from rateproof.simulate.transports import native
from tests.scripts import Times

MS = 10**6
SECOND = 10**9


@contextmanager
def serving(answer) -> Iterator[int]:
    """A server with a thread a connection: `answer(socket)` after each request's empty line."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                if line == b"\r\n":
                    answer(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def reply(connection: socket.socket) -> None:
    """Says in `r` of RateLimit when it decided."""
    decided = time.monotonic_ns()
    head = f'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nRateLimit: "t";r={decided};t=0\r\n\r\n'
    connection.sendall(head.encode())


def scenario(port: int, behaviour, clients: int, **more) -> Scenario:
    target = Target.parse(f"http://127.0.0.1:{port}/")
    return Scenario(target=target, groups=(Group(behaviour, clients),), seed=1, **more)


def test_it_stops_at_once_however_long_the_observer_takes():
    control, answered = Control(), []

    def counted(connection: socket.socket) -> None:
        answered.append(True)
        reply(connection)

    def observe(_events) -> None:
        control.stop()
        before, deadline = -1, time.monotonic() + 60
        while before != len(answered):
            assert time.monotonic() < deadline, "it goes on while it is observed"
            before = len(answered)
            time.sleep(0.2)

    with serving(counted) as port:
        native.run(scenario(port, Saturate(), 4), control=control, observe=observe)


def test_clients_that_come_later_have_connections_of_their_own():
    def slowly(connection: socket.socket) -> None:
        time.sleep(0.05)
        reply(connection)

    control, seen = Control(), set()

    def observe(events) -> None:
        if not seen:
            control.add_clients(15)
        seen.update(events.column("connection"))
        if len(seen) == 16:
            control.stop()

    with serving(slowly) as port:
        wanted = scenario(port, Saturate(), 1, duration_ns=60 * SECOND)
        log = native.run(wanted, control=control, observe=observe)
    assert len(seen) == 16
    assert log.metadata["control"][0]["what"] == "clients"


def test_a_burst_does_not_use_up_the_slots_of_the_ceiling():
    """Those of 400 clients would last 10 s, in which next to nothing would be sent."""
    control, ended = Control(), 0

    def observe(events) -> None:
        nonlocal ended
        ended += len(events)
        if control.bursts < 3:
            control.burst()
        elif ended >= 30:
            control.stop()

    with serving(reply) as port:
        wanted = scenario(port, Saturate(), 400, duration_ns=10 * SECOND, max_rate=40)
        log = native.run(wanted, control=control, observe=observe)
    assert control.bursts == 3
    assert ended >= 30
    took_ns = max(log.column("sent_ns")) - log.metadata["start_ns"]
    assert len(log) <= 2 + 40 * took_ns / SECOND, "a ceiling all the same"


@pytest.mark.alone
def test_a_pause_leaves_no_burst_above_the_ceiling_behind():
    control = Control()
    threading.Timer(0.3, control.pause).start()
    threading.Timer(1.0, control.resume).start()
    with serving(reply) as port:
        wanted = scenario(port, Saturate(), 50, duration_ns=SECOND, max_rate=100)
        log = native.run(wanted, control=control)
    sent = sorted(log.column("sent_ns"))
    assert max(sum(at <= other < at + 100 * MS for other in sent) for at in sent) <= 14


def test_waiting_for_a_connection_is_lag_and_not_the_generators_own():
    """Twenty are due at once, and one connection serves them: each waits for all before it."""

    def slowly(connection: socket.socket) -> None:
        time.sleep(0.02)
        reply(connection)

    with serving(slowly) as port:
        wanted = scenario(port, Times(2), 20, duration_ns=60 * SECOND, max_connections=1)
        log = native.run(wanted, control=Control())
    audit = log.metadata["audit"]
    assert audit["connection_wait_p50_ns"] >= 100 * MS
    assert audit["own_lag_p50_ns"] * 2 < audit["connection_wait_p50_ns"]
    assert audit["waited"] >= 19
    assert any("waited for a connection" in told for told in log.metadata["warnings"])


def test_waiting_for_the_last_answers_costs_no_processor_time():
    with serving(lambda _connection: None) as port:
        wanted = scenario(port, Times(1), 4, timeout_ns=2 * SECOND)
        log = native.run(wanted, control=Control(), threads=1)
    assert log.column("error") == ["timeout"] * 4
    assert log.metadata["audit"]["cpu_share"] < 0.3, "a loop that does not sleep: 1"


@pytest.mark.alone
def test_what_comes_unasked_is_no_answer_to_the_next_request():
    took_ns = []

    def twice(connection: socket.socket) -> None:
        began_ns = time.monotonic_ns()
        reply(connection)
        time.sleep(0.01)
        reply(connection)
        took_ns.append(time.monotonic_ns() - began_ns)

    with serving(twice) as port:
        wanted = scenario(port, Constant(250 * MS), 20, duration_ns=SECOND)
        log = native.run(wanted, control=Control())
    rows = list(log)
    assert len(rows) > 20
    late_ns = max(row.sent_ns - row.intended_ns for row in rows)
    if max(took_ns) + late_ns < 200 * MS:  # else it may have come behind the next request
        for row in rows:
            assert row.sent_ns <= row.ratelimit_remaining <= row.received_ns
    assert log.metadata["audit"]["reconnects"] > 10


FROZEN = """
import sys, threading
from rateproof.simulate import Group, Scenario, Target
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.control import Control
from rateproof.simulate.transports import native
wanted = Scenario(
    target=Target.parse(sys.argv[1]), groups=(Group(Saturate(), 4),), duration_ns=60 * 10**9
)
control = Control()
threading.Thread(target=lambda: (sys.stdin.read(), control.stop()), daemon=True).start()
log = native.run(wanted, control=control, observe=lambda _: print(flush=True), keep=False)
print(log.metadata["valid"], *log.metadata["warnings"])
"""


def test_a_generator_that_is_kept_from_running_says_that_its_latencies_are_unreliable():
    with serving(reply) as port:
        command = [sys.executable, "-c", FROZEN, f"http://127.0.0.1:{port}/"]
        generator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        generator.stdout.readline()
        for _ in range(10):
            generator.send_signal(signal.SIGSTOP)
            time.sleep(0.05)
            generator.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        output, _ = generator.communicate(timeout=60)
    last = output.decode().strip().splitlines()[-1]
    assert last.startswith("True")
    assert "stood still" in last
    assert "latencies are unreliable, counts and verdicts are not" in last


@pytest.mark.parametrize("threads", [0, 257, -1])
def test_threads_out_of_bounds_are_refused(threads):
    with pytest.raises(Exception, match="threads is"):
        native.check(scenario(1, Saturate(), 1), threads)
