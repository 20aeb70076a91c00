"""A server that answers bit by bit, or not at all: each call as a whole is over in time."""

import asyncio
import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rateproof import Limiter
from rateproof.enforce.stores import open_store
from rateproof.enforce.stores.redis.loops import AT_ONCE

BOUND_S = 10  # of a call that waits for 0.25 s; those that are not bounded wait for 15 s and more
MANY = 60


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


def test_waiting_for_a_turn_counts_as_timeout_and_no_fault_of_the_server(valkey, caplog):
    async def main(limiter, gate):
        for _ in range(AT_ONCE):
            await gate().acquire()
        late = await asyncio.gather(*(limiter.ahit("a") for _ in range(5)))
        for _ in range(AT_ONCE):
            gate().release()
        return late, await limiter.ahit("a")

    store = open_store(valkey.store.replace("timeout=5s", "timeout=1s"))
    with Limiter("5 per 1h", store=store) as limiter:
        late, decision = asyncio.run(main(limiter, lambda: store.link.loops._current()[1]))
    assert {each.reason for each in late} == {"error"}
    assert "does not answer" not in caplog.text
    assert decision.remaining == 4


@pytest.mark.alone
@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("waiting", [False, True], ids=["hit", "ahit"])
def test_a_dripping_server_costs_one_timeout_a_call(dripping, scheme, waiting):
    with Limiter("5 per 1h", store=f"{scheme}://{dripping}", on_error="admit") as limiter:
        start = time.monotonic()
        decision = asyncio.run(limiter.ahit("a")) if waiting else limiter.hit("a")
        took_s = time.monotonic() - start
        assert (decision.admitted, decision.reason) == (True, "error")
        assert took_s < BOUND_S


@pytest.fixture
def lost():
    """The address of a node that knows of no other one, and that its Cluster is down."""

    def answer(connection, port):
        with connection, contextlib.suppress(OSError):
            while asked := connection.recv(65_536):
                if b"EVALSHA" in asked:
                    connection.sendall(b"-CLUSTERDOWN The cluster is down\r\n")
                elif b"SLOTS" in asked:
                    node = b"*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$2\r\nid\r\n" % port
                    connection.sendall(b"*1\r\n*3\r\n:0\r\n:16383\r\n" + node)
                elif asked.endswith(b"COMMAND\r\n"):
                    connection.sendall(b"*0\r\n")
                else:
                    connection.sendall(b"+OK\r\n" * asked.count(b"*"))

    def accept(listener, port):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection, port), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=accept, args=(listener, port), daemon=True).start()
        yield f"127.0.0.1:{port}"


def test_a_cluster_that_is_down_is_not_slept_for(lost, monkeypatch):
    slept, sleep, here = [], time.sleep, threading.current_thread()
    monkeypatch.setattr(
        time,
        "sleep",
        lambda s: slept.append(s) if threading.current_thread() is here else sleep(s),
    )
    with Limiter("5 per 1h", store=f"redis+cluster://{lost}?timeout=5s") as limiter:
        assert limiter.hit("a").reason == "error"
    assert not slept


@pytest.mark.alone
@pytest.mark.parametrize("waiting", [False, True], ids=["hit", "ahit"])
def test_many_silent_nodes_cost_one_timeout_a_call(waiting):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(MANY)]
        nodes = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in silent)
        limiter = stack.enter_context(Limiter("5 per 1h", store=f"redis+cluster://{nodes}"))
        start = time.monotonic()
        decision = asyncio.run(limiter.ahit("a")) if waiting else limiter.hit("a")
        assert decision.reason == "error"
        assert time.monotonic() - start < BOUND_S


@pytest.mark.alone
def test_the_first_waits_for_a_silent_server_are_not_added_up(dripping):
    with (
        Limiter("5 per 1h", store=f"redis://{dripping}", on_error="admit") as limiter,
        ThreadPoolExecutor(MANY) as pool,
    ):
        start = time.monotonic()
        decisions = list(pool.map(limiter.hit, map(str, range(MANY))))
        took_s = time.monotonic() - start
        assert {decision.reason for decision in decisions} == {"error"}
        assert took_s < BOUND_S
