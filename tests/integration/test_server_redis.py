"""The server on a Redis store: one count for its workers, and a start though nothing answers."""

import os
import re
import signal
import time

import pytest

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import open_store
from tests.samples import quick_first

NATIVE, PYTHON, BARE = "native core, granian", "python core, granian", "bare"


def figure(server, name):
    status, _, page = server.ask("/metrics")
    assert status == 200
    return int(re.search(rf"^rateproof_{name} (\d+)$", page.decode(), re.MULTILINE)[1])


@pytest.fixture
def serve(start, valkey):
    """A server on the Redis store; the port was picked, so its counters go with it."""
    return lambda flavour, *options: start(flavour, "--store", valkey.store, *options)


@pytest.mark.parametrize("flavour", quick_first([NATIVE, BARE]))
def test_decisions_and_counters_are_shared_by_the_workers(serve, flavour):
    server = serve(flavour, "--workers", 4, "--policy", "5 per 1h")
    assert [server.status("a") for _ in range(40)] == [200] * 5 + [503] * 35
    pages = [figure(server, 'decisions_total\\{outcome="denied"\\}') for _ in range(8)]
    assert pages == [35] * 8
    assert figure(server, "cached_total") > 0


def test_without_the_native_core_decisions_are_shared_and_each_worker_counts_its_own(serve):
    server = serve(PYTHON, "--workers", 4, "--policy", "5 per 1h")
    statuses, figures = [], [0]
    deadline = time.monotonic() + 60
    while max(figures) == statuses.count(503):  # until two workers have denied something
        assert time.monotonic() < deadline
        statuses += [server.status("a") for _ in range(20)]
        figures = [figure(server, 'decisions_total\\{outcome="denied"\\}') for _ in range(20)]
    assert statuses == [200] * 5 + [503] * (len(statuses) - 5)
    assert len(set(figures)) > 1


@pytest.mark.parametrize(("choice", "statuses"), [("deny", {503}), ("admit", {200})])
def test_while_the_store_is_out_of_reach_requests_are_decided_as_chosen(
    serve, valkey, choice, statuses
):
    server = serve(NATIVE, "--on-error", choice, "--policy", "5 per 1h")
    assert server.status("a") == 200
    valkey.kill()
    assert {server.status("a") for _ in range(20)} == statuses
    assert figure(server, "store_errors_total") == 20


def test_it_starts_though_the_store_is_out_of_reach_and_decides_once_it_answers(serve, valkey):
    valkey.kill()
    server = serve(NATIVE, "--on-error", "admit", "--policy", "1 per 1h")
    assert {server.status("a") for _ in range(5)} == {200}
    valkey.start()
    deadline = time.monotonic() + 60
    while server.status("a") != 503:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_reload_keeps_what_the_store_counted(serve, tmp_path):
    file = tmp_path / "server.toml"
    file.write_text("policy = '5 per 1h'\n")
    server = serve(NATIVE, "--config", file, "--workers", 2)
    assert [server.status("a") for _ in range(4)] == [200] * 4
    file.write_text("policy = '3 per 1h'\n")
    os.kill(server.process.pid, signal.SIGHUP)
    assert "reloaded" in server.process.stderr.readline()
    assert [server.status("a") for _ in range(2)] == [200, 503]
    assert [server.status("b") for _ in range(4)] == [200] * 3 + [503]


def test_what_is_let_go_leaves_its_remembered_denials_to_no_other(valkey):
    store = open_store(valkey.store)
    with Limiter("1 per 1h", store=store) as before:
        assert [before.hit("a").reason for _ in range(3)] == ["quota", "quota", "cached"]
        store.retain([])
        assert Limiter("5 per 1h", store=store).hit("a").admitted
