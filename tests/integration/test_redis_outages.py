"""Decisions while the server cannot be reached, and their time."""

import asyncio
import logging
import signal
import socket
import threading
import time
from contextlib import closing

import pytest

from rateproof.enforce.counters import Count
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores.redis.outages import FAILURES, REST_NS
from rateproof.enforce.stores.redis.single import RESTED_NS
from rateproof.errors import StoreError, StoreUnreachable

TIMEOUT_S = 0.1


@pytest.fixture
def url(valkey):
    return f"{valkey.url}?timeout={TIMEOUT_S * 1000:.0f}ms"


def answered_again(limiter, key, seconds=60):
    """The first decision that is the store's."""
    deadline = time.monotonic() + seconds
    while (decision := limiter.hit(key)).reason in {"error", "local"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return decision


def test_a_service_starts_while_the_server_is_down(valkey, url, caplog):
    valkey.kill()
    with Limiter("5 per hour", store=url) as denying:
        decision = denying.hit("a")
        assert (decision.admitted, decision.reason) == (False, "error")
        assert decision.retry_after_ns > 0
        with pytest.raises(StoreUnreachable, match=f"127.0.0.1:{valkey.port}"):
            denying.reset("a")
        assert denying.stats().counts[Count.ERROR] == 1
        valkey.start()
        assert answered_again(denying, "a").admitted
    ours = (record for record in caplog.records if record.name == "rateproof")
    told = [record.message for record in ours if record.levelno >= logging.WARNING]
    assert len(told) == 2, "told once when it fails, once when it answers again"
    with Limiter("5 per hour", store=url, on_error="admit") as admitting:
        valkey.kill()
        decision = admitting.hit("b")
        assert (decision.admitted, decision.reason) == (True, "error")


def test_while_the_server_is_down_the_local_table_keeps_the_limit(valkey):
    with Limiter("3 per hour", store=valkey.store, on_error="local") as limiter:
        assert limiter.hit("a").reason == "quota"
        valkey.kill()
        decisions = [limiter.hit("a") for _ in range(5)]
        assert [each.admitted for each in decisions] == [True, True, True, False, False]
        assert {each.reason for each in decisions} == {"local"}
        assert limiter.peek("a").reason == "local"

        async def one():
            return await limiter.ahit("a")

        assert asyncio.run(one()).reason == "local"


@pytest.mark.alone
def test_a_hung_server_costs_a_few_bounded_waits_and_then_nothing(valkey, url, monkeypatch):
    with Limiter("1000 per hour", store=url) as limiter:
        link = limiter._store.link
        tries = []
        ask = link.ask
        monkeypatch.setattr(
            link, "ask", lambda *args, **how: (tries.append(args), ask(*args, **how))[1]
        )
        limiter.hit("a")
        valkey.send(signal.SIGSTOP)
        tries.clear()
        waits = []
        began = time.monotonic()
        while time.monotonic() - began < 2.5 * REST_NS / 1e9:
            start = time.monotonic()
            assert limiter.hit("a").reason == "error"
            waits.append(time.monotonic() - start)
        spent = time.monotonic() - began
        valkey.send(signal.SIGCONT)
        hung = len(tries)
        most = FAILURES + 1 + spent / REST_NS * 1e9
        assert FAILURES < hung <= most, "one try a second after the first few"
        assert max(waits) < 50 * TIMEOUT_S
        assert len(waits) > 20 * hung
        # What timed out may have been charged, once each, and nothing twice.
        assert answered_again(limiter, "a").remaining >= 1000 - 1 - len(tries)


def test_tasks_that_wait_for_a_hung_server_all_give_up_in_time(valkey, url):
    async def main():
        with Limiter("1000 per hour", store=url) as limiter:
            await limiter.ahit("a")
            valkey.send(signal.SIGSTOP)
            start = time.monotonic()
            decisions = await asyncio.gather(*(limiter.ahit("a") for _ in range(500)))
            spent = time.monotonic() - start
        return {each.reason for each in decisions}, spent

    reasons, spent = asyncio.run(main())
    valkey.send(signal.SIGCONT)
    assert reasons == {"error"}
    assert spent < 400 * TIMEOUT_S, "not one after the other"


def test_killed_and_restarted_under_load_it_admits_at_most_one_limit_more(valkey):
    """It comes back empty, as a replica would that had received nothing yet."""
    limit = 50
    found = []
    over = threading.Event()

    def load():
        # With patience: what timed out would be charged, and counted by nobody.
        with Limiter(f"{limit} per hour", store=valkey.store) as limiter:
            while not over.is_set():
                found.append(limiter.hit("one"))
                time.sleep(0.0005)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    while not any(each.reason == "cached" for each in found):
        time.sleep(0.01)
    valkey.kill()
    threads.append(threading.Thread(target=load))  # one that remembers no denial
    threads[-1].start()
    while not any(each.reason == "error" for each in found):
        time.sleep(0.01)
    deadline = time.monotonic() + 60  # others may have read their answers, and not told them yet
    while sum(each.admitted for each in found) < limit and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sum(each.admitted for each in found) == limit
    valkey.start()
    while sum(each.admitted for each in found) < 2 * limit and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    over.set()
    for thread in threads:
        thread.join()
    assert sum(each.admitted for each in found) == 2 * limit
    assert {each.reason for each in found} == {"quota", "cached", "error"}


def test_a_replica_that_was_empty_at_failover_admits_at_most_one_limit_more(start_valkey):
    """The primary dies before anything reached the replica, which is promoted in its place."""
    primary = start_valkey()
    with closing(socket.create_server(("127.0.0.1", 0))) as front:
        targets = [primary.port]
        threading.Thread(target=relay, args=(front, targets), daemon=True).start()
        store = f"redis://127.0.0.1:{front.getsockname()[1]}/0?timeout=5s"
        with Limiter("20 per hour", store=store) as limiter:
            assert [limiter.hit("one", cost=5).admitted for _ in range(3)] == [True] * 3
            replica = start_valkey("--replicaof", "127.0.0.1 1")
            primary.kill()
            targets[0] = replica.port
            assert limiter.hit("one").reason == "error", "a replica does not decide"
            replica.client.execute_command("REPLICAOF", "NO", "ONE")
            assert answered_again(limiter, "one").admitted
            admitted = sum(limiter.hit("one").admitted for _ in range(60))
    assert admitted == 19


def relay(front, targets):
    """Connect each client to the server of the moment, as a name or an address does."""
    while True:
        try:
            client, _ = front.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", targets[0]))
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=copy, args=(source, target), daemon=True).start()


