"""Whatever a server does, each request is one row with the right error, and the run goes on.

Both transports against real sockets, and servers that do what their script says.
"""

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from rateproof.events import EventLog
from rateproof.simulate.behaviour import Behaviour
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from tests.scripts import OK, Script, Times, answering, closing

MS = 1_000_000
SECOND = 10**9
MIB = 1 << 20

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def run(
    transport: str, target: Target, behaviour: Behaviour, clients: int = 1, **options: Any
) -> EventLog:
    scenario = Scenario(target=target, groups=(Group(behaviour, clients),), seed=1, **options)
    module = import_module(f"rateproof.simulate.transports.{transport}")
    log: EventLog = module.run(scenario, control=Control())
    return log


# ------------------------------------------------------------- scripts


def resetting(data: bytes = b"") -> Script:
    def script(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(data)
        time.sleep(0.02)  # what was sent is thrown away by a reset that overtakes the reader
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True

    return script


def stalling(data: bytes = b"") -> Script:
    def script(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(data)
        time.sleep(0.5)

    return script


def repeating(first: bytes, piece: bytes, pause_s: float = 0.0) -> Script:
    """For ever, until the client hangs up."""

    def script(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(piece)
            time.sleep(pause_s)

    return script


# ------------------------------------------------------------- what goes wrong

LOST = {
    "closes without a word": (closing(), "closed"),
    "closes within the status line": (closing(b"HTTP/1.1 20"), "closed"),
    "closes after an interim answer": (closing(b"HTTP/1.1 103 Hints\r\n\r\n"), "closed"),
    "resets": (resetting(), "reset"),
    "resets within the header": (resetting(b"HTTP/1.1 200 OK\r\nServer"), "reset"),
    "speaks another protocol": (closing(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol"),
    "answers bytes of all kinds": (closing(bytes(range(256)) * 8), "protocol"),
    "says no number": (closing(b"HTTP/1.1 two hundred\r\n\r\n"), "protocol"),
    "says a wrong version": (closing(b"HTTP/3.7 200 OK\r\n\r\n"), "protocol"),
    "never ends its status line": (closing(b"HTTP/1.1 200 " + b"O" * 100_000), "oversized"),
    "has a huge header": (
        closing(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"),
        "oversized",
    ),
    "has too many headers": (
        closing(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000 + b"\r\n"),
        "oversized",
    ),
    "has headers without end": (repeating(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 99), "oversized"),
    "says two lengths": (
        closing(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy"),
        "protocol",
    ),
    "never answers": (stalling(), "timeout"),
    "stalls within the header": (stalling(b"HTTP/1.1 200 OK\r\nServer"), "timeout"),
    "drips its header": (repeating(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.02), "timeout"),
    "drips interim answers": (repeating(b"", b"HTTP/1.1 100 Go\r\n\r\n", 0.02), "timeout"),
}

ON_THREADS = {
    "closes within the status line": "protocol",
    "closes after an interim answer": "protocol",
    "says a chunk of no size": "closed",
}
"""Errors that Requests tells less exactly."""


@pytest.mark.parametrize("name", LOST)
def test_a_lost_answer_is_a_row_with_its_error_and_nothing_is_sent_twice(
    scripted: Callable[..., Any], transport: str, name: str
) -> None:
    script, kind = LOST[name]
    if transport == "threads":
        kind = ON_THREADS.get(name, kind)
    server = scripted(script)
    timeout_ns = (600 if kind == "timeout" else 60_000) * MS
    log = run(transport, server.target(), Times(2), 3, timeout_ns=timeout_ns)
    assert log.column("error") == [kind] * 6
    assert log.column("outcome") == ["unknown"] * 6
    assert log.column("status") == log.column("received_ns") == [None] * 6
    server.wait_for_heads(6)
    assert len(server.heads) == server.connections == 6
    assert len(set(log.column("connection"))) == 6
    spans = [e.done_ns - e.sent_ns for e in log if e.done_ns]
    assert len(spans) == 6
    assert 0 <= min(spans) <= max(spans) < 60 * SECOND


def test_a_header_section_cut_off_is_an_error_and_its_fields_are_not_believed(
    scripted: Callable[..., Any], transport: str
) -> None:
    """Requests takes it for a whole one; the status was whole in any case."""
    server = scripted(closing(b"HTTP/1.1 429 No\r\nRetry-After: 1"))  # perhaps of 10
    log = run(transport, server.target(), Times(2))
    assert log.column("error") == ["closed"] * 2
    assert log.column("status") == [429 if transport == "threads" else None] * 2
    assert log.column("retry_after_s") == [None] * 2
    assert server.connections == 2


def test_interim_answers_without_end_or_pause_are_given_up(
    scripted: Callable[..., Any], transport: str
) -> None:
    flood = repeating(b"", b"HTTP/1.1 100 Go\r\n\r\n" * 100)
    log = run(transport, scripted(flood).target(), Times(2), timeout_ns=400 * MS)
    assert set(log.column("error")) <= {"protocol", "timeout"}
    assert log.column("status") == [None] * 2


def test_a_server_that_closes_unread_connections_is_told_apart_from_none(
    transport: str,
) -> None:
    """A close with unread bytes is a reset, before or after the request was written."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        target = Target("http", "127.0.0.1", listener.getsockname()[1])
        log = run(transport, target, Times(3), 5, timeout_ns=60 * SECOND)
        listener.shutdown(socket.SHUT_RDWR)
    assert len(log) == 15
    assert set(log.column("error")) <= {"closed", "reset"}
    assert set(log.column("outcome")) == {"unknown"}


def test_a_port_without_a_listener_is_refused(transport: str, free_port: int) -> None:
    target = Target("http", "127.0.0.1", free_port)
    log = run(transport, target, Saturate(), 3, max_requests=12)
    assert log.column("error") == ["refused"] * 12
    assert len(set(log.column("connection"))) == 12
    for events in log.by_key().values():  # pauses after a failure
        sent = sorted(event.sent_ns for event in events)
        assert all(late - early > 90 * MS for early, late in pairwise(sent))
    assert set(log.column("received_ns")) == {None}


BROKEN_BODIES = {
    "closes within the body": (
        closing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
        "closed",
    ),
    "closes within a chunk": (closing(CHUNKED + b"5\r\nab"), "closed"),
    "closes before the last chunk": (closing(CHUNKED + b"2\r\nab\r\n"), "closed"),
    "resets within the body": (
        resetting(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
        "reset",
    ),
    "says a chunk of no size": (closing(CHUNKED + b"z\r\nab\r\n0\r\n\r\n"), "protocol"),
    "stalls within the body": (
        stalling(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
        "timeout",
    ),
    "drips its body": (
        repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x", 0.02),
        "timeout",
    ),
    "has a body without end": (repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536), "oversized"),
    "has a redirect's body without end": (  # Requests would read it whole
        repeating(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"x" * 65_536),
        "oversized",
    ),
    "has chunks without end": (
        repeating(CHUNKED, b"400\r\n" + b"x" * 1_024 + b"\r\n"),
        "oversized",
    ),
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_an_answer_whose_body_is_lost_keeps_its_status(
    scripted: Callable[..., Any], transport: str, name: str
) -> None:
    """The decision was seen; what followed it is an error."""
    script, kind = BROKEN_BODIES[name]
    if transport == "threads":
        kind = ON_THREADS.get(name, kind)
    server = scripted(script)
    timeout_ns = 500 * MS if kind == "timeout" else 60 * SECOND
    log = run(transport, server.target(), Times(2), 2, timeout_ns=timeout_ns)
    assert log.column("error") == [kind] * 4
    assert set(log.column("status")) <= {200, 302}
    assert log.column("outcome") == ["admitted"] * 4
    assert None not in log.column("received_ns")
    assert max(log.column("bytes")) <= MIB + 65_536
    assert len(server.heads) == server.connections == 4


# ------------------------------------------------------------- what is unusual, and right

WHOLE = {
    "a body of a length": (OK, 2),
    "no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 0),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 0),
    "301": (b"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 0),
    "chunks": (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", 2),
    "chunks with extensions and trailers": (
        CHUNKED + b'A;name="v"\r\n0123456789\r\n1\r\nx\r\n0\r\nExpires: 0\r\nX: y\r\n\r\n',
        11,
    ),
    "an interim answer first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 2),
    "no reason": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 2),
    "a large body": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000,
        900_000,
    ),
}


@pytest.mark.parametrize(("answer", "size"), WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_answer_keeps_its_connection(
    scripted: Callable[..., Any], transport: str, answer: bytes, size: int
) -> None:
    server = scripted(answering(answer))
    log = run(transport, server.target(), Times(4), 2)
    assert log.column("error") == [None] * 8
    assert set(log.column("status")) == {int(re.findall(rb"HTTP/1.1 (\d+)", answer)[-1])}
    assert log.column("bytes") == [size] * 8
    assert server.connections == len(set(log.column("connection"))) == 2
    assert len(server.heads) == 8
    assert not any(head.startswith(b"GET /elsewhere") for head in server.heads)


def test_an_early_hint_is_no_answer(scripted: Callable[..., Any], transport: str) -> None:
    """Requests takes it for one; then the real one must not pass for the next request's."""
    hint = b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
    server = scripted(answering(hint + OK.replace(b"200", b"429")))
    log = run(transport, server.target(), Times(4))
    if transport == "native":
        assert log.column("status") == [429] * 4
    else:
        assert log.column("error") == ["protocol"] * 4
        assert log.column("outcome") == ["unknown"] * 4
        assert server.connections == 4


def test_the_answer_to_head_has_no_body_whatever_it_says(
    scripted: Callable[..., Any], transport: str
) -> None:
    server = scripted(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"))
    log = run(transport, server.target(), Times(4), method="HEAD", timeout_ns=10 * SECOND)
    assert log.column("error") == [None] * 4
    assert server.connections == 1
    assert all(head.startswith(b"HEAD / ") or b"HEAD /?" in head for head in server.heads)


ENDING = {
    "says that it closes": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "ends its body with the connection": b"HTTP/1.1 200 OK\r\n\r\nok",
    "speaks HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    "speaks HTTP/1.0 with a length": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("answer", ENDING.values(), ids=ENDING.keys())
def test_a_server_that_closes_after_each_answer_is_connected_to_anew_and_it_shows(
    scripted: Callable[..., Any], transport: str, answer: bytes
) -> None:
    server = scripted(closing(answer))
    log = run(transport, server.target(), Times(5), 3)
    assert log.column("error") == [None] * 15
    assert log.column("bytes") == [2] * 15
    assert server.connections == len(set(log.column("connection"))) == 15


def test_clients_that_share_connections_open_no_more_than_allowed(
    scripted: Callable[..., Any],
) -> None:
    """Not even where each sends once and is gone; the threads transport shares none."""
    server = scripted(answering(OK))
    log = run("native", server.target(), Times(1), 50, max_connections=3)
    assert log.column("status") == [200] * 50
    assert server.connections == len(set(log.column("connection"))) == 3


def test_bytes_behind_an_answer_are_never_taken_for_the_next(
    scripted: Callable[..., Any], transport: str
) -> None:
    surplus = b"HTTP/1.1 500 Not Yours\r\nContent-Length: 0\r\n\r\n"
    server = scripted(answering(OK + surplus))
    log = run(transport, server.target(), Times(5, 5 * MS), 3)
    assert log.column("status") == [200] * 15
    assert log.column("error") == [None] * 15
    assert len(server.heads) == 15
    if transport == "native":  # Requests drops such bytes, and may keep the connection
        assert server.connections == len(set(log.column("connection"))) == 15


def test_a_kept_connection_that_the_server_closes_while_idle_costs_no_request(
    scripted: Callable[..., Any], transport: str
) -> None:
    server = scripted(closing(OK))  # it does not say that it will close
    log = run(transport, server.target(), Times(4, 60 * MS), 3)
    assert log.column("error") == [None] * 12
    assert len(server.heads) == 12
    assert server.connections == len(set(log.column("connection"))) == 12


def test_a_request_that_meets_the_close_is_a_row_and_is_not_sent_again(
    scripted: Callable[..., Any], transport: str
) -> None:
    """Without a pause either comes first, the close or the next request."""
    server = scripted(closing(OK))
    log = run(transport, server.target(), Times(50), 4)
    assert len(log) == 200
    answered = [event for event in log if event.error is None]
    assert len(answered) == len(server.heads)
    for event in log:
        assert event.error in {None, "closed", "reset"}
        assert (event.outcome == "unknown") is (event.error is not None)


def test_ipv6_is_spoken(scripted: Callable[..., Any], transport: str) -> None:
    server = scripted(answering(OK), "::1")
    log = run(transport, server.target(), Times(5), 3)
    assert log.column("status") == [200] * 15
    assert b"\r\nHost: [::1]:" in server.heads[0]


# ------------------------------------------------------------- the run goes on, and ends


def test_bad_answers_do_not_spoil_those_around_them(
    scripted: Callable[..., Any], transport: str
) -> None:
    """Each client meets every fault, with a good answer after each."""
    faults = [script for script, kind in (LOST | BROKEN_BODIES).values() if kind != "timeout"]
    turns: dict[bytes, int] = {}

    def mixed(connection: socket.socket, head: bytes) -> object:
        found = re.search(rb"clientId=(\S+)", head)
        assert found
        turn = turns[found[1]] = turns.get(found[1], -1) + 1
        return faults[turn // 2](connection, head) if turn % 2 else answering(OK)(connection, head)

    log = run(
        transport, scripted(mixed).target(), Times(2 * len(faults)), 8, timeout_ns=20 * SECOND
    )
    for events in log.by_key().values():
        good = events[::2]
        assert [event.error for event in good] == [None] * len(faults)
        assert [event.status for event in good] == [200] * len(faults)
        assert None not in [event.error for event in events[1::2]]
    assert len(log) == 16 * len(faults)


def test_no_answer_of_a_hostile_server_ends_the_run(
    scripted: Callable[..., Any], transport: str
) -> None:
    """Whole answers, cut, repeated, with bytes changed and numbers blown up."""
    rng = Random(5)
    whole = [answer for answer, size in WHOLE.values() if size < 100]
    insertions = [b"", b"\r\n", b"\x00", b"\xff", b":", b" ", b"9" * 5_000, b"-1", b"\xc2\xb2"]

    def hostile(connection: socket.socket, _head: bytes) -> object:
        answer = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(answer))
            answer[at : at + rng.randrange(3)] = rng.choice(insertions)
        connection.sendall(answer[: rng.randrange(len(answer))] if rng.random() < 0.2 else answer)
        return rng.random() < 0.9 or None

    log = run(transport, scripted(hostile).target(), Times(100), 5, timeout_ns=60 * MS)
    assert len(log) == 500
    assert {None, "closed", "protocol", "timeout"} <= set(log.column("error"))


def test_a_run_ends_in_time_where_nothing_is_ever_answered(
    scripted: Callable[..., Any], transport: str
) -> None:
    """Its end, and then the time that the last request may take."""
    server = scripted(stalling())
    began = time.monotonic()
    options = {"duration_ns": 300 * MS, "timeout_ns": 400 * MS}
    log = run(transport, server.target(), Saturate(), 20, **options)
    assert time.monotonic() - began < 30
    assert len(log) >= 20
    assert set(log.column("error")) == {"timeout"}
