"""A run in shards: the same draws in any number of them, and every request once."""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof import cli
from rateproof.errors import InvalidArgument
from rateproof.events import read_log
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate import Group, Scenario, Target
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Shard
from rateproof.simulate.tokens import Tokens
from rateproof.simulate.transports import native, shards
from tests.samples import quick_first, samples
from tests.scripts import OK

MS = 1_000_000
SECOND = 10**9


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


@settings(max_examples=samples(4))
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


@pytest.fixture
def two(two, monkeypatch):
    """Two workers, of which a slow one is not lost."""
    monkeypatch.setattr(shards, "LOST_S", 300)
    return two


class Watched:
    """Counts the rows of each shard, and does something once each of them has so many."""

    def __init__(self, count, then):
        self.seen, self._count, self._then = Counter(), count, then

    def __call__(self, events):
        self.seen.update(number % 2 for number in events.column("sequence"))
        if min(self.seen[0], self.seen[1]) >= self._count and self._then is not None:
            then, self._then = self._then, None
            then(self)


def test_workers_of_a_cluster_draw_what_one_process_draws_and_begin_together(two, target):
    groups = Group(Schedule(((0, 2), (30 * MS, 1))), 5, 2), Group(Schedule(((10 * MS, 3),)), 2)
    whole = Scenario(target=target, groups=groups, seed=7, namespace="cluster")
    shards.check(whole, cluster=two)
    seen = []
    log = shards.run(whole, control=Control(), observe=seen.append, cluster=two)
    assert draws([log]) == draws([native.run(whole, control=Control())])
    assert sum(map(len, seen)) == len(log) == log.metadata["audit"]["requests"] == 21
    assert sorted(log.column("sequence")) != [0] * 21
    assert len(set(log.column("sequence"))) == 21
    assert log.metadata["valid"]
    assert [worker["clients"] for worker in log.metadata["workers"]] == [4, 3]
    assert all(event.sent_ns >= log.metadata["start_ns"] for event in log)


def test_what_is_asked_of_a_run_reaches_every_worker(two, target):
    """More clients, and the end: each worker has its share of the new ones."""
    control = Control()

    def more(watched):
        control.add_clients(5)
        watched.count = 0

    def enough(events):
        watched(events)
        if len(keys | set(events.column("key"))) == 9:
            control.stop()
        keys.update(events.column("key"))

    keys, watched = set(), Watched(4, more)
    whole = Scenario(target=target, groups=(Group(Constant(20 * MS), 4),), seed=7)
    log = shards.run(whole, control=control, observe=enough, cluster=two)
    owners = {
        key: {number % 2 for number in map(log.column("sequence").__getitem__, rows)}
        for key, rows in _rows(log).items()
    }
    assert sorted(Counter(next(iter(owner)) for owner in owners.values()).values()) == [4, 5]


def _rows(log):
    rows = defaultdict(list)
    for row, key in enumerate(log.column("key")):
        rows[key].append(row)
    return rows


def test_a_worker_that_is_lost_makes_the_run_invalid_and_the_log_incomplete(two, target):
    """Its rows until then stay in the log; the others go on."""
    control, process = Control(), two.client.run(os.getpid)
    lost = next(iter(two.workers()))

    def kill(watched):
        os.kill(process[lost], signal.SIGKILL)
        watched.goal = watched.seen[1] + 20

    def observe(events):
        watched(events)
        if watched.seen[1] >= getattr(watched, "goal", 10**9):
            control.stop()

    watched = Watched(4, kill)
    whole = Scenario(target=target, groups=(Group(Constant(20 * MS), 4),), seed=7)
    log = shards.run(whole, control=control, observe=observe, cluster=two)
    assert log.metadata["valid"] is log.metadata["complete"] is False
    (why,) = log.metadata["invalid_because"]
    assert f"the worker {lost} was lost after" in why
    assert watched.seen[0] >= 4
    policy = Policy.parse("1000 per 1s")
    assert judge(log, policy).outcome == "inconclusive"
    assert judge(log, Policy.parse("1 per 1h")).outcome == "violated"


