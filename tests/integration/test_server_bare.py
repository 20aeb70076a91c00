"""The server where granian is missing: one process, by Werkzeug, as good for clients as any."""

import contextlib
import socket
import struct
import time
from pathlib import Path

BARE = "bare"


def test_where_granian_is_missing_bodies_are_read_and_the_connection_kept(start):
    server = start(BARE)
    with contextlib.closing(server.connect()) as connection:
        connection.connect()
        used = connection.sock
        for length in (1, 70_000, 1 << 20):
            assert server.ask("/", connection, "POST", body=b"x" * length)[0] == 200
        chunks = iter([b"x" * 1000] * 3)
        assert server.ask("/", connection, "POST", body=chunks, encode_chunked=True)[0] == 200
        assert server.ask("/", connection, "POST", body=b"x")[0] == 200
        assert server.ask("/", connection, "POST", body=b"x")[0] == 503
        assert connection.sock is used


def test_where_granian_is_missing_a_client_that_waits_to_send_is_told_to(start):
    server = start(BARE)
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), 10)) as raw:
        fields = b"Content-Length: 1\r\nExpect: 100-continue\r\nConnection: close"
        raw.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n\r\n")
        assert raw.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"x")
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_where_granian_is_missing_a_body_too_long_to_read_ends_the_connection(start):
    server = start(BARE)
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), 10)) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer


def test_without_granian_one_worker_serves_and_says_so(start):
    server = start(BARE, "--workers", 3, RATEPROOF_CORE="native")
    said = "".join(server.said)
    assert "granian is not installed" in said
    assert "1 worker process, not 3" in said
    assert "pip install granian" in said
    assert ", 1 worker, listening at" in said


def threads_of(server):
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def test_without_granian_connections_are_bounded_and_the_idlest_makes_room(start):
    server = start(BARE)
    with contextlib.ExitStack() as stack:
        idle = []
        for _ in range(560):
            connection = socket.create_connection(("127.0.0.1", server.port), 10)
            idle.append(stack.enter_context(connection))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert server.ask("/healthz")[0] == 200
        deadline = time.monotonic() + 10  # those that made room are ending
        while threads_of(server) > 512 + 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threads_of(server) <= 512 + 8
        assert idle[0].recv(1) == b""  # the idlest
        idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[-1].recv(4096).startswith(b"HTTP/1.1 200")


def test_without_granian_clients_that_leave_leave_no_traceback(start):
    server = start(BARE)
    for sent in (
        b"",
        b"GE",
        b"GET / HTTP/1.1\r\n",
        b"GET /?clientId=a HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
    ):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
                connection.sendall(sent)
                # Closed with a reset, not in order.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert server.ask("/healthz")[0] == 200
    said = server.stop()[2]
    assert "Traceback" not in said
    assert "Exception" not in said
