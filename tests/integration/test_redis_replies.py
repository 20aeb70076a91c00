"""Replies that are no decision, and states that are none: mistakes, never another exception."""

import asyncio
import socket
import threading
from contextlib import closing, suppress

import pytest

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores.redis.command import digest_of
from rateproof.errors import StoreError

REPLIES = [
    b"+OK\r\n",
    b":1\r\n",
    b":one\r\n",
    b"$-1\r\n",
    b"$x\r\n",
    b"$3\r\n\xff\xfe\xfd\r\n",
    b"*-1\r\n",
    b"*1\r\n+a\r\n",
    b"*x\r\n",
    b"+1 4\r\n",
    b"+0 0 -5 99999999999999999999999\r\n",
    b"-MOVED nowhere\r\n",
    b"-MOVED 1 2 3\r\n",
    b"-ERR unknown command\r\n",
    b"220 mail ready\r\n",
    b"*1\r\n" * 5000,
]


@pytest.fixture
def answering():
    """Start what gives one reply to every command, whatever it is."""
    listeners = []

    def start(reply):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=accept, args=(listener, reply), daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def accept(listener, reply):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection, reply), daemon=True).start()


def serve(connection, reply):
    with closing(connection):
        try:
            while commands := connection.recv(65_536).count(b"*"):
                connection.sendall(reply * commands)
        except OSError:
            pass


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: repr(reply[:20]))
def test_a_foreign_reply_is_a_mistake(answering, scheme, reply):
    store = f"{scheme}://{answering(reply)}?timeout=5s"
    with Limiter("5 per hour", store=store, on_error="admit") as limiter:
        for ask in (limiter.hit, limiter.peek, lambda key: asyncio.run(limiter.ahit(key))):
            with pytest.raises(StoreError) as caught:
                ask("a")
            assert caught.type is StoreError
            assert caught.value.hint


@pytest.mark.parametrize(
    "policy",
    ["5 per 5s", *(f"{name} 5 per 5s" for name in ("token-bucket", "first-hit-window"))],
)
@pytest.mark.parametrize("state", [b"", b"garbage", b"\xff" * 200, b"\x7f" * 200, b"-" * 200])
def test_a_damaged_state_is_a_mistake_or_a_decision(valkey, policy, state):
    with Limiter(policy, store=valkey.store, on_error="admit") as limiter:
        limiter.hit("a")
        (key,) = valkey.client.keys()
        assert digest_of(b"a") in key
        valkey.client.set(key, state)
        for _ in range(3):
            with suppress(StoreError):
                decision = limiter.hit("a")
                assert 0 <= decision.remaining <= 5
                assert decision.reason in {"quota", "cached"}, "it is no outage"
