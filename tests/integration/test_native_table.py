"""The native table across processes: exact, whoever forks, stops or is killed.

Workers report each admission with bounds of its instant. Where they hand in their readings of the
clock, a log's answers tell the very times of the table, and every window is checked to the
nanosecond. Where slots change their owners the table reads the clock itself.
"""

import contextlib
import fcntl
import itertools
import json
import os
import random
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from rateproof import Limiter
from rateproof._native import Table, hit_all
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.stores import remove
from rateproof.enforce.stores.location import directory_of
from rateproof.errors import StoreError
from rateproof.policy import Quota
from tests.samples import quick_first

HOUR_NS = 3_600 * 10**9
AGES_NS = 2**58  # nothing comes back, and a test does not lie across a multiple of it
BOUND_S = 5  # the table waits 100 ms for a lock; a loaded machine may take longer to say so

# Reports each admission with the bounds of the instant at which it was decided.
HAMMER = """
import os, sys, time
from rateproof._native import Table
path, algorithm, limit, window_ns, seconds, costs, churn = sys.argv[1:]
table = Table(path, algorithm, int(limit), int(window_ns), int(limit), 10_000)
costs, churn = [int(cost) for cost in costs.split(",")], int(churn)
end = time.monotonic() + float(seconds)
n = 0
os.write(2, b"ready\\n")
while (begin := time.monotonic_ns()) < end * 10**9:
    n += 1
    cost = costs[n % len(costs)]
    admitted, full, _, _, reset_ns = table.hit(b"a", cost, None if churn else begin)
    first, last = begin, time.monotonic_ns()
    if algorithm == "sliding-log" and not churn:
        first = last = begin + reset_ns - int(window_ns)
    if admitted:
        os.write(1, b"%d %d\\n" % (first, last) * cost)
    elif full:
        os.write(1, b"full\\n")
    if churn:
        table.hit(b"%d-%d" % (os.getpid(), n % churn), 1, None)
"""

# When an admission was decided: not before the first, not after the second.
Bounds = tuple[int, int]


def keeps(admitted: list[Bounds], quota: Quota) -> bool:
    """Say whether no run of them certainly spans less than the quota's envelope."""
    ordered = sorted(admitted, key=lambda bounds: bounds[1])
    for m in range(2, 3 * quota.limit + 2):
        runs = (ordered[n : n + m] for n in range(len(ordered) - m + 1))
        if any(run[-1][1] - min(begin for begin, _ in run) < quota.gap(m) for run in runs):
            return False
    return True


def merged(logs: Iterable[list[Bounds]]) -> list[Bounds]:
    return list(itertools.chain.from_iterable(logs))


def bounds_of(output: str) -> list[Bounds]:
    """The admissions a worker reported; a last line that a kill cut short does not count."""
    lines = output[: output.rfind("\n") + 1].splitlines()
    pairs = (line.split() for line in lines if line != "full")
    return [(int(begin), int(last)) for begin, last in pairs]


@contextlib.contextmanager
def forked(*works: Callable[[], object]) -> Iterator[list[int]]:
    """Run each work in a child of its own; a child that raises exits with 1."""
    children = []
    for work in works:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    try:
        yield children
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def results_of(*works: Callable[[], object]) -> list[object]:
    """Results of the works, each in a child of its own."""
    pipes = [os.pipe() for _ in works]

    def reporting(work: Callable[[], object], end: int) -> Callable[[], object]:
        return lambda: os.write(end, json.dumps(work()).encode() + b"\n")

    reports = []
    with forked(*(reporting(work, pipe[1]) for work, pipe in zip(works, pipes, strict=True))):
        for read_end, write_end in pipes:
            os.close(write_end)
            with os.fdopen(read_end) as report:
                reports.append(json.loads(report.read()))
    return reports


# Where the lock stands in the header, and the bits of its holder's number. That number is alive
# while the byte so far behind `FIRST` is locked.
LOCK, HOLDER, FIRST = 128, (1 << 24) - 1, 1 << 62


