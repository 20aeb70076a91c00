"""Waits for a server end with the call, and nothing that is sent is lost."""

import socket
import threading
from types import SimpleNamespace

import pytest

from rateproof.enforce.stores.redis.bounds import OneCall, bounded


@pytest.fixture
def pair():
    """A connection as redis-py has it, and the other end of its socket."""
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs:
        connection = bounded(type("Plain", (), {"_connect": lambda _: ours}))()
        yield SimpleNamespace(ours=connection._connect(), theirs=theirs)


def test_a_command_that_finds_no_room_is_sent_whole(pair):
    command = bytes(range(256)) * 20_000  # beyond what the kernel holds
    sending = threading.Thread(target=pair.ours.sendall, args=(command,))
    sending.start()
    received = bytearray()
    while len(received) < len(command):
        received += pair.theirs.recv(1 << 20)
    sending.join()
    assert received == command


def test_sending_and_receiving_end_with_the_call(pair):
    with OneCall(0.05), pytest.raises(TimeoutError):
        pair.ours.sendall(bytes(10_000_000))
    with OneCall(0.05), pytest.raises(TimeoutError):
        pair.ours.recv(1)