def copy(source, target):
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        source.close()
        target.close()


def test_a_server_that_restarted_while_nobody_asked_costs_no_error(valkey):
    async def twice(limiter):
        before = await limiter.ahit("a")
        await asyncio.to_thread(restart)
        return before, await limiter.ahit("a")

    def restart():
        valkey.kill()
        valkey.start()
        time.sleep(2 * RESTED_NS / 1e9)

    with Limiter("5 per hour", store=valkey.store) as limiter:
        assert limiter.hit("a").remaining == 4
        restart()
        assert limiter.hit("a").remaining == 4
        assert [each.remaining for each in asyncio.run(twice(limiter))] == [3, 4]


def test_wrong_credentials_are_an_error_and_are_not_repeated(start_valkey):
    valkey = start_valkey("--requirepass", "right")
    for credentials in (":topsecret", "somebody:topsecret"):
        store = f"redis://{credentials}@127.0.0.1:{valkey.port}/0?timeout=60s"
        with (
            Limiter("5 per hour", store=store, on_error="admit") as limiter,
            pytest.raises(StoreError, match="password") as caught,
        ):
            limiter.hit("a")
        assert not isinstance(caught.value, StoreUnreachable)
        assert "topsecret" not in str(caught.value)
    store = f"redis://:right@127.0.0.1:{valkey.port}/0?timeout=60s"
    with Limiter("5 per hour", store=store) as limiter:
        assert limiter.hit("a").admitted


def test_what_is_no_redis_is_an_error_or_an_outage_but_never_an_admission():
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer():
            connection, _ = listener.accept()
            with closing(connection):
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        with (
            Limiter(
                "5 per hour", store=f"redis://127.0.0.1:{port}?timeout=60s", on_error="admit"
            ) as limiter,
            pytest.raises(StoreError, match="Redis"),
        ):
            limiter.hit("a")
        thread.join()


def test_a_key_of_another_application_is_an_error(valkey):
    with Limiter("5 per hour", store=valkey.store, on_error="admit") as limiter:
        limiter.hit("a")
        (key,) = valkey.client.keys()
        valkey.client.delete(key)
        valkey.client.rpush(key, "stranger")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            limiter.hit("a")


def test_a_server_without_memory_is_an_outage(start_valkey):
    valkey = start_valkey("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    with Limiter("60000 per hour", store=valkey.store) as limiter:
        for number in range(100):
            decision = limiter.hit(f"key {number}", cost=60_000)
            if decision.reason == "error":
                break
        assert (decision.admitted, decision.reason) == (False, "error")
        assert number > 0


def test_a_denial_is_remembered_while_the_server_is_down(valkey):
    with Limiter("1 per hour", store=valkey.store, on_error="admit") as limiter:
        limiter.hit("a")
        limiter.hit("a")
        valkey.kill()
        assert not limiter.hit("a")
        assert limiter.hit("a").reason == "cached"
        assert limiter.hit("b").reason == "error"
