"""SIGHUP: the policy changes under load, and no client loses a request or starts anew."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from rateproof.events import Event, EventLog, outcome_of
from rateproof.policy import Policy
from rateproof.prove import judge
from tests.samples import quick_first

NATIVE, PYTHON, BARE = "native core, granian", "python core, granian", "bare"
SECOND = 1_000_000_000


class Configured:
    """A server with a file of settings, which can be rewritten."""

    def __init__(self, start, folder, flavour, policy, *arguments, **options):
        self.file = folder / "server.toml"
        self.write(policy)
        self.server = start(flavour, "--config", self.file, *arguments, **options)

    def write(self, policy):
        self.file.write_text(f"policy = {policy!r}\n")

    def reload(self, policy):
        """Rewrite the file, tell the server, and wait until it has posted what it read."""
        self.write(policy)
        self.server.process.send_signal(signal.SIGHUP)
        self.said("reloaded")

    def said(self, words):
        while words not in (line := self.server.process.stderr.readline()):
            assert line, "it ended"
        return line


@pytest.fixture
def configured(start, tmp_path):
    return lambda *arguments, **options: Configured(start, tmp_path, *arguments, **options)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def workers(flavour):
    return ("--workers", 4) if flavour == NATIVE else ()


class Load:
    """Clients that send all the time, each on a connection that is never opened again."""

    def __init__(self, server, clients):
        self.events, self.broken = [], []
        self._server, self._over = server, threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def send_until(self, enough):
        """Let them send until what was seen is enough, or for a minute."""
        deadline = time.monotonic() + 60
        while not enough(list(self.events)) and time.monotonic() < deadline:
            time.sleep(0.5)

    def _client(self, number):
        key = f"client-{number % 8}"  # two connections each
        with contextlib.closing(self._server.connect()) as connection:
            connection.connect()
            first = connection.sock
            while not self._over.wait(0.03):
                sent_ns = time.monotonic_ns()
                try:
                    status = self._server.status(key, connection=connection)
                except OSError as error:
                    self.broken.append(error)
                    return
                self.events.append((key, sent_ns, time.monotonic_ns(), status))
                if connection.sock is not first:
                    self.broken.append("the server closed the connection")
                    return


def outcome(events, policy):
    """The prover's outcome for these requests: `consistent` if the limit held."""
    log = EventLog()
    for key, sent_ns, received_ns, status in sorted(events, key=lambda event: event[1]):
        log.append(
            Event(
                key=key.encode(),
                sent_ns=sent_ns,
                received_ns=received_ns,
                status=status,
                outcome=outcome_of(status),
            )
        )
    claim = frozenset({"over-admission"})
    return judge(log, Policy.parse(policy), claims=claim).outcome


def after(events, instant_ns):
    return [event for event in events if event[1] > instant_ns]


def spread(events):
    """Admitted requests of each client."""
    passed = dict.fromkeys((key for key, *_ in events), 0)
    for key, *_, status in events:
        passed[key] += status == 200
    return passed.values()


@pytest.mark.parametrize("flavour", quick_first([NATIVE, PYTHON, BARE]))
def test_a_tighter_policy_under_load_loses_no_request_and_forgets_no_admission(configured, flavour):
    running = configured(flavour, "5 per 1s", *workers(flavour))
    with Load(running.server, 16) as load:
        load.send_until(lambda seen: outcome(seen, "3 per 1s") == "violated")
        running.reload("3 per 1s")
        after_ns = time.monotonic_ns()
        load.send_until(lambda seen: min(spread(after(seen, after_ns)), default=0) >= 6)
    assert not load.broken
    assert {status for *_, status in load.events} == {200, 503}
    assert outcome(load.events, "5 per 1s") == "consistent"
    since = after(load.events, after_ns)
    assert outcome(since, "3 per 1s") == "consistent"
    assert outcome(load.events, "3 per 1s") == "violated", "the load does not press"
    assert min(spread(since)) >= 6, "what the new policy allows is admitted"


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_a_looser_policy_under_load_is_felt_after_one_old_window(configured, flavour):
    running = configured(flavour, "3 per 1s", *workers(flavour))
    with Load(running.server, 16) as load:
        time.sleep(0.7)
        before_ns = time.monotonic_ns()
        running.reload("5 per 1s")
        late_ns = time.monotonic_ns() + 2.5 * SECOND
        load.send_until(lambda seen: outcome(after(seen, late_ns), "3 per 1s") == "violated")
    assert not load.broken
    assert outcome(load.events, "5 per 1s") == "consistent"
    before = [event for event in load.events if event[2] < before_ns + SECOND]
    assert outcome(before, "3 per 1s") == "consistent"
    late = after(load.events, late_ns)
    assert outcome(late, "3 per 1s") == "violated", "the old limit still holds"


