"""Bodies that the application does not read: the answer arrives, and the connection stays."""

import contextlib
import socket

import pytest

from rateproof.enforce.server.bodies import BODY_BYTES
from tests.samples import quick_first

NATIVE = "native core, granian"
FLAVOURS = [NATIVE, "python core, granian", "bare"]


@pytest.mark.parametrize("flavour", quick_first(FLAVOURS, 2))
def test_posts_on_one_connection_are_all_answered_whatever_is_in_them(start, flavour):
    server = start(flavour, "--policy", "9 per 1h", "--workers", 1)
    with contextlib.closing(server.connect()) as connection:
        connection.connect()
        used = connection.sock
        statuses = [
            server.ask("/", connection, "POST", body=b"x" * length)[0]
            for length in (10_000, 70_000, 300_000, BODY_BYTES) * 3
        ]
        chunks = iter([b"x" * 1000] * 300)
        statuses.append(server.ask("/", connection, "POST", body=chunks, encode_chunked=True)[0])
        assert server.ask("/healthz", connection)[0] == 200
        assert connection.sock is used
    assert statuses == [200] * 9 + [503] * 4


def half_sent(server, *fields):
    """A connection with a request whose body does not come, and what is answered at once."""
    raw = socket.create_connection(("127.0.0.1", server.port), 10)
    lines = ["POST / HTTP/1.1", "Host: a", "Content-Length: 9", *fields, "", ""]
    raw.sendall("\r\n".join(lines).encode())
    return raw


def test_clients_that_keep_their_bodies_keep_nobody_else_waiting(start):
    server = start(NATIVE, "--workers", 1, "--policy", "99 per 1h")
    with contextlib.ExitStack() as open_ones:
        for _ in range(20):
            open_ones.enter_context(contextlib.closing(half_sent(server)))
        assert [server.status("a") for _ in range(9)] == [200] * 9


def test_a_client_that_waits_to_be_asked_for_its_body_is_answered_without(start):
    server = start(NATIVE, "--workers", 1)
    with contextlib.closing(half_sent(server, "Expect: 100-continue")) as raw:
        assert raw.recv(65_536).startswith(b"HTTP/1.1 200 OK")
