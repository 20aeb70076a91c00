"""The native table while processes on it are killed or stopped: nobody is blocked, nothing is loosened."""

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest

from rateproof import Limiter
from rateproof._native import hit_all
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.stores import remove
from rateproof.enforce.stores.location import directory_of
from rateproof.errors import StoreError
from rateproof.policy import Quota
from tests.native_table import (
    BOUND_S,
    HAMMER,
    HOUR_NS,
    bounds_of,
    hit,
    keeps,
    kill,
    lock_held,
    merged,
    peek,
    sliding_log,
    wait_for_lines,
)
from tests.samples import quick_first


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table"


def killed_at_random(spawn, path, quota, *, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    figures = (quota.algorithm, quota.limit, quota.window_ns)
    reports: list[str] = []

    def start() -> subprocess.Popen[str]:
        worker = spawn("-c", HAMMER, path, *figures, 30, "1,2,1,3,1,1", 20_000)
        assert worker.stderr.readline() == "ready\n"
        return worker

    workers = [start() for _ in range(3)]
    for _ in range(kills):
        time.sleep(chance.random() / 20)
        victim = workers.pop(0)
        victim.kill()
        reports.append(victim.communicate(timeout=BOUND_S)[0])
        workers.append(start())
    died = time.monotonic_ns()
    wait_for_lines(workers, 20)  # of which a few began earlier
    for worker in workers:
        worker.kill()
        reports.append(worker.communicate(timeout=BOUND_S)[0])
    admitted = merged(map(bounds_of, reports))
    assert keeps(admitted, quota)
    assert any(begin > died for begin, _ in admitted), "the others were blocked"
    # Whoever is killed or put off while it holds the lock may leave it for 0.1 s on a busy machine.
    full = sum(report.count("full") for report in reports)
    assert full <= kills + len(admitted) // 10, "the lock was not let go"


@pytest.mark.parametrize("algorithm", quick_first(["sliding-log", "token-bucket"]))
def test_kills_at_random_moments_block_nobody_and_loosen_nothing(spawn, path, algorithm):
    killed_at_random(spawn, path, Quota(5, 5_000_000, algorithm), kills=12, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", RULES)
def test_many_kills_block_nobody_and_loosen_nothing(spawn, path, algorithm):
    killed_at_random(spawn, path, Quota(5, 5_000_000, algorithm), kills=30, seed=2)


def test_who_is_stopped_while_claiming_is_in_the_way_no_longer_than_a_bound(spawn, path):
    claim = """
import itertools, os, sys
from rateproof._native import Table, hit_all
table = Table(sys.argv[1], "sliding-log", 2, 1_000, 2, 100)
os.write(1, b"ready\\n")
for n in itertools.count():
    hit_all([table], b"%d" % n, 1 + n % 2, None)
"""
    claimer = spawn("-c", claim, path)
    assert claimer.stdout.readline() == "ready\n"
    table = sliding_log(path, 2, 1_000, 100)
    chance = random.Random(3)
    for n in range(40):
        time.sleep(chance.random() / 100)
        claimer.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        admitted, full, *_ = hit(table, b"new-%d" % n, 1, None)
        assert admitted or full
        assert time.monotonic() - start < BOUND_S
        claimer.send_signal(signal.SIGCONT)
    claimer.send_signal(signal.SIGSTOP)
    claimer.kill()
    claimer.wait()
    assert hit(table, b"last", 1, None)[:2] == (True, False)


def test_a_killed_holder_of_the_lock_blocks_nobody(path):
    table = sliding_log(path, 2, HOUR_NS, 100)
    with lock_held(path) as holder:
        assert hit(table, b"a", 1, None)[:2] == (False, True)
        kill(holder)
        assert hit(table, b"a", 1, None)[:2] == (True, False)


def test_a_stopped_holder_makes_new_keys_full_within_a_bound_and_no_others(path):
    table = sliding_log(path, 2, HOUR_NS, 100)
    assert hit(table, b"known", 1, None)[0]
    with lock_held(path) as holder:
        os.kill(holder, signal.SIGSTOP)
        start = time.monotonic()
        assert hit(table, b"new", 1, None) == (False, True, 0, 100_000_000, 100_000_000)
        assert peek(table, b"new", 1, None)[:3] == (True, False, 2)
        with pytest.raises(StoreError, match="lock"):
            table.reset(b"known")
        assert 0.1 < time.monotonic() - start < BOUND_S
        assert hit(table, b"known", 1, None)[0] is True
        assert hit(table, b"known", 1, None)[:2] == (False, False)
        assert hit(table, b"known", 2, None)[:2] == (False, False)
        assert hit_all([table, sliding_log(None, 9, 1, 9)], b"known", 1, None)[0] is False
        os.kill(holder, signal.SIGCONT)
    assert hit(table, b"new", 1, None)[:2] == (True, False)


def test_hit_all_answers_full_for_every_quota_when_a_lock_is_held(path):
    tables = [sliding_log(None, 2, HOUR_NS, 100), sliding_log(path, 2, HOUR_NS, 100)]
    with lock_held(path):
        busy = (False, True, 0, 100_000_000, 100_000_000)
        assert hit_all(tables, b"a", 1, None) == (False, [busy, busy], True)
    assert peek(tables[0], b"a", 1, None)[2] == 2
    assert hit_all(tables, b"a", 2, None)[0] is True


@pytest.mark.parametrize("policy", ["1 per 1h", "5 per 1h; 100 per 1d"])
def test_a_held_lock_lets_nobody_in_uncounted_whatever_on_full(policy):
    name = f"test-{uuid4().hex}"
    try:
        with Limiter(policy, store=f"shm://{name}", on_full="admit") as limiter:
            limiter.hit("known")
            with lock_held(next(directory_of(name).glob("sliding-log-*"))):
                for key in ("known", "new"):
                    decisions = [limiter.hit(key) for _ in range(3)]
                    assert not any(decision.admitted for decision in decisions)
                assert limiter.hit("new").reason == "full"
    finally:
        remove(name)


def test_other_threads_run_while_one_waits_for_the_lock(path):
    table = sliding_log(path, 2, HOUR_NS, 100)
    began, beats = [], []

    def wait():
        began.append(time.monotonic())
        hit(table, b"new", 1, None)

    def beaten():
        """Waiting for 0.1 s: a busy machine may need all of it for this thread's turn."""
        return any(0 < beat - began[-1] < 0.09 for beat in beats)

    with lock_held(path):
        for _ in range(100):
            waiting = threading.Thread(target=wait)
            waiting.start()
            while waiting.is_alive():
                beats.append(time.monotonic())
                time.sleep(0.001)
            if beaten():
                break
    assert beaten()
