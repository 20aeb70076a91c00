"""The probe against real servers: what it says of them, and how it ends."""

import json
import random
import re
import signal
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from subprocess import DEVNULL
from urllib.parse import parse_qs, urlsplit

import pytest

from rateproof import cli
from rateproof.policy import Policy

MS = 1_000_000
FLASK_LIMITER = """
from flask import Flask, request
from flask_limiter import Limiter

app = Flask(__name__)
Limiter(
    lambda: request.args.get("clientId", ""),
    app=app,
    default_limits=["5 per 1 second"],
    strategy="fixed-window",
    storage_uri="memory://",
)
app.get("/")(lambda: "ok")
"""
WORKER = """
import time
from collections import defaultdict
from urllib.parse import parse_qs

stamps = defaultdict(list)

def app(environ, start_response):
    key = parse_qs(environ["QUERY_STRING"]).get("clientId", [""])[0]
    now = time.monotonic()
    live = [stamp for stamp in stamps[key] if stamp + 2 > now]
    admitted = len(live) < 10
    stamps[key] = [*live, now] if admitted else live
    start_response("200 OK" if admitted else "429 Too Many Requests", [("Content-Length", "0")])
    return []
"""

READY = """
def post_worker_init(worker):
    with open("ready", "a") as file:
        file.write("x")
"""


class Quota:
    """A sliding log of a limit in a window, for each key by itself."""

    def __init__(self, limit, window_ms):
        self.limit, self.window_ns = limit, window_ms * MS
        self.lock, self.stamps = threading.Lock(), defaultdict(list)

    def admits(self, key):
        with self.lock:
            now_ns = time.monotonic_ns()
            live = [stamp for stamp in self.stamps[key] if stamp + self.window_ns > now_ns]
            admitted = len(live) < self.limit
            self.stamps[key] = [*live, now_ns] if admitted else live
            return admitted


class Queue:
    """A leaky queue for each key: one leaves it in each step, and so many wait at most."""

    def __init__(self, step_ms, waiting):
        self.step_ns, self.waiting = step_ms * MS, waiting
        self.lock, self.free_ns = threading.Lock(), defaultdict(int)

    def admits(self, key):
        with self.lock:
            now_ns = time.monotonic_ns()
            turn_ns = max(now_ns, self.free_ns[key])
            if turn_ns - now_ns > self.waiting * self.step_ns:
                return False
            self.free_ns[key] = turn_ns + self.step_ns
        time.sleep((turn_ns - now_ns) / 10**9)
        return True


class Unlimited:
    def admits(self, _key):
        return True


def client_id(handler):
    return parse_qs(urlsplit(handler.path).query).get("clientId", [""])[0]


def address(handler):
    return handler.client_address[0]


def connection(handler):
    return f"{client_id(handler)} {handler.client_address[1]}"


def everybody(_handler):
    return ""


