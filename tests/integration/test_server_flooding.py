"""Invented identities against real servers: one address locks nobody else out."""

import http.client
import json
import re
from contextlib import contextmanager

import pytest

NATIVE = "native core, granian"
HOUR = ("--policy", "5 per 5s; 1000 per 1h", "--capacity", 300, "--workers", 2)


@contextmanager
def client(server, address):
    """Statuses of requests from an address of this machine, by identity."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=60, source_address=(address, 0)
    )

    def ask(identity, **fields):
        connection.request("GET", f"/?clientId={identity}", headers=fields)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    try:
        yield ask
    finally:
        connection.close()


def flood(server, count=800, **fields):
    """The statuses of so many invented identities, by two connections of one address."""
    with client(server, "127.0.0.2") as one, client(server, "127.0.0.2") as other:
        return [(one, other)[n % 2](f"invented-{n}", **fields) for n in range(count)]


def honest(server):
    """The statuses of new clients, each from an address of its own."""
    statuses = []
    for n in range(40):
        with client(server, f"127.0.1.{n + 1}") as ask:
            statuses.append(ask(f"honest-{n}"))
    return statuses


def refused(server):
    return int(
        re.search(rb"^rateproof_flood_total (\d+)$", server.ask("/metrics")[2], re.MULTILINE)[1]
    )


def test_one_address_does_not_lock_others_out_of_two_workers(start):
    server = start(NATIVE, *HOUR)
    statuses = flood(server)
    assert honest(server) == [200] * 40
    assert statuses[:250] == [200] * 250
    assert statuses[-100:] == [503] * 100
    assert refused(server) == statuses.count(503)
    with client(server, "127.0.0.2") as ask:
        assert ask("invented-0") == 200  # it has its place


def test_a_new_worker_knows_what_an_address_took(start):
    before = start(NATIVE, *HOUR)
    flood(before)
    before.stop()
    server = start(NATIVE, *HOUR)
    assert flood(server, 850)[-50:] == [503] * 50
    assert honest(server) == [200] * 40


def test_switched_off_the_same_flood_locks_all_out(start):
    server = start(NATIVE, *HOUR, "--flood-exempt", "all")
    flood(server)
    assert honest(server).count(503) > 30
    assert refused(server) == 0


def test_an_address_that_is_listed_may_take_all(start):
    server = start(NATIVE, *HOUR, "--flood-exempt", "127.0.0.2/32")
    flood(server)
    assert honest(server).count(503) > 30


def test_behind_a_proxy_that_is_not_configured_the_first_refusal_says_so(start):
    server = start(NATIVE, *HOUR)
    flood(server, **{"X-Forwarded-For": "203.0.113.7"})
    said = server.stop()[2]
    assert "127.0.0.2 seems to be a proxy that is not configured" in said


def test_behind_trusted_hops_only_the_flooder_is_refused(start):
    server = start(NATIVE, *HOUR, "--proxies", 1)
    flood(server, **{"X-Forwarded-For": "203.0.113.7"})
    with client(server, "127.0.0.2") as ask:
        ask("new", **{"X-Forwarded-For": "203.0.113.7"})  # a worker learns by its first new key
        assert ask("newer", **{"X-Forwarded-For": "203.0.113.7"}) == 503
        assert ask("newer", **{"X-Forwarded-For": "203.0.113.8"}) == 200


@pytest.mark.slow
def test_ten_thousand_clients_and_the_tester_see_no_difference(start, spawn):
    """They come from one address, and hold less than half of the places."""
    server = start(NATIVE)
    url = f"http://127.0.0.1:{server.port}"
    many = ("--clients", 10_000, "--transport", "native", "--duration", "5s", "--plain", "--json")
    told = json.loads(spawn("client.py", url, *many).communicate(timeout=120)[0])
    assert sum(told["outcomes"].values()) == told["requests"] > 0
    tester = spawn("tester.py", url, "--duration", "3s")
    tester.communicate(timeout=120)
    assert tester.returncode != 1
    text = server.ask("/metrics")[2].decode()
    full = re.findall(r"^rateproof_(?:flood|full|store_errors)_total (\d+)$", text, re.MULTILINE)
    assert full == ["0"] * 3


@pytest.mark.parametrize("told", ["10.0.0.0/99", "any"])
def test_what_is_no_network_is_refused(start, told):
    process = start(NATIVE, "--flood-exempt", told, wait=False)
    assert process.wait(60) == 64
    assert told in process.stderr.read()
