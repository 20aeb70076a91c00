"""A server that answers bit by bit, or not at all: each call as a whole is over in time."""

import asyncio
import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rateproof import Limiter

TIMEOUT_S = 0.25
SLACK_S = 1.5  # for a loaded machine; a call that is not bounded takes 20 s and more


@pytest.fixture
def dripping():
    """The address of a server that sends one byte of its answer each 50 ms, for ever."""
    over = threading.Event()

    def drip(connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(1)
            connection.sendall(b"+")
            while not over.wait(0.05):
                connection.sendall(b"O")

    def accept(listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=drip, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        over.set()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("waiting", [False, True], ids=["hit", "ahit"])
def test_a_dripping_server_costs_one_timeout_a_call(dripping, scheme, waiting):
    with Limiter("5 per 1h", store=f"{scheme}://{dripping}", on_error="admit") as limiter:
        start = time.monotonic()
        decision = asyncio.run(limiter.ahit("a")) if waiting else limiter.hit("a")
        took_s = time.monotonic() - start
        assert (decision.admitted, decision.reason) == (True, "error")
        assert took_s < TIMEOUT_S + SLACK_S


def test_the_first_waits_for_a_silent_server_are_not_added_up(dripping):
    with (
        Limiter("5 per 1h", store=f"redis://{dripping}", on_error="admit") as limiter,
        ThreadPoolExecutor(12) as pool,
    ):
        start = time.monotonic()
        decisions = list(pool.map(limiter.hit, "abcdefghijkl"))
        took_s = time.monotonic() - start
        assert {decision.reason for decision in decisions} == {"error"}
        assert took_s < TIMEOUT_S + SLACK_S