@contextmanager
def serving(limiter, key=client_id, status=200, headers=(), *, closing=False, missing=False):
    """A server on the loopback that limits by `key`, in this process; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            if missing and urlsplit(self.path).path != "/":
                self.send_response(404)
            else:
                self.send_response(status if limiter.admits(key(self)) else 429)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            if closing:
                self.send_header("Connection", "close")
            self.end_headers()

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def probe(capsys):
    """The exit code and the text of a probe."""

    def run(url, *arguments):
        code = cli.main(["probe", url, *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def named(probe):
    """The text of a probe that names a policy: a busy machine may leave it silent, and it is tried again."""

    def run(url, *arguments):
        for _ in range(3):
            code, text, _ = probe(url, *arguments)
            if code == 0:
                return text
        pytest.fail(text)

    return run


def says(first, policy):
    """Tell if a headline names a policy, the window to a tenth: a busy machine knows it no closer."""
    said, true = (Policy.parse(each.partition(" (")[0]).quotas[0] for each in (first, policy))
    ratio = (said.window_ns / said.limit) / (true.window_ns / true.limit)
    same = said.algorithm == true.algorithm and abs(ratio - 1) < 0.1
    return same and (said.burst or said.limit) == (true.burst or true.limit)


@pytest.mark.slow
@pytest.mark.alone
def test_the_policy_comes_first_then_key_and_evidence_and_headers_that_lie_mislead_nobody(named):
    lies = [("RateLimit-Policy", '"default";q=100;w=7'), ("X-RateLimit-Limit", "100")]
    with serving(Quota(3, 500), headers=lies) as url:
        text = named(url)
    first, *rest = text.splitlines()
    assert says(first, "3 per 500ms")
    assert any("limits by query:clientId" in line for line in rest)
    assert any(re.fullmatch(r"3,.*\s\d+ at 0s,.*", line) for line in rest), text
    assert any("came true" in line for line in rest)
    assert re.search(r"one, as far as seen: 3 admitted on one connection, and no more on \d+", text)
    assert '"default";q=100;w=7 (not relied on)' in text
    assert "requests in" in rest[-1]


def test_no_limit_is_said_with_how_much_was_tried(probe):
    with serving(Unlimited()) as url:
        code, text, _ = probe(url, "--max-requests", 40)
    assert code == 2
    assert text.startswith("no limit seen up to 39 admissions of a key")


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "needs credentials (401)"), (404, "is not there (404)")],
)
def test_answers_that_no_limiter_gave_are_named(status, words, probe):
    with serving(Unlimited(), status=status) as url:
        code, text, _ = probe(url, "--max-requests", 20)
    assert code == 2
    assert text.startswith(f"no limit seen in 20 requests: every answer was {status}\n")
    assert words in text


def test_a_redirect_is_named_with_where_it_leads(probe):
    with serving(Unlimited(), status=302, headers=[("Location", "/login")]) as url:
        code, text, _ = probe(url, "--max-requests", 20)
    assert code == 2
    assert "redirects to /login (302)" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_it(number, spawn):
    with serving(Quota(3, 60_000)) as url:
        process = spawn("-m", "rateproof", "probe", url, "--max-time", "60s")
        process.stderr.readline()
        process.send_signal(number)
        output, words = process.communicate(timeout=60)
    assert process.returncode == 130, words
    assert output == ""


def test_nobody_listening_exits_69(probe, unused_port):
    code, text, words = probe(f"http://127.0.0.1:{unused_port()}/")
    assert code == 69
    assert text == ""
    assert "nothing answers" in words


def hanging_up(_connection, _head):
    return "end"


def silent(_connection, _head):
    return None


def saying(data):
    def script(connection, _head):
        connection.sendall(data)
        return "end"

    return script


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (hanging_up, "it hangs up without an answer"),
        (silent, "it takes longer than the timeout"),
        (saying(b"\x1b[2J\x9b1m 220 mail ready\r\n\r\n"), "what comes back is not HTTP"),
        (saying(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70_000), "larger than 64 kB"),
        (saying(b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 101), "more than 100 fields"),
    ],
    ids=["closed", "timeout", "protocol", "header too long", "too many fields"],
)
def test_one_who_listens_and_does_not_answer_is_not_to_be_started(script, words, probe, scripted):
    timeout = "200ms" if script is silent else "60s"
    code, text, said = probe(scripted(script).target().url, "--timeout", timeout)
    assert code == 69
    assert text == ""
    assert words in said
    assert "start the server" not in said
    assert said.replace("\n", "").isprintable()


def test_https_to_a_port_that_does_not_speak_tls_is_named(probe, scripted):
    server = scripted(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    code, _, said = probe(f"https://127.0.0.1:{server.port}/", "--timeout", "200ms")
    assert code == 69
    assert "start the server" not in said


@pytest.mark.slow
@pytest.mark.alone
def test_a_limit_by_address_is_told_from_one_by_the_key(probe):
    with serving(Quota(3, 200), key=address) as url:
        code, text, _ = probe(url, "--max-time", "10s")
    assert "limits by address, not by query:clientId" in text
    first = text.splitlines()[0]
    assert says(first, "3 per 200ms") if code == 0 else first.startswith("not named: ")


@pytest.mark.slow
@pytest.mark.alone
def test_of_a_limit_on_everybody_together_no_wrong_number_is_named(probe):
    """While others use it up, what a fresh identity is admitted says nothing of the limit."""
    with serving(Quota(5, 500), key=everybody) as url:
        code, text, _ = probe(url, "--max-time", "6s")
    assert "the limit seems to be shared by all clients" in text
    assert "not by query:clientId" in text
    assert "limits by" not in text
    first = text.splitlines()[0]
    shared = first.startswith("the limit seems to be shared")
    assert says(first, "5 per 500ms") if code == 0 else shared


def test_a_limit_for_each_connection_is_several_counters(probe):
    with serving(Quota(5, 1000), connection) as url:
        code, text, _ = probe(url, "--max-requests", 300)
    assert code == 2, text
    assert re.match(r"several counters, at least \d+: which one is met goes by the conn", text), (
        text
    )


@pytest.mark.slow
def test_a_path_that_is_not_there_is_no_limit_by_path(probe):
    with serving(Quota(3, 2000), missing=True) as url:
        _, text, _ = probe(url, "--max-time", "3s")
    assert "path" not in text.split("limits by")[1].split("\n")[0]
    (untold,) = [line for line in text.splitlines() if "could not be told" in line]
    assert "path" in untold


def test_a_window_beyond_the_time_is_no_policy(probe):
    with serving(Quota(3, 3_600_000)) as url:
        code, text, _ = probe(url, "--max-time", "500ms")
    assert code == 2
    assert text.startswith("3 at once, and none for the next 0.")


@pytest.mark.slow
@pytest.mark.alone
def test_counters_of_several_workers_are_the_headline_and_no_policy(probe):
    turn, lock = count(), threading.Lock()

    def worker(handler):
        with lock:
            if not hasattr(handler, "worker"):
                handler.worker = next(turn) % 4
        return client_id(handler), handler.worker

    with serving(Quota(3, 200), key=worker) as url:
        code, text, _ = probe(url)
    assert code == 2
    assert text.startswith("several counters, at least 4")
    (line,) = [line for line in text.splitlines() if line.startswith("counters")]
    assert line.split(":")[0].endswith("at least 4 independent ones")
    assert "not looked for: it takes one counter" in text


@pytest.mark.alone
@pytest.mark.parametrize("closing", [True, False], ids=["closing", "behind a proxy"])
def test_counters_any_of_which_a_request_meets_are_no_policy_but_known_together(closing, probe):
    """As of workers that count for themselves and close connections, or that a proxy deals to."""
    choose = random.Random(7)

    def worker(handler):
        return client_id(handler), choose.randrange(4)

    with serving(Quota(5, 1000), key=worker, closing=closing) as url:
        code, text, _ = probe(url)
    assert code == 2
    first, *rest = text.splitlines()
    assert first.startswith("several counters, together ")
    assert first.endswith(": each request meets any of them")
    (counters,) = [line for line in rest if line.startswith("counters")]
    assert "at least " in counters
    assert "not looked for: it takes one counter" in text


@pytest.mark.slow
@pytest.mark.alone
def test_json_has_the_policy_and_the_evidence_also_where_connections_are_closed(named):
    with serving(Quota(3, 1000), closing=True) as url:
        found = json.loads(named(url, "--json", "--max-requests", 600))
    assert says(found["policy"], "3 per 1s")
    assert found["key"]["query:clientId"] == "in the key"
    assert found["requests"] <= 600
    first = found["evidence"][0]
    assert (first["steps"][0], first["admitted"][0]) == ([0, 8], 3)
    assert found["predictions"]["true"] >= 12
    assert found["predictions"]["wrong"] == 0
    assert found["second_quota"].startswith("none up to ")


@pytest.mark.slow
@pytest.mark.alone
def test_a_place_that_the_server_does_not_look_at_is_told(probe, start):
    server = start("native core, granian", "--policy", "3 per 200ms", "--key", "header:X-Client-Id")
    code, text, _ = probe(
        f"http://127.0.0.1:{server.port}/", "--key", "header:X-Other", "--max-time", "10s"
    )
    assert "limits by address, not by header:X-Other" in text
    assert code == 2 or says(text.splitlines()[0], "3 per 200ms")


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    "policy",
    [
        "5 per 1s",
        "token-bucket 5 per 1s",
        "fixed-window 5 per 1s",
        "sliding-counter 5 per 1s",
    ],
)
def test_every_algorithm_of_our_server_is_found_out(policy, named, start):
    """But for the one that Flask-Limiter has, below."""
    server = start("native core, granian", "--policy", policy)
    text = named(f"http://127.0.0.1:{server.port}/")
    assert says(text.splitlines()[0], policy)


@pytest.mark.slow
@pytest.mark.alone
def test_a_window_of_flask_limiter_is_found_out(named, tmp_path, spawn, unused_port, wait_for_port):
    (tmp_path / "limited.py").write_text(FLASK_LIMITER)
    port = unused_port()
    options = ("--preload", "--threads", 32, "--keep-alive", 75, "--bind", f"127.0.0.1:{port}")
    process = spawn("-m", "gunicorn", *options, "limited:app", cwd=tmp_path, stderr=DEVNULL)
    wait_for_port(port, process)
    text = named(f"http://127.0.0.1:{port}/")
    assert says(text.splitlines()[0], "first-hit-window 5 per 1s")


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    "options",
    [(), ("--worker-class", "gthread", "--threads", 16, "--keep-alive", 75)],
    ids=["closing", "sticky"],
)
def test_workers_that_count_for_themselves_are_several_counters(
    options, probe, tmp_path, spawn, unused_port, wait_for_port
):
    """Whichever accepts a connection: with some luck a burst meets one worker only, so more than one probe is allowed."""
    (tmp_path / "limited.py").write_text(WORKER)
    (tmp_path / "ready").touch()
    (tmp_path / "gunicorn.conf.py").write_text(READY)
    port = unused_port()
    of = ("--workers", 4, *options, "--bind", f"127.0.0.1:{port}", "limited:app")
    process = spawn("-m", "gunicorn", *of, cwd=tmp_path, stderr=DEVNULL)
    wait_for_port(port, process)
    end = time.monotonic() + 60
    while (tmp_path / "ready").stat().st_size < 4 and time.monotonic() < end:
        time.sleep(0.05)
    for _ in range(3):
        code, text, _ = probe(f"http://127.0.0.1:{port}/", "--max-time", "20s")
        assert code == 2, text
        if text.startswith("several counters, "):
            assert "one, as far as seen" not in text
            return
    pytest.fail(text)


@pytest.mark.slow
@pytest.mark.alone
def test_a_queue_is_named_by_delays_that_grow(named):
    with serving(Queue(200, 5)) as url:
        text = named(url)
    assert re.match(r"leaky-queue (5 per 1s|1 per (19|20)\d\S* burst 5)\b", text), text
