"""Targets that are not what was declared: each is named in words, and none is called consistent."""

import json
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections import defaultdict
from contextlib import suppress
from importlib import import_module
from itertools import count

import pytest
import trustme

from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from tests.samples import quick_first

MS = 1_000_000
POLICY = Policy.parse("5 per 2s")
LIMIT, WINDOW_S = 5, 2.0
GROUPS = (Group(Burst(6, 230 * MS), clients=6), Group(Burst(4, 600 * MS), 4, connections=6))


def answer(status: int, body: bytes = b"ok\n", fields: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d Said\r\n" % status + length + fields + b"\r\n" + body


class Log:
    """At most 5 in any window, for whatever it is asked by."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._lock = threading.Lock()
        self._times = defaultdict(list)

    def admits(self, key: object) -> bool:
        with self._lock:
            now = time.monotonic()
            times = self._times[key] = [t for t in self._times[key] if t > now - self._window_s]
            if len(times) < LIMIT:
                times.append(now)
                return True
        return False


def client_of(head: bytes) -> bytes:
    return re.search(rb"clientId=([^ &]+)", head)[1]


def limiting(key_of, refusal: bytes, window_s: float = WINDOW_S):
    log = Log(window_s)

    def script(connection, head):
        connection.sendall(answer(200) if log.admits(key_of(connection, head)) else refusal)

    return script


def saying(data: bytes):
    return lambda connection, _head: connection.sendall(data)


def hanging_up(_connection, _head):
    return True


def resetting(connection, _head):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


def counters(count: int):
    """So many that do not know of each other; each connection stays with one."""
    logs = [Log() for _ in range(count)]

    def script(connection, head):
        log = logs[connection.getpeername()[1] // 2 % count]
        connection.sendall(answer(200 if log.admits(client_of(head)) else 429))

    return script


def run(target: Target, policy: Policy = POLICY, **options):
    """The verdict on its log, after a second of bursts."""
    settings = {"duration_ns": 700 * MS, "timeout_ns": 5_000 * MS, "seed": 1} | options
    scenario = Scenario(target=target, groups=GROUPS, policy=policy, **settings)
    native = import_module("rateproof.simulate.transports.native")
    log = native.run(scenario, control=Control())
    log.metadata["fresh_keys"] = True
    return judge(log, policy)


def by_key(_connection, head):
    return client_of(head)


def by_nothing(_connection, _head):
    return None


def by_connection(connection, head):
    return connection.getpeername(), client_of(head)


LOGIN = b"<html><form action=/login>Who are you?</form></html>"

STRANGE = {
    "not limited": (saying(answer(200)), "violated", "no limit seen: none of"),
    "a login page for everybody": (
        saying(answer(200, LOGIN)),
        "violated",
        f"every answer was 200, {len(LOGIN)} bytes long: is this the page that is meant",
    ),
    "limits all together": (
        limiting(by_nothing, answer(429)),
        "violated",
        "limits all clients together (by address?) rather than by query:clientId",
    ),
    "limits each connection": (
        limiting(by_connection, answer(429)),
        "violated",
        "each connection seems to have a limit of its own",
    ),
    "rejects by another status": (
        limiting(by_key, answer(403)),
        "inconclusive",
        "403 seems to be how this target rejects",
    ),
    "redirects": (
        saying(answer(302, fields=b"Location: /login\r\n")),
        "inconclusive",
        "every answer was 302 (Found): redirects are not followed",
    ),
    "redirects for good": (
        saying(answer(307, fields=b"Location: https://example.com/\r\n")),
        "inconclusive",
        "every answer was 307 (Temporary Redirect)",
    ),
    "wants credentials": (saying(answer(401)), "inconclusive", "it asks for credentials first"),
    "lets nobody in": (saying(answer(403)), "inconclusive", "it lets nobody in"),
    "has no such page": (saying(answer(404)), "inconclusive", "there is nothing at that address"),
    "fails": (saying(answer(500)), "inconclusive", "every answer was a failure of the server (500"),
    "is down behind a proxy": (
        saying(answer(503)),
        "inconclusive",
        "without a mark of a limiter (Retry-After, RateLimit): the server may be down",
    ),
    "never admits": (
        saying(answer(429)),
        "violated",
        "every answer was 429 (Too Many Requests): it never admits anything",
    ),
    "hangs up": (hanging_up, "inconclusive", "it hangs up without an answer"),
    "resets": (resetting, "inconclusive", "it hangs up without an answer"),
    "speaks another protocol": (
        saying(b"220 mail.example.com ESMTP\r\n"),
        "inconclusive",
        "what comes back is not HTTP",
    ),
    "has a huge header": (
        saying(answer(200, fields=b"X: " + b"y" * 200_000 + b"\r\n")),
        "inconclusive",
        "its header section is larger than 64 kB, or has more than 100 fields",
    ),
    "has too many headers": (
        saying(answer(200, fields=b"X: y\r\n" * 1_000)),
        "inconclusive",
        "its header section is larger than 64 kB, or has more than 100 fields",
    ),
}


@pytest.mark.parametrize(("script", "outcome", "words"), STRANGE.values(), ids=STRANGE.keys())
def test_a_strange_target_is_named(scripted, script, outcome, words):
    verdict = run(scripted(script).target())
    assert words in " ".join(verdict.reasons)
    assert verdict.outcome == outcome


def test_a_target_that_keeps_its_promise_has_no_diagnosis(scripted):
    """However slow this machine is: its window outlasts the test, and lateness spoils nothing."""
    script = limiting(by_key, answer(429), window_s=3_600)
    verdict = run(
        scripted(script).target(), Policy.parse("5 per 1h"), lag_tolerance_ns=3_600_000 * MS
    )
    assert (verdict.diagnosis, verdict.reasons) == ((), ())
    assert verdict.outcome == "consistent"


def test_counters_that_do_not_know_of_each_other_are_counted_from_below(scripted):
    verdict = run(scripted(counters(2)).target())
    assert verdict.outcome == "violated"
    assert verdict.diagnosis == ("several-counters",)
    assert "the target looks like 2 or more counters" in " ".join(verdict.reasons)


def test_a_target_that_answers_too_late_is_inconclusive(scripted):
    target = scripted(lambda _connection, _head: time.sleep(0.6)).target()
    verdict = run(target, timeout_ns=200 * MS)
    assert verdict.outcome == "inconclusive"
    assert "it takes longer than the timeout" in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    "server",
    [
        "stops answering",
        pytest.param("answers nothing", marks=pytest.mark.slow),
        pytest.param("accepts nothing", marks=pytest.mark.slow),
    ],
)
def test_a_server_that_only_takes_too_long_is_no_crash(server, scripted, run_tester, tmp_path):
    """It was told CRASHED, exit 1: a server that lives, and is slow or has no thread left."""
    iterations = 1 + (server == "accepts nothing")  # the second one looks who listens
    options = ("--timeout", "300ms", "--iterations", iterations, "--junit", tmp_path / "junit.xml")
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:  # nobody accepts
        if server == "accepts nothing":
            port, accepts = listener.getsockname()[1], "nor does it accept connections"
        else:
            served = count(4 if server == "answers nothing" else 1)

            def script(connection, _head):
                if next(served) > 3:
                    time.sleep(0.6)
                    return True
                connection.sendall(answer(200))
                return None

            port, accepts = scripted(script).port, "the server accepts connections"
        code, lines, words = run_tester(f"http://127.0.0.1:{port}/", *options, policy="5 per 500ms")
    *_, totals = lines
    assert (code, totals["verdict"], totals["crashes"]) == (2, "inconclusive", {}), words
    assert re.fullmatch(
        rf"INCONCLUSIVE: [\d,]+ of [\d,]+ requests had no answer within 0.3 s; {accepts}",
        totals["answer"],
    )
    assert "had no answer within" in (tmp_path / "junit.xml").read_text()


@pytest.fixture
def listening_port():
    """A port whose connections are served by a function, each in a thread."""
    listeners = []

    def start(serve):
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        listeners.append(listener)

        def accept():
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture
def tls_port(listening_port):
    """A port where a server speaks TLS, and then HTTP."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def serve(connection):
        with (
            suppress(OSError),
            connection,
            context.wrap_socket(connection, server_side=True) as secured,
        ):
            while secured.recv(65_536):
                secured.sendall(answer(200))

    return listening_port(serve)


def test_http_to_a_port_that_speaks_tls_is_inconclusive(tls_port):
    verdict = run(Target("http", "127.0.0.1", tls_port))
    assert verdict.outcome == "inconclusive"
    assert "TLS (https://)?" in " ".join(verdict.reasons)


def test_https_to_a_port_that_does_not_speak_tls_is_inconclusive(listening_port):
    def serve(connection):
        with connection:
            connection.recv(65_536)
            connection.sendall(answer(400))

    verdict = run(Target("https", "127.0.0.1", listening_port(serve)))
    assert verdict.outcome == "inconclusive"
    assert "does that port speak TLS" in " ".join(verdict.reasons)


def test_a_certificate_that_is_not_trusted_is_inconclusive(tls_port):
    verdict = run(Target("https", "127.0.0.1", tls_port))
    assert verdict.outcome == "inconclusive"
    assert "is its certificate trusted" in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("script", "code", "words"),
    quick_first(
        [
            (saying(answer(200)), 1, "no limit seen"),
            (hanging_up, 2, "it hangs up without an answer"),
        ]
    ),
    ids=["not limited", "hangs up"],
)
def test_the_tester_and_a_check_of_its_log_say_the_same(
    run_tester, spawn, scripted, tmp_path, script, code, words
):
    url = scripted(script).target().url
    exit_code, lines, errors = run_tester(url, "--seed", 1, "--iterations", 1, policy="5 per 500ms")
    assert exit_code == code, errors
    assert words in " ".join(errors.split())
    verdict = lines[0]["verdict"]
    log = min(tmp_path.glob("test_log_*.parquet"))  # what comes after it may be violated, too
    check = spawn("-m", "rateproof", "check", log, "--json")
    again, errors = check.communicate(timeout=200)
    assert check.returncode == code, errors
    assert json.loads(again)["reasons"] == verdict["reasons"]