@pytest.mark.slow
def test_a_worker_that_gives_no_sign_is_lost(two, target, monkeypatch):
    monkeypatch.setattr(shards, "LOST_S", 60)
    process = two.client.run(os.getpid)
    hung = process[next(iter(two.workers()))]
    control = Control()
    whole = Scenario(target=target, groups=(Group(Constant(20 * MS), 4),), seed=7)

    def stop(_):
        monkeypatch.setattr(shards, "LOST_S", 3)
        time.sleep(2)  # until each has been asked anew
        os.kill(hung, signal.SIGSTOP)
        threading.Timer(8, control.stop).start()

    watched = Watched(4, stop)
    try:
        log = shards.run(whole, control=control, observe=watched, cluster=two)
    finally:
        os.kill(hung, signal.SIGCONT)
    assert log.metadata["valid"] is log.metadata["complete"] is False
    assert "was lost" in str(log.metadata["invalid_because"])


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"tokens": Tokens((b"a", b"b"), own=2)}, "keys of a file"),
        ({"max_requests": 3}, "max_requests is 3"),
        ({"max_connections": 1}, "max_connections is 1, on 2 workers"),
    ],
)
def test_what_all_clients_share_is_refused_by_name(two, target, more, problem):
    whole = Scenario(target=target, groups=(Group(Constant(20 * MS), 4),), **more)
    with pytest.raises(InvalidArgument, match=problem):
        shards.check(whole, cluster=two)


@pytest.mark.parametrize(
    ("command", "problem"),
    quick_first(
        [
            (("simulate", "--transport", "threads"), "the threads transport with --on dask"),
            (("test", "--max-requests", "5"), "max_requests is 5, on several workers"),
        ]
    ),
)
def test_the_command_line_refuses_what_several_workers_cannot_do(
    two, command, problem, capsys, monkeypatch
):
    monkeypatch.setattr("rateproof.cluster.connected", lambda on: {"dask": nullcontext(two)}[on])
    verb, *more = command
    url = "http://127.0.0.1:9/" if verb == "test" else "http://127.0.0.1:9"
    assert cli.main([verb, url, "--on", "dask", *more]) == 64
    assert problem in capsys.readouterr().err


@pytest.mark.slow
def test_clocks_of_workers_may_be_hours_apart(tmp_path):
    """Each in a network and a time of its own; one dies, and so does who waits for the run."""
    script = Path(__file__).with_name("machines.py")
    own = ["unshare", "--net", "--fork", "--kill-child"]
    command = [*own, sys.executable, script, tmp_path]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
    acts = {act["act"]: act for act in map(json.loads, ran.stdout.splitlines())}
    assert ran.returncode == 0, ran.stderr
    assert [round(ahead_s, -3) for ahead_s in acts["clocks"]["ahead_s"]] == [36_000, 90_000]

    whole = acts["whole"]
    assert whole["summary"]["valid"]
    assert whole["verdict"]["outcome"] != "violated"
    log = read_log(tmp_path / "whole.parquet")
    assert len(log.metadata["workers"]) == 2
    assert len(log) == whole["summary"]["requests"] == log.metadata["audit"]["requests"]
    start_ns = log.metadata["start_ns"]
    assert all(0 <= sent_ns - start_ns < 60 * SECOND for sent_ns in log.column("sent_ns"))

    assert acts["orphaned"]["ended"]
    lost = acts["lost"]
    assert not lost["summary"]["valid"]
    assert "the worker tcp://10.77.1.2" in str(lost["summary"]["invalid_because"])
    assert lost["verdict"]["outcome"] == "inconclusive"
    assert lost["code"] == 0, "as after every run that is invalid"
    assert "Traceback" not in whole["words"] + lost["words"]
