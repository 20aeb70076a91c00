"""`/metrics` of a running server: right with any number of workers, and after one was killed."""

import contextlib
import os
import random
import re
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from rateproof.enforce.stores.location import directory_of

NATIVE, PYTHON, BARE = "native core, granian", "python core, granian", "bare"


def figures(server, connection=None):
    """The decisions that the page tells of, admitted and denied."""
    status, _, page = server.ask("/metrics", connection)
    assert status == 200
    return {
        name: int(
            re.search(
                rb'^rateproof_decisions_total\{outcome="%s"\} (\d+)$' % name, page, re.MULTILINE
            )[1]
        )
        for name in (b"admitted", b"denied")
    }


def traffic(server, seed):
    """Eight connections at once, of 20 clients: the answers, counted by those who got them."""

    def connection(number):
        draw = random.Random(seed * 100 + number)
        with contextlib.closing(server.connect()) as own:
            return Counter(server.status(draw.randrange(20), connection=own) for _ in range(50))

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(connection, range(8)), Counter())


def test_the_totals_are_what_the_clients_saw_though_a_worker_was_killed(start):
    server = start(NATIVE, "--workers", 4, "--policy", "5 per 1h")
    seen = traffic(server, 1)
    killed = min(server.workers(4))
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while killed in server.workers(4):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    seen += traffic(server, 2)
    expected = {b"admitted": seen[200], b"denied": seen[503]}
    assert (sum(seen.values()), seen[200]) == (800, 100)
    assert [figures(server) for _ in range(12)] == [expected] * 12  # whichever worker is asked


def test_without_granian_the_totals_are_what_the_clients_saw(start):
    server = start(BARE, "--policy", "5 per 1h")
    seen = traffic(server, 1)
    assert figures(server) == {b"admitted": seen[200], b"denied": seen[503]}


def test_counters_go_on_after_a_restart_on_the_same_store(start):
    server = start(NATIVE)
    assert [server.status("a") for _ in range(6)] == [200] * 5 + [503]
    server.stop()
    again = start(NATIVE)
    assert figures(again) == {b"admitted": 5, b"denied": 1}


def test_the_page_is_never_limited_nor_counted(start):
    server = start(PYTHON, "--policy", "1 per 1h", "--key", "ip")
    assert server.status("a") == 200
    assert [figures(server)[b"admitted"] for _ in range(5)] == [1] * 5
    assert server.status("a") == 503


@pytest.mark.parametrize(
    ("choice", "fields", "status"),
    [
        ("loopback", {}, 200),
        ("loopback", {"X-Forwarded-For": "127.0.0.1"}, 404),
        ("any", {"X-Forwarded-For": "192.0.2.1"}, 200),
        ("off", {}, 404),
    ],
)
def test_who_may_read_it_is_a_choice(start, choice, fields, status):
    server = start(NATIVE, "--metrics", choice)
    assert server.ask("/metrics", headers=fields)[0] == status


def test_the_page_has_what_there_is_when_a_table_is_not_to_be_had(start, store):
    server = start(NATIVE, "--workers", 1, "--policy", "5 per 1h; 9 per 2h")
    assert server.status("a") == 200
    (file,) = directory_of(store.removeprefix("shm://")).glob("sliding-log-5-*")
    file.unlink()
    file.mkdir()
    try:
        page = server.ask("/metrics")[2].decode()
    finally:
        file.rmdir()
    assert 'rateproof_decisions_total{outcome="admitted"} 1\n' in page
    assert 'rateproof_live_keys{quota="9 per 2h"} 1\n' in page
    assert 'rateproof_live_keys{quota="5 per 1h"}' not in page
    (why,) = re.findall(
        r'^rateproof_table_unreadable{quota="5 per 1h",reason="(.*)"} 1$', page, re.MULTILINE
    )
    assert "was deleted while it was open" in why
