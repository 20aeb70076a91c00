"""Flask-Limiter and slowapi on several workers: a client gets its limit, not its limit each."""

import http.client
import os
import threading
import time
from collections import Counter
from itertools import count
from uuid import uuid4

import pytest

from rateproof.enforce.stores import remove
from tests.samples import quick_first

WORKERS = 4
REQUESTS = 40
LIMIT = "5 per 10 minutes"
STRATEGIES = ("sliding-window-counter", "moving-window", "fixed-window")

# Arguments: storage, strategy, limit. Hits one key, from the instant that its input names
# for as long as it says, and prints how often it was admitted.
HAMMER = """
import sys, time
import limits, rateproof.limits
from limits.storage import storage_from_string
uri, strategy, limit = sys.argv[1:]
limiter = limits.strategies.STRATEGIES[strategy](storage_from_string(uri))
item = limits.parse(limit)
print("ready", flush=True)
start = int(sys.stdin.readline())
while time.monotonic_ns() < start:
    pass
print(sum(limiter.hit(item, "a") for _ in range(2000)))
"""


@pytest.fixture
def shm_storage():
    name = f"test-{uuid4().hex}"
    yield f"rateproof+shm://{name}"
    remove(name)


@pytest.fixture
def flask_limiter(spawn, wait_for_port, free_port):
    """Serve the example by gunicorn; what is returned is its port."""

    def serve(storage, strategy):
        process = spawn(
            *("-m", "gunicorn", "--workers", WORKERS, "--bind", f"127.0.0.1:{free_port}"),
            *("--pythonpath", "examples", "--log-level", "error"),
            f"exact_flask_limiter:create_app({storage!r}, {LIMIT!r}, {strategy!r})",
        )
        wait_for_port(free_port, process)
        return free_port

    return serve


@pytest.fixture
def slowapi(spawn, wait_for_port, free_port):
    """Serve the example by uvicorn; what is returned is its port."""

    def serve(storage):
        process = spawn(
            *("-m", "uvicorn", "--workers", WORKERS, "--port", free_port),
            *("--app-dir", "examples", "--log-level", "error", "--factory"),
            "exact_slowapi:create_app",
            env=os.environ | {"STORAGE_URI": storage, "LIMIT": LIMIT},
        )
        wait_for_port(free_port, process)
        return free_port

    return serve


def race(port, client):
    """The statuses of simultaneous requests of a client, each on a connection of its own."""
    statuses = Counter()
    together = threading.Barrier(REQUESTS)

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        together.wait()
        connection.request("GET", f"/?clientId={client}")
        statuses[connection.getresponse().status] += 1
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(REQUESTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def most_admitted(port):
    """Admissions of one client, of as many clients as it takes until all workers have started."""
    deadline = time.monotonic() + 120
    most, clients = 0, count()
    while most <= 5 and time.monotonic() < deadline:
        most = max(most, race(port, next(clients))[200])
    return most


def test_in_memory_the_workers_of_flask_limiter_admit_more_than_the_limit(flask_limiter):
    """The tests below must be able to see this."""
    assert 5 < most_admitted(flask_limiter("memory://", "moving-window")) <= 5 * WORKERS


@pytest.mark.parametrize("strategy", quick_first(STRATEGIES))
def test_all_workers_of_flask_limiter_admit_the_limit(flask_limiter, shm_storage, strategy):
    port = flask_limiter(shm_storage, strategy)
    assert [race(port, client) for client in range(5)] == [{200: 5, 429: REQUESTS - 5}] * 5


def test_in_memory_the_workers_of_slowapi_admit_more_than_the_limit(slowapi):
    assert 5 < most_admitted(slowapi("memory://")) <= 5 * WORKERS


def test_all_workers_of_slowapi_admit_the_limit(slowapi, shm_storage):
    port = slowapi(shm_storage)
    assert [race(port, client) for client in range(5)] == [{200: 5, 429: REQUESTS - 5}] * 5


@pytest.mark.parametrize("strategy", quick_first(STRATEGIES))
def test_processes_that_race_for_a_key_share_exactly_its_limit(spawn, shm_storage, strategy):
    processes = [
        spawn("-c", HAMMER, shm_storage, strategy, "1000 per hour", stdin=-1) for _ in range(3)
    ]
    assert {process.stdout.readline() for process in processes} == {"ready\n"}
    start = time.monotonic_ns() + 20_000_000
    outputs = [process.communicate(f"{start}\n", timeout=60)[0] for process in processes]
    assert sum(map(int, outputs)) == 1000
