"""Claims about the threads transport, against real sockets: sound intervals, honest rows."""

import contextlib
import itertools
import re
import socket
import struct
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog
from rateproof.keyspec import Part
from rateproof.simulate.arrivals import Constant as Every
from rateproof.simulate.behaviours import (
    Answer,
    Behaviour,
    Burst,
    Constant,
    Plan,
    Polite,
    Saturate,
    Think,
)
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.transports import threads

MS = 1_000_000
SECOND = 10**9

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[[socket.socket, bytes], object]
"""Answers one request; anything but None ends the connection."""


class Server:
    """A server that does to each request what its script says, and remembers the requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heads: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def target(self, path: str = "/") -> Target:
        return Target.parse(f"http://127.0.0.1:{self.port}{path}")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffered = b""
        with contextlib.suppress(OSError), connection:
            while True:
                while b"\r\n\r\n" not in buffered:
                    chunk = connection.recv(65_536)
                    if not chunk:
                        return
                    buffered += chunk
                head, _, buffered = buffered.partition(b"\r\n\r\n")
                self.heads.append(head)
                if self.script(connection, head) is not None:
                    return

    def close(self) -> None:
        # shutdown wakes the accept that is in progress, close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Server]]:
    servers: list[Server] = []

    def start(script: Script) -> Server:
        servers.append(Server(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Times:
    """A behaviour for tests: a fixed number of requests, one after the other."""

    name = "times"

    def __init__(self, count: int) -> None:
        self.count = count

    def plan(self, _rng: Random) -> Plan:
        now = 0
        for _ in range(self.count):
            now = (yield now).done_ns


def send_all(script: bytes) -> Script:
    return lambda connection, _head: connection.sendall(script)


def run(
    target: Target,
    behaviour: Behaviour,
    clients: int = 1,
    connections: int = 1,
    *,
    stop: threading.Event | None = None,
    observe: Callable[[Event], None] | None = None,
    keep: bool = True,
    **options: Any,
) -> EventLog:
    scenario = Scenario(
        target=target, groups=(Group(behaviour, clients, connections),), seed=1, **options
    )
    return threads.run(scenario, stop=stop or threading.Event(), observe=observe, keep=keep)


def key_of(head: bytes) -> bytes:
    found = re.search(rb"clientId=(\S+)", head)
    assert found
    return found[1]


# ------------------------------------------------------------- the interval contract


class Decider:
    """Answers in a given way and remembers when it decided, for each key in order."""

    def __init__(self, answer: Callable[[socket.socket, Callable[[], None]], object]) -> None:
        self.decided: dict[bytes, list[int]] = defaultdict(list)
        self.answer = answer

    def __call__(self, connection: socket.socket, head: bytes) -> object:
        key = key_of(head)
        return self.answer(connection, lambda: self.decided[key].append(time.monotonic_ns()))


def at_once(connection: socket.socket, decide: Callable[[], None]) -> None:
    decide()
    connection.sendall(OK)


def then_close(connection: socket.socket, decide: Callable[[], None]) -> bool:
    decide()
    connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    return True


def without_length(connection: socket.socket, decide: Callable[[], None]) -> bool:
    decide()
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    return True


def chunked(connection: socket.socket, decide: Callable[[], None]) -> None:
    decide()
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")


def dripping(connection: socket.socket, decide: Callable[[], None]) -> None:
    decide()
    for byte in OK:
        connection.sendall(bytes([byte]))


def after_a_delay(connection: socket.socket, decide: Callable[[], None]) -> None:
    time.sleep(0.002)
    decide()
    time.sleep(0.002)
    connection.sendall(OK)


def after_early_hints(connection: socket.socket, decide: Callable[[], None]) -> None:
    """Only the *final* status line tells of a decision."""
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    time.sleep(0.002)
    decide()
    connection.sendall(OK)


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (at_once, 300),
        (then_close, 60),
        (without_length, 60),
        (chunked, 100),
        (dripping, 60),
        (after_a_delay, 30),
        (after_early_hints, 30),
    ],
)
def test_the_decision_lies_between_sent_and_received(
    serve: Callable[[Script], Server],
    answer: Callable[[socket.socket, Callable[[], None]], object],
    count: int,
) -> None:
    decider = Decider(answer)
    log = run(serve(decider).target(), Times(count), clients=10)
    assert len(log) == 10 * count
    assert set(log.column("error")) == {None}
    for key, events in log.by_key().items():
        for event, decided_ns in zip(events, decider.decided[key], strict=True):
            assert event.received_ns is not None
            assert event.done_ns is not None
            assert event.sent_ns <= decided_ns <= event.received_ns <= event.done_ns


def test_intervals_are_narrow_where_the_server_is_quick(
    serve: Callable[[Script], Server],
) -> None:
    """Connecting and the body are outside: half of the intervals are below 15 ms."""

    def slow_body(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(OK[:-2])
        time.sleep(0.02)
        connection.sendall(OK[-2:])

    log = run(serve(slow_body).target(), Times(30))
    widths = sorted(event.received_ns - event.sent_ns for event in log if event.received_ns)
    assert widths[15] < 15 * MS
    assert all(e.done_ns and e.received_ns and e.done_ns - e.received_ns > 15 * MS for e in log)


# ------------------------------------------------------------- what is sent


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        (Part("query", "clientId"), rb"^GET /p/q\?a=b%20c&clientId=(c-[0-9a-f]{16}) HTTP/1.1\r\n"),
        (Part("header", "X-Client-Id"), rb"\r\nX-Client-Id: (c-[0-9a-f]{16})(\r\n|$)"),
        (Part("cookie", "id"), rb"\r\nCookie: id=(c-[0-9a-f]{16})(\r\n|$)"),
    ],
)
def test_every_request_carries_its_clients_identity_where_the_key_says(
    serve: Callable[[Script], Server], key: Part, pattern: bytes
) -> None:
    server = serve(send_all(OK))
    log = run(server.target("/p/q?a=b%20c"), Times(3), clients=20, key=key)
    carried = [re.search(pattern, head) for head in server.heads]
    assert all(carried)
    assert sorted(match[1] for match in carried if match) == sorted(log.column("key"))
    assert len(set(log.column("key"))) == 20


def test_the_path_is_sent_as_it_was_written(serve: Callable[[Script], Server]) -> None:
    """Requests would send /a~b/c for it."""
    server = serve(send_all(OK))
    run(server.target("/a%7Eb/./%2E%2E/c?x=%41"), Times(1))
    assert server.heads[0].startswith(b"GET /a%7Eb/./%2E%2E/c?x=%41&clientId=c-")


def test_environment_and_cookies_of_the_server_play_no_part(
    serve: Callable[[Script], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server = serve(
        send_all(b"HTTP/1.1 200 OK\r\nSet-Cookie: s=1; Path=/\r\nContent-Length: 0\r\n\r\n")
    )
    log = run(server.target(), Times(3))
    assert log.column("status") == [200, 200, 200]
    assert not any(b"ookie" in head for head in server.heads)


def test_a_redirect_is_an_answer_and_is_not_followed(serve: Callable[[Script], Server]) -> None:
    server = serve(send_all(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"))
    log = run(server.target(), Times(3))
    assert log.column("status") == [302, 302, 302]
    assert log.column("outcome") == ["admitted"] * 3
    assert len(server.heads) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 304 Same\r\nContent-Length: 99\r\n\r\n",
        b"HTTP/1.1 204 None\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_an_answer_that_has_no_body_is_whole(
    serve: Callable[[Script], Server], answer: bytes
) -> None:
    log = run(serve(send_all(answer)).target(), Times(3))
    assert log.column("error") == [None] * 3
    assert len(set(log.column("connection"))) == 1


def test_one_connection_is_kept_and_a_new_one_has_a_new_number(
    serve: Callable[[Script], Server],
) -> None:
    kept = serve(send_all(OK))
    log = run(kept.target(), Times(5), clients=3)
    assert kept.connections == 3
    assert {len({e.connection for e in events}) for events in log.by_key().values()} == {1}
    assert sorted(set(log.column("connection"))) == [1, 2, 3]

    closing = serve(Decider(then_close))
    log = run(closing.target(), Times(5), clients=3)
    assert closing.connections == 15
    assert sorted(log.column("connection")) == list(range(1, 16))


def test_what_the_server_says_of_its_limit_is_recorded(serve: Callable[[Script], Server]) -> None:
    server = serve(
        send_all(
            b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: 4\r\n"
            b'RateLimit: "default";r=0;t=3\r\n\r\nwait'
        )
    )
    (event,) = run(server.target(), Times(1))
    assert (event.outcome, event.status, event.bytes) == ("rejected", 429, 4)
    assert (event.retry_after_s, event.ratelimit_remaining, event.ratelimit_reset_s) == (3, 0, 3)


def test_nonsense_in_those_headers_is_left_out(serve: Callable[[Script], Server]) -> None:
    server = serve(
        send_all(
            b"HTTP/1.1 503 X\r\nRetry-After: \xff\xfe soon\r\nContent-Length: 0\r\n"
            b"RateLimit: r=99999999999999999999999;;;\r\n\r\n"
        )
    )
    (event,) = run(server.target(), Times(1))
    assert event.status == 503
    assert event.retry_after_s is event.ratelimit_remaining is event.ratelimit_reset_s is None


def test_the_rejecting_codes_are_the_scenarios(serve: Callable[[Script], Server]) -> None:
    server = serve(send_all(b"HTTP/1.1 420 Calm\r\nContent-Length: 0\r\n\r\n"))
    (event,) = run(server.target(), Times(1), rejected_statuses=frozenset({420}))
    assert event.outcome == "rejected"


# ------------------------------------------------------------- what goes wrong


def reset(connection: socket.socket, _head: bytes) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


def drip_for_ever(connection: socket.socket, _head: bytes) -> bool:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(200):
        connection.sendall(b"X: y\r\n")
        time.sleep(0.02)
    return True


def interim_for_ever(connection: socket.socket, _head: bytes) -> bool:
    for _ in range(200):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)
    return True


def closing(data: bytes) -> Script:
    def script(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(data)
        return True

    return script


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (closing(b""), "closed"),
        (reset, "reset"),
        (closing(b"SSH-2.0-OpenSSH\r\n"), "protocol"),
        (closing(b"\x00\xff" * 500), "protocol"),
        (closing(b"HTTP/1.1 two hundred\r\n\r\n"), "protocol"),
        (closing(b"H" * 100_000), "protocol"),
        (closing(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000), "protocol"),
        (closing(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000), "protocol"),
        (
            closing(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
            "protocol",
        ),
        (lambda _connection, _head: time.sleep(0.4), "timeout"),
        (drip_for_ever, "timeout"),
        (interim_for_ever, "timeout"),
    ],
)
def test_a_lost_answer_is_a_row_of_its_own_and_nothing_is_sent_twice(
    serve: Callable[[Script], Server], script: Script, kind: str
) -> None:
    server = serve(script)
    log = run(server.target(), Times(3), timeout_ns=250 * MS)
    assert log.column("error") == [kind] * 3
    assert log.column("outcome") == ["unknown"] * 3
    assert log.column("status") == log.column("received_ns") == [None] * 3
    assert len(server.heads) == 3
    assert all(event.done_ns and event.done_ns >= event.sent_ns for event in log)
    assert all(event.done_ns and event.done_ns - event.sent_ns < SECOND for event in log)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (closing(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), "closed"),
        (
            lambda connection, _head: (
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
                time.sleep(0.4),
            ),
            "timeout",
        ),
        (
            lambda connection, _head: [
                connection.sendall(piece)
                for piece in [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65_536] * 10_000]
            ],
            "oversized",
        ),
        (  # what follows a redirect would be read whole by Requests
            lambda connection, _head: [
                connection.sendall(piece)
                for piece in [b"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", *[b"x" * 65_536] * 10_000]
            ],
            "oversized",
        ),
    ],
)
def test_an_answer_whose_body_is_lost_keeps_its_status(
    serve: Callable[[Script], Server], script: Script, kind: str
) -> None:
    """The decision was seen; what followed it is an error."""
    server = serve(script)
    log = run(server.target(), Times(2), timeout_ns=250 * MS if kind == "timeout" else 5 * SECOND)
    assert log.column("error") == [kind] * 2
    assert set(log.column("status")) <= {200, 302}
    assert log.column("outcome") == ["admitted"] * 2
    assert max(log.column("bytes")) <= (1 << 20) + 65_536
    assert server.connections == 2


def test_no_answer_of_a_hostile_server_makes_the_client_fail(
    serve: Callable[[Script], Server],
) -> None:
    """Whole answers, cut, repeated, with bytes changed and numbers blown up."""
    rng = Random(5)
    whole = [
        OK,
        b"HTTP/1.1 503 X\r\nRetry-After: 5\r\nRateLimit: x;r=0;t=5\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 302 F\r\nLocation: http://[::1\r\nSet-Cookie: a=b\r\nContent-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 101 Switch\r\n\r\n",
    ]

    def hostile(connection: socket.socket, _head: bytes) -> object:
        answer = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(answer))
            answer[at : at + rng.randrange(3)] = rng.choice(
                [b"", b"\r\n", b"\x00", b"\xff", b":", b" ", b"9" * 5_000, b"-1", b"\xc2\xb2"]
            )
        connection.sendall(answer[: rng.randrange(len(answer))] if rng.random() < 0.2 else answer)
        return rng.random() < 0.9 or None

    log = run(serve(hostile).target(), Times(400), timeout_ns=50 * MS)
    assert len(log) == 400
    assert len(set(log.column("error"))) >= 3


def test_a_port_without_a_listener_is_refused(free_port: int) -> None:
    log = run(Target("http", "127.0.0.1", free_port), Saturate(), duration_ns=300 * MS)
    assert set(log.column("error")) == {"refused"}
    assert 2 <= len(log) <= 6  # pauses after a failure
    assert len(set(log.column("connection"))) == len(log)


def test_a_name_that_is_not_known_is_a_dns_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    log = run(Target.parse("http://nowhere.invalid/"), Times(1))
    assert log.column("error") == ["dns"]


def test_https_to_a_server_that_speaks_none_is_a_tls_error() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1_000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listener:
        threading.Thread(target=answer, daemon=True).start()
        port = listener.getsockname()[1]
        log = run(Target("https", "127.0.0.1", port), Times(1), timeout_ns=5 * SECOND)
    assert log.column("error") == ["tls"]
    assert log.column("outcome") == ["unknown"]


# ------------------------------------------------------------- when it is sent, and when it ends


def test_a_run_ends_with_its_duration_and_sends_nothing_after_it(
    serve: Callable[[Script], Server],
) -> None:
    log = run(serve(send_all(OK)).target(), Constant(20 * MS), clients=5, duration_ns=300 * MS)
    start_ns = log.metadata["start_ns"]
    assert 5 * 8 <= len(log) <= 5 * 16
    assert all(event.intended_ns - start_ns < 300 * MS for event in log if event.intended_ns)
    assert all(event.sent_ns - start_ns < 800 * MS for event in log)


def test_the_intended_instants_of_open_clients_repeat_with_the_seed(
    serve: Callable[[Script], Server],
) -> None:
    target = serve(send_all(OK)).target()

    def intended() -> list[list[int]]:
        log = run(target, Constant(30 * MS), clients=5, duration_ns=200 * MS)
        start_ns = log.metadata["start_ns"]
        return sorted(
            # The last ones may be cut off by the end of the run.
            [event.intended_ns - start_ns for event in events[:4] if event.intended_ns]
            for events in log.by_key().values()
        )

    first = intended()
    assert [len(instants) for instants in first] == [4] * 5
    assert intended() == first


def test_stop_ends_every_wait_at_once(serve: Callable[[Script], Server]) -> None:
    """A hundred clients that would think for an hour are gone within seconds."""
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    before = time.monotonic()
    log = run(serve(send_all(OK)).target(), Think(Every(3_600 * SECOND)), clients=100, stop=stop)
    assert time.monotonic() - before < 3
    assert len(log) == 0
    assert not any(thread.name.startswith("client-") for thread in threading.enumerate())


def test_requests_in_flight_finish_and_nothing_new_is_sent(
    serve: Callable[[Script], Server],
) -> None:
    stop = threading.Event()

    def slow(connection: socket.socket, _head: bytes) -> None:
        stop.set()
        time.sleep(0.3)
        connection.sendall(OK)

    server = serve(slow)
    log = run(server.target(), Saturate(), clients=10, stop=stop)
    assert 1 <= len(log) == len(server.heads) <= 10
    assert set(log.column("status")) == {200}


def test_max_rate_holds_over_all_clients(serve: Callable[[Script], Server]) -> None:
    log = run(serve(send_all(OK)).target(), Saturate(), clients=20, duration_ns=SECOND, max_rate=40)
    sent = sorted(log.column("sent_ns"))
    assert 20 <= len(log) <= 40
    # A slot is a lower bound of its send: 20 sends span 19 intervals less the first one's delay.
    spans = [late - early for early, late in zip(sent, sent[19:], strict=False)]
    assert min(spans) > 19 * 25 * MS - 250 * MS
    assert log.metadata["audit"]["paced"] > 0


def test_all_connections_of_a_racing_client_release_together(
    serve: Callable[[Script], Server],
) -> None:
    log = run(
        serve(send_all(OK)).target(),
        Burst(1, 200 * MS),
        connections=8,
        duration_ns=600 * MS,
    )
    rounds: dict[int | None, list[Event]] = defaultdict(list)
    for event in log:
        rounds[event.intended_ns].append(event)
    assert len(rounds) >= 2
    assert {len(events) for events in rounds.values()} == {8}
    assert len(set(log.column("key"))) == 1
    assert len(set(log.column("worker"))) == 8
    for events in rounds.values():
        sent = [event.sent_ns for event in events]
        assert max(sent) - min(sent) < 100 * MS


def test_a_polite_client_returns_when_it_was_told_to(serve: Callable[[Script], Server]) -> None:
    answer = b"HTTP/1.1 503 No\r\nRetry-After: 0.25\r\nContent-Length: 0\r\n\r\n"
    log = run(serve(send_all(answer)).target(), Polite(Every(MS)), duration_ns=900 * MS)
    events = list(log)
    assert len(events) in {2, 3, 4}
    for before, after in itertools.pairwise(events):
        assert before.done_ns is not None
        assert after.intended_ns == before.done_ns + 250 * MS
        assert after.sent_ns >= after.intended_ns


def test_rows_have_their_own_sequence_numbers_and_the_runs(
    serve: Callable[[Script], Server],
) -> None:
    scenario = Scenario(target=serve(send_all(OK)).target(), groups=(Group(Times(20), 10),))
    log = threads.run(scenario, stop=threading.Event(), run_number=7)
    assert sorted(log.column("sequence")) == list(range(200))
    assert set(log.column("run")) == {7}
    assert set(log.column("worker")) == set(range(10))


def test_the_metadata_says_whose_clock_it_was_and_how_late_the_generator(
    serve: Callable[[Script], Server],
) -> None:
    log = run(serve(send_all(OK)).target(), Constant(20 * MS), clients=3, duration_ns=200 * MS)
    assert log.metadata["clock"]["name"]
    assert log.metadata["seed"] == 1
    assert log.metadata["scenario"]["groups"][0]["behaviour"]["interval_ns"] == 20 * MS
    audit = log.metadata["audit"]
    assert audit["requests"] == len(log)
    lags = [event.sent_ns - event.intended_ns for event in log if event.intended_ns]
    assert audit["lag_max_ns"] == max(lags)
    assert 0 <= audit["own_lag_p99_ns"] <= audit["own_lag_max_ns"] <= audit["lag_max_ns"]


def test_a_slow_server_is_not_taken_for_a_slow_generator(
    serve: Callable[[Script], Server],
) -> None:
    """Requests wait for an answer, so they are late; the generator itself is not."""

    def slow(connection: socket.socket, _head: bytes) -> None:
        time.sleep(0.1)
        connection.sendall(OK)

    log = run(serve(slow).target(), Constant(10 * MS), duration_ns=600 * MS)
    audit = log.metadata["audit"]
    assert audit["lag_max_ns"] > 200 * MS
    assert audit["own_lag_max_ns"] < audit["lag_max_ns"] / 2


def test_events_are_observed_one_at_a_time_and_need_not_be_kept(
    serve: Callable[[Script], Server],
) -> None:
    seen: list[Event] = []
    inside = threading.Lock()

    def observe(event: Event) -> None:
        assert inside.acquire(blocking=False)
        seen.append(event)
        inside.release()

    log = run(serve(send_all(OK)).target(), Times(10), clients=20, observe=observe, keep=False)
    assert len(seen) == 200
    assert len(log) == 0
    assert log.metadata["audit"]["requests"] == 200


def test_what_an_observer_raises_ends_the_run_and_comes_out(
    serve: Callable[[Script], Server],
) -> None:
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        raise OSError(28, "No space left on device")

    stop = threading.Event()
    with pytest.raises(OSError, match="No space left"):
        run(serve(send_all(OK)).target(), Saturate(), clients=10, observe=observe, stop=stop)
    assert stop.is_set()
    assert len(seen) == 1


def test_a_behaviour_that_fails_is_not_swallowed(serve: Callable[[Script], Server]) -> None:
    class Broken:
        name = "broken"

        def plan(self, _rng: Random) -> Plan:
            yield 0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(serve(send_all(OK)).target(), Broken(), clients=3)


def test_a_plan_that_ends_ends_its_client(serve: Callable[[Script], Server]) -> None:
    answers: list[Answer] = []

    class Once:
        name = "once"

        def plan(self, _rng: Random) -> Plan:
            answers.append((yield 0))

    assert len(run(serve(send_all(OK)).target(), Once(), clients=1)) == 1
    assert answers[0].outcome == "admitted"
    assert 0 <= answers[0].sent_ns <= answers[0].done_ns < SECOND


def test_without_requests_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(InvalidArgument, match="pip install requests"):
        run(Target("http", "127.0.0.1", free_port), Times(1))


def test_threads_that_cannot_be_started_are_an_error_and_leave_none_behind(
    serve: Callable[[Script], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("client-"):
            if len(started) == 5:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    server = serve(send_all(OK))
    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(InvalidArgument, match="only 5 of 20 threads"):
        run(server.target(), Saturate(), clients=20)
    assert not any(thread.is_alive() for thread in started)
    assert server.heads == []


@pytest.mark.slow
def test_decisions_lie_in_their_intervals_in_twenty_thousand_requests_under_load(
    serve: Callable[[Script], Server],
) -> None:
    decider = Decider(at_once)
    log = run(serve(decider).target(), Times(200), clients=100)
    assert len(log) == 20_000
    for key, events in log.by_key().items():
        for event, decided_ns in zip(events, decider.decided[key], strict=True):
            assert event.received_ns is not None
            assert event.sent_ns <= decided_ns <= event.received_ns