LIMITED = """
from flask import Flask, request
from flask_limiter import Limiter

app = Flask(__name__)
Limiter({key}, app=app, storage_uri="memory://", strategy="{strategy}", default_limits=["5/{seconds} second"])

@app.route("/")
def hello():
    return "hello"
"""
CLIENT, ADDRESS = 'lambda: request.args["clientId"]', "lambda: request.remote_addr"
AT_ONCE = ("--schedule", "24 at 0s", "--connections", 24)
LATER = ("--schedule", "6 at 0s, 6 at 3s")  # what came before the test has left no window by then


@pytest.mark.slow
@pytest.mark.alone  # a window is full only where it is answered within it
@pytest.mark.parametrize(
    ("key", "strategy", "workers", "seconds", "sent", "name", "words"),
    [
        (ADDRESS, "moving-window", 1, 1, LATER, "other-key", "limits all clients together"),
        (ADDRESS, "fixed-window", 1, 1, LATER, "other-key", "limits all clients together"),
        # Counters are told apart by what a quarter of a window lets through.
        (CLIENT, "moving-window", 4, 20, AT_ONCE, "several-counters", "counters that do not know"),
    ],
)
def test_what_flask_limiter_does_is_named(
    run_tester, free_port, tmp_path, key, strategy, workers, seconds, sent, name, words
):
    limited = LIMITED.format(key=key, strategy=strategy, seconds=seconds)
    (tmp_path / "limited.py").write_text(limited)
    gunicorn = f"{sys.executable} -m gunicorn limited:app --preload --threads 8 --workers {workers}"
    command = f"{gunicorn} --bind {{host}}:{{port}} --no-control-socket"
    steps = ("--start", command, "--no-shrink", *sent)
    code, lines, errors = run_tester(
        f"http://127.0.0.1:{free_port}", *steps, policy=f"5 per {seconds}s", cwd=tmp_path
    )
    assert code == 1, errors
    assert name in lines[0]["verdict"]["diagnosis"], errors
    assert words in " ".join(errors.split())