@contextlib.contextmanager
def lock_held(path: Path) -> Iterator[int]:
    """A process that holds the table's lock and does nothing else."""
    read_end, write_end = os.pipe()

    def hold() -> None:
        descriptor = os.open(path, os.O_RDWR)
        number = 1_000_000
        byte = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, FIRST + number, 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, byte)
        (free,) = struct.unpack("=Q", os.pread(descriptor, 8, LOCK))
        assert free & HOLDER == 0
        os.pwrite(descriptor, struct.pack("=Q", free + HOLDER + 1 + number), LOCK)
        os.write(write_end, b"held")
        signal.pause()

    with forked(hold) as (pid,):
        assert os.read(read_end, 4) == b"held"
        yield pid
    os.close(read_end)
    os.close(write_end)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def sliding_log(path: Path | str | None, limit: int, window_ns: int, capacity: int) -> Table:
    name = None if path is None else str(path)
    return Table(name, "sliding-log", limit, window_ns, limit, capacity)


def admissions(table: Table, key: bytes, now_ns: int | None = None) -> int:
    """Count the hits in a row that are admitted."""
    count = 0
    while table.hit(key, 1, now_ns)[0]:
        count += 1
    return count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table"


# Exact across processes


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
        return [table.hit(b"%d" % n, 3, None)[0] for n in range(4_000)]

    first, second = results_of(ask, ask)
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_several_quotas_across_processes_are_all_or_nothing(path):
    names = [str(path) + "-loose", str(path) + "-tight"]

    def ask(order: int) -> int:
        tables = [sliding_log(names[0], 50, HOUR_NS, 100), sliding_log(names[1], 20, HOUR_NS, 100)]
        return sum(hit_all(tables[::order], b"a", 1, None)[0] for _ in range(200))

    assert sum(results_of(lambda: ask(1), lambda: ask(-1), lambda: ask(1))) == 20
    assert sliding_log(names[0], 50, HOUR_NS, 100).peek(b"a", 1, None)[2] == 30


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
    end = time.monotonic() + 0.5

    def use() -> int:
        opened = 0
        while time.monotonic() < end:
            with contextlib.suppress(StoreError):  # it kept being replaced
                assert admissions(sliding_log(path, 3, HOUR_NS, 100), b"a") <= 3
                opened += 1
        return opened

    def remove() -> int:
        while time.monotonic() < end:
            path.unlink(missing_ok=True)
        return 0

    assert sum(results_of(use, use, remove)) > 0
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
    assert not any("full" in report for report in reports)
    admitted = merged(map(bounds_of, reports))
    assert len(admitted) > 50
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
    assert table.hit(b"a", 1, None)[0] is False


def test_a_child_forked_while_threads_hold_the_lock_is_not_blocked():
    table = sliding_log(None, 2, HOUR_NS, 60_000)
    stop = threading.Event()

    def claim(name: int) -> None:
        n = 0
        while not stop.is_set() and n < 12_000:
            n += 1
            assert table.hit(b"%d-%d" % (name, n), 2, None)[0]

    def child() -> list[bool]:
        answers = [table.hit(b"%d-%d" % (os.getpid(), n), 2, None) for n in range(20)]
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
            mine.hit(b"%d" % (n % 5_000), 2, None)
            mine.reset(b"%d" % (n % 5_000))

    for attempt in range(20):
        read_end, write_end = os.pipe()
        with forked(lambda end=write_end: parent(end)) as (pid,):
            child = int(os.read(read_end, 20))
            time.sleep(random.Random(attempt).random() / 200)
            kill(pid)
            try:
                assert table.hit(b"after-%d" % attempt, 2, None)[:2] == (True, False)
            finally:
                os.kill(child, signal.SIGKILL)
        os.close(read_end)
        os.close(write_end)


# Killed and stopped