def test_a_worker_that_is_replaced_starts_with_the_newest_policy(configured):
    running = configured(NATIVE, "5 per 1h", "--workers", 2)
    running.reload("3 per 1h")
    assert [running.server.status("a") for _ in range(4)] == [200] * 3 + [503]
    before = running.server.workers(2)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while running.server.workers(2) & before or not listens(running.server.port):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert running.server.status("a") == 503
    assert [running.server.status("b") for _ in range(4)] == [200] * 3 + [503]


def test_workers_that_inherit_no_memory_follow_too(configured):
    """As where `fork` is not the way to start processes (Python 3.14)."""
    spawning = (
        "import multiprocessing, sys; multiprocessing.set_start_method('spawn'); "
        "from rateproof.cli import entry; entry(sys.argv[1:])"
    )
    running = configured(NATIVE, "5 per 1h", "--workers", 2, program=("-c", spawning))
    assert [running.server.status("a") for _ in range(4)] == [200] * 4
    running.reload("3 per 1h")
    assert [running.server.status("a") for _ in range(2)] == [200, 503]
    assert [running.server.status("b") for _ in range(4)] == [200] * 3 + [503]


@pytest.mark.parametrize("flavour", quick_first([BARE, NATIVE]))
def test_a_file_that_is_wrong_is_said_and_the_policy_stays(configured, flavour):
    running = configured(flavour, "2 per 1h")
    running.write("2 par 1h")
    running.server.process.send_signal(signal.SIGHUP)
    said = running.said("not reloaded")
    assert "has an error" in said
    assert "line 1: policy: '2 par 1h' is not a policy" in running.said("policy")
    assert [running.server.status("a") for _ in range(3)] == [200] * 2 + [503]
    running.reload("1 per 1h")
    assert running.server.status("b") == 200
    assert running.server.status("b") == 503


def test_many_reloads_in_a_row_end_with_the_last(configured):
    running = configured(NATIVE, "9 per 1s")
    with Load(running.server, 8) as load:
        for limit in (8, 7, 6, 5, 4, 3, 2, 1) * 3:
            running.reload(f"{limit} per 1s")
        time.sleep(2.2)
        last_ns = time.monotonic_ns()
        load.send_until(lambda seen: min(spread(after(seen, last_ns)), default=0) >= 2)
    assert not load.broken
    late = after(load.events, last_ns)
    assert outcome(late, "1 per 1s") == "consistent"
    assert min(spread(late)) >= 1


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_a_port_that_was_picked_is_not_asked_to_change(configured, flavour):
    running = configured(flavour, "5 per 1h")
    for number in (1, 2):
        running.reload(f"{number} per 1h")
    assert "only a restart" not in running.server.stop()[2]


def test_a_terminal_that_hangs_up_tells_the_workers_too_and_they_stay(configured):
    running = configured(NATIVE, "5 per 1h", "--workers", 2)
    before = running.server.workers(2)
    with contextlib.closing(running.server.connect()) as connection:
        assert running.server.status("a", connection=connection) == 200
        used = connection.sock
        os.killpg(running.server.process.pid, signal.SIGHUP)
        running.said("nothing changed")
        assert running.server.status("a", connection=connection) == 200
        assert connection.sock is used
    assert running.server.workers(2) == before


def on_hangup(action):
    """The program, started by somebody who left it this action for SIGHUP."""
    script = f"import os, signal, sys; signal.signal(signal.SIGHUP, signal.{action}); "
    return (
        "-c",
        script + "os.execv(sys.executable, [sys.executable, '-m', 'rateproof', *sys.argv[1:]])",
    )


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_without_a_file_to_read_a_terminal_that_hangs_up_ends_it_in_order(start, flavour):
    server = start(flavour, program=on_hangup("SIG_DFL"))
    os.killpg(server.process.pid, signal.SIGHUP)
    assert server.process.wait(60) == 0
    assert "Traceback" not in server.process.stderr.read()


@pytest.mark.parametrize("flavour", quick_first([BARE, NATIVE]))
def test_without_a_file_to_read_nohup_keeps_it_alive(start, flavour):
    server = start(flavour, program=on_hangup("SIG_IGN"))
    os.killpg(server.process.pid, signal.SIGHUP)
    time.sleep(0.3)
    assert server.status("a") == 200
    assert server.stop()[0] == 0
