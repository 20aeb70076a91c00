"""The native table across processes: exact, whoever forks, stops or is killed.

Workers report each admission with bounds of its instant. Where they hand in their readings of the
clock, a log's answers tell the very times of the table, and every window is checked to the
nanosecond. Where slots change their owners the table reads the clock itself.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rateproof._native import hit_all
from rateproof.enforce.algorithms import RULES
from rateproof.errors import StoreError
from rateproof.policy import Quota
from tests.native_table import (
    AGES_NS,
    HAMMER,
    HOUR_NS,
    admissions,
    bounds_of,
    forked,
    hit,
    keeps,
    kill,
    merged,
    peek,
    results_of,
    sliding_log,
)
from tests.samples import quick_first


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table"


def hammered(spawn, path, quota, *, seconds, costs="1", churn=0):
    """Four processes hammer one key; the admissions of each."""
    figures = (quota.algorithm, quota.limit, quota.window_ns)
    workers = [spawn("-c", HAMMER, path, *figures, seconds, costs, churn) for _ in range(4)]
    reports = [worker.communicate(timeout=60) for worker in workers]
    assert all(worker.returncode == 0 for worker in workers), reports
    return [bounds_of(out) for out, _ in reports]


@pytest.mark.parametrize("limit", quick_first([100, 1, 5]))
def test_four_processes_on_one_key_admit_exactly_the_limit(spawn, path, limit):
    logs = hammered(spawn, path, Quota(limit, HOUR_NS), seconds=0.3)
    assert sum(map(len, logs)) == limit


@pytest.mark.parametrize("algorithm", quick_first(RULES, 2))
def test_every_algorithm_admits_exactly_the_limit_at_first(spawn, path, algorithm):
    logs = hammered(spawn, path, Quota(7, AGES_NS, algorithm), seconds=0.2, costs="1,2")
    assert sum(map(len, logs)) == 7


@pytest.mark.parametrize("costs", quick_first(["1,2,1,3", "1"]))
@pytest.mark.parametrize("algorithm", quick_first(RULES, 2))
def test_four_processes_on_one_key_never_break_the_envelope(spawn, path, algorithm, costs):
    quota = Quota(5, 20_000_000, algorithm)
    admitted = merged(hammered(spawn, path, quota, seconds=0.2, costs=costs))
    assert keeps(admitted, quota)
    # They ask all the time, so not much of the quota is left over.
    assert len(admitted) > 0.3 * quota.limit * 0.2e9 / quota.window_ns


@pytest.mark.slow
@pytest.mark.parametrize("costs", ["1", "3", "1,2,1,3"])
@pytest.mark.parametrize("limit", [3, 9])
@pytest.mark.parametrize("algorithm", RULES)
def test_a_short_window_of_one_key_is_never_break_the_envelope(
    spawn, path, algorithm, limit, costs
):
    quota = Quota(limit, 1_000_000, algorithm)
    logs = hammered(spawn, path, quota, seconds=0.4, costs=costs, churn=20_000)
    assert keeps(merged(logs), quota)


def test_of_two_processes_that_ask_for_3_of_4_exactly_one_is_admitted(path):
    sliding_log(path, 4, HOUR_NS, 20_000)

    def ask() -> list[bool]:
        table = sliding_log(path, 4, HOUR_NS, 20_000)
        return [hit(table, b"%d" % n, 3, None)[0] for n in range(4_000)]

    first, second = results_of(ask, ask)
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_several_quotas_across_processes_are_all_or_nothing(path):
    names = [str(path) + "-loose", str(path) + "-tight"]

    def ask(order: int) -> int:
        tables = [sliding_log(names[0], 50, HOUR_NS, 100), sliding_log(names[1], 20, HOUR_NS, 100)]
        return sum(hit_all(tables[::order], b"a", 1, None)[0] for _ in range(200))

    assert sum(results_of(lambda: ask(1), lambda: ask(-1), lambda: ask(1))) == 20
    assert peek(sliding_log(names[0], 50, HOUR_NS, 100), b"a", 1, None)[2] == 30


def open_at_once(path: Path, processes: int = 6) -> None:
    gate_read, gate_write = os.pipe()

    def work() -> int:
        with contextlib.suppress(OSError):  # already closed where forking took so long
            os.close(gate_write)
        os.read(gate_read, 1)  # returns when the last writer is gone
        return admissions(sliding_log(path, 7, HOUR_NS, 1_000), b"a")

    works = [work] * processes
    releaser = threading.Timer(0.05, os.close, [gate_write])
    releaser.start()
    total = sum(results_of(*works))
    releaser.join()
    os.close(gate_read)
    assert total == 7


def test_processes_that_make_the_same_table_at_once_share_it(tmp_path):
    for attempt in range(4):
        open_at_once(tmp_path / str(attempt))


def test_processes_that_open_and_remove_one_table_at_once_fail_only_by_saying_so(path):
    def use() -> int:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            with contextlib.suppress(StoreError):  # it kept being replaced
                assert admissions(sliding_log(path, 3, HOUR_NS, 100), b"a") <= 3
        return 0

    def remove() -> int:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            path.unlink(missing_ok=True)
        return 0

    assert results_of(use, use, remove) == [0, 0, 0], "none has raised"
    path.unlink(missing_ok=True)
    assert admissions(sliding_log(path, 3, HOUR_NS, 100), b"a") == 3


def test_processes_of_other_pid_namespaces_share_a_table(path):
    """As containers on one /dev/shm do; where namespaces are forbidden, plain processes."""
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        command = []
    figures = ("sliding-log", 5, 20_000_000, 0.8, "1,2,1,3", 100)
    arguments = [sys.executable, "-c", HAMMER, str(path), *map(str, figures)]
    workers = [
        subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    reports = [worker.communicate(timeout=60)[0].decode() for worker in workers]
    admitted = merged(map(bounds_of, reports))
    assert len(admitted) > 50
    # A busy machine may put off whoever holds the lock for as long as others wait for it.
    assert sum(report.count("full") for report in reports) <= len(admitted) // 10
    assert keeps(admitted, Quota(5, 20_000_000))


# Forks of a table in memory


def test_a_table_in_memory_is_shared_with_forked_children():
    table = sliding_log(None, 50, HOUR_NS, 100)
    assert admissions(table, b"mine") == 50

    def work():
        return [admissions(table, b"a"), admissions(table, b"mine")]

    reports = results_of(work, work, work, work)
    assert sum(report[0] for report in reports) == 50
    assert sum(report[1] for report in reports) == 0
    assert hit(table, b"a", 1, None)[0] is False


def test_a_child_forked_while_threads_hold_the_lock_is_not_blocked():
    table = sliding_log(None, 2, HOUR_NS, 60_000)
    stop = threading.Event()

    def claim(name: int) -> None:
        n = 0
        while not stop.is_set() and n < 12_000:
            n += 1
            assert hit(table, b"%d-%d" % (name, n), 2, None)[0]

    def child() -> list[bool]:
        answers = [hit(table, b"%d-%d" % (os.getpid(), n), 2, None) for n in range(20)]
        return [admitted and not full for admitted, full, *_ in answers]

    threads = [threading.Thread(target=claim, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        reports = [results_of(child)[0] for _ in range(30)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert all(map(all, reports))


def test_an_idle_child_does_not_inherit_the_lock_of_a_killed_parent(path):
    """The child lives on with copies of all the descriptors; the parent dies while claiming."""
    table = sliding_log(path, 2, HOUR_NS, 60_000)

    def parent(write_end: int) -> None:
        mine = sliding_log(path, 2, HOUR_NS, 60_000)
        child = os.fork()
        if child == 0:
            signal.pause()
        os.write(write_end, b"%d\n" % child)
        for n in range(10**9):
            hit(mine, b"%d" % (n % 5_000), 2, None)
            mine.reset(b"%d" % (n % 5_000))

    for attempt in range(20):
        read_end, write_end = os.pipe()
        with forked(lambda end=write_end: parent(end)) as (pid,):
            child = int(os.read(read_end, 20))
            time.sleep(random.Random(attempt).random() / 200)
            kill(pid)
            try:
                assert hit(table, b"after-%d" % attempt, 2, None)[:2] == (True, False)
            finally:
                os.kill(child, signal.SIGKILL)
        os.close(read_end)
        os.close(write_end)