def unread(worker: subprocess.Popen[str]) -> int:
    """Bytes that it wrote and nobody read yet."""
    (count,) = struct.unpack("i", fcntl.ioctl(worker.stdout, termios.FIONREAD, bytes(4)))
    return count


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
    died, before = time.monotonic_ns(), sum(map(unread, workers))
    while sum(map(unread, workers)) < before + 1_000:  # many lines, a few of which began earlier
        time.sleep(0.01)
    for worker in workers:
        worker.kill()
        reports.append(worker.communicate(timeout=BOUND_S)[0])
    admitted = merged(map(bounds_of, reports))
    assert keeps(admitted, quota)
    assert any(begin > died for begin, _ in admitted), "the others were blocked"
    assert not any("full" in report for report in reports)


@pytest.mark.parametrize("algorithm", quick_first(["sliding-log", "token-bucket"]))
def test_kills_at_random_moments_block_nobody_and_loosen_nothing(spawn, path, algorithm):
    killed_at_random(spawn, path, Quota(5, 5_000_000, algorithm), kills=12, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", RULES)
def test_many_kills_block_nobody_and_loosen_nothing(spawn, path, algorithm):
    killed_at_random(spawn, path, Quota(5, 5_000_000, algorithm), kills=80, seed=2)


def test_who_is_stopped_while_claiming_is_in_the_way_no_longer_than_a_bound(spawn, path):
    claim = """
import itertools, os, sys
from rateproof._native import Table
table = Table(sys.argv[1], "sliding-log", 2, 1_000, 2, 100)
os.write(1, b"ready\\n")
for n in itertools.count():
    table.hit(b"%d" % n, 1 + n % 2, None)
"""
    claimer = spawn("-c", claim, path)
    assert claimer.stdout.readline() == "ready\n"
    table = sliding_log(path, 2, 1_000, 100)
    chance = random.Random(3)
    for n in range(40):
        time.sleep(chance.random() / 100)
        claimer.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        admitted, full, *_ = table.hit(b"new-%d" % n, 1, None)
        assert admitted or full
        assert time.monotonic() - start < BOUND_S
        claimer.send_signal(signal.SIGCONT)
    claimer.send_signal(signal.SIGSTOP)
    claimer.kill()
    claimer.wait()
    assert table.hit(b"last", 1, None)[:2] == (True, False)


def test_a_killed_holder_of_the_lock_blocks_nobody(path):
    table = sliding_log(path, 2, HOUR_NS, 100)
    with lock_held(path) as holder:
        assert table.hit(b"a", 1, None)[:2] == (False, True)
        kill(holder)
        assert table.hit(b"a", 1, None)[:2] == (True, False)


def test_a_stopped_holder_makes_new_keys_full_within_a_bound_and_no_others(path):
    table = sliding_log(path, 2, HOUR_NS, 100)
    assert table.hit(b"known", 1, None)[0]
    with lock_held(path) as holder:
        os.kill(holder, signal.SIGSTOP)
        start = time.monotonic()
        assert table.hit(b"new", 1, None) == (False, True, 0, 100_000_000, 100_000_000)
        assert table.peek(b"new", 1, None)[:3] == (True, False, 2)
        with pytest.raises(StoreError, match="lock"):
            table.reset(b"known")
        assert 0.1 < time.monotonic() - start < BOUND_S
        assert table.hit(b"known", 1, None)[0] is True
        assert table.hit(b"known", 1, None)[:2] == (False, False)
        assert table.hit(b"known", 2, None)[:2] == (False, False)
        assert hit_all([table, sliding_log(None, 9, 1, 9)], b"known", 1, None)[0] is False
        os.kill(holder, signal.SIGCONT)
    assert table.hit(b"new", 1, None)[:2] == (True, False)


def test_hit_all_answers_full_for_every_quota_when_a_lock_is_held(path):
    tables = [sliding_log(None, 2, HOUR_NS, 100), sliding_log(path, 2, HOUR_NS, 100)]
    with lock_held(path):
        busy = (False, True, 0, 100_000_000, 100_000_000)
        assert hit_all(tables, b"a", 1, None) == (False, [busy, busy], True)
    assert tables[0].peek(b"a", 1, None)[2] == 2
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
    with lock_held(path):
        waiting = threading.Thread(target=table.hit, args=(b"new", 1, None))
        waiting.start()
        rounds = 0
        while waiting.is_alive():
            rounds += 1
            time.sleep(0.001)
        assert rounds > 10
