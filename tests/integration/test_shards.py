"""A run in shards: the same draws in any number of them, and every request once."""

import socketserver
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.simulate import Group, Scenario, Target
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Shard
from rateproof.simulate.transports import native
from tests.samples import samples

MS = 1_000_000
SECOND = 10**9
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Admitting(socketserver.StreamRequestHandler):
    """Admits everything."""

    disable_nagle_algorithm = True

    def handle(self):
        for line in self.rfile:
            if line == b"\r\n":
                self.wfile.write(OK)


@pytest.fixture(scope="module")
def target():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Admitting) as server:
        server.daemon_threads, server.request_queue_size = True, 1_024
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Target("http", "127.0.0.1", server.server_address[1])
        server.shutdown()


def in_shards(scenario, of, **more):
    """The logs of all shards, which run side by side."""

    def run(number):
        return native.run(replace(scenario, shard=Shard(number, of)), threads=1, **more)

    with ThreadPoolExecutor(of) as pool:
        return list(pool.map(run, range(of)))


def draws(logs):
    """The requests that were drawn for each identity: when it was to be sent, and which try it is."""
    found = defaultdict(list)
    for log in logs:
        for event in log:
            found[event.key].append((event.intended_ns - log.metadata["start_ns"], event.attempt))
    return {key: sorted(drawn) for key, drawn in found.items()}


STEPS = st.dictionaries(st.integers(0, 40), st.integers(1, 3), min_size=1, max_size=4)
GROUPS = st.lists(
    st.builds(
        lambda steps, clients, connections: Group(
            Schedule((at * MS, steps[at]) for at in sorted(steps)), clients, connections
        ),
        STEPS,
        st.integers(1, 5),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=samples(8))
@given(groups=GROUPS, of=st.integers(2, 7))
def test_shards_together_draw_what_the_whole_run_draws(target, groups, of):
    """In any number of them, more than clients too; each request is in one of them, and has its own number."""
    whole = Scenario(target=target, groups=tuple(groups), seed=7, namespace="draws")
    parts = in_shards(whole, of, control=Control())
    assert draws(parts) == draws([native.run(whole, control=Control())])
    for name in ("sequence", "connection"):
        numbers = [set(log.column(name)) for log in parts]
        assert sum(map(len, numbers)) == len(set().union(*numbers))
    keys = [set(log.column("key")) for log in parts]
    assert sum(map(len, keys)) == len(set().union(*keys)) == whole.client_count
    assert sum(log.metadata["audit"]["requests"] for log in parts) == sum(map(len, parts))
