"""One promise for every process on the machine: real processes, killed ones among them."""

import json
import os
import random
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from uuid import uuid4

import pytest

from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import remove
from rateproof.policy import Policy, Quota

# Arguments: store, policy, capacity, keys, greatest cost, seconds. Each line of the
# output is an admission: key, cost and the instants between which it was decided. It starts
# at the instant that its input names, if it has any.
HAMMER = """
import os, random, sys, time
store, policy, capacity, keys, cost, seconds = sys.argv[1:]
from rateproof import Limiter
limiter = Limiter(policy, store=store, capacity=int(capacity))
draw = random.Random(os.getpid())
os.write(1, b"ready\\n")
start = int(sys.stdin.readline() or 0)
while time.monotonic_ns() < start:
    pass
end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    key, n = str(draw.randrange(int(keys))), draw.randint(1, int(cost))
    before = time.monotonic_ns()
    admitted = limiter.hit(key, n).admitted
    after = time.monotonic_ns()
    if admitted:
        os.write(1, f"{key} {n} {before} {after}\\n".encode())
"""


# tests/integration/test_native_table.py has tables of words, too.
QUICKLY = [
    pytest.param(name, id=name, marks=() if name == "sliding-log" else pytest.mark.slow)
    for name in RULES
]


@pytest.fixture
def shm_name() -> Iterator[str]:
    name = f"test-{uuid4().hex}"
    yield name
    remove(name)


def admissions(output: str) -> dict[str, list[tuple[int, int]]]:
    """The intervals of each key's admissions, one for each unit of cost."""
    found = defaultdict(list)
    for line in output.splitlines():
        if line != "ready":
            key, cost, before, after = line.split()
            found[key] += [(int(before), int(after))] * int(cost)
    return found


def proves_too_many(intervals: list[tuple[int, int]], policy: Policy) -> bool:
    """Say whether some m admissions were all surely decided in less time than the policy's gap."""
    intervals = sorted(intervals)
    for first, (start, _) in enumerate(intervals):
        for m, end in enumerate(sorted(end for _, end in intervals[first:]), 1):
            if end - start < policy.gap(m):
                return True
    return False


def test_too_many_is_told_from_just_enough():
    """The judge of the tests below: it must not be blind, nor see what may not be so."""
    policy = Policy((Quota(2, 10),))
    assert proves_too_many([(0, 1), (5, 6), (8, 9)], policy)
    assert not proves_too_many([(0, 1), (5, 6), (8, 10)], policy)
    assert not proves_too_many([(0, 1), (5, 6)], policy)


def test_four_processes_admit_exactly_the_limit(spawn, shm_name):
    """All open the same new name at once, then all ask at once: for one key, and then for 20."""
    for policy, keys in [("300 per hour", 1), ("40 per day", 20)]:
        arguments = (f"shm://{shm_name}", policy, 64, keys, 1, 0.3)
        processes = [spawn("-c", HAMMER, *arguments, stdin=subprocess.PIPE) for _ in range(4)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        start = time.monotonic_ns() + 50_000_000
        for process in processes:
            process.stdin.write(f"{start}\n")
            process.stdin.flush()
        found = defaultdict(list)
        for process in processes:
            for key, intervals in admissions(process.stdout.read()).items():
                found[key] += intervals
            assert process.wait() == 0
        limit, names = int(policy.split()[0]), list(map(str, range(keys)))
        with Limiter(policy, store=f"shm://{shm_name}", capacity=64) as limiter:
            left = {name: sum(limiter.hit(name).admitted for _ in range(limit)) for name in names}
        assert found, "they had no time for one"
        assert [len(found[name]) + left[name] for name in names] == [limit] * keys


@pytest.mark.parametrize("algorithm", QUICKLY)
def test_four_processes_keep_to_the_envelope_in_any_window(algorithm, spawn, shm_name):
    """And what falls out of the window is admitted anew, so that the limit is used up."""
    policy = f"{algorithm} 20 per 50ms"
    arguments = (f"shm://{shm_name}", policy, 64, 1, 1, 0.5)
    processes = [spawn("-c", HAMMER, *arguments) for _ in range(4)]
    intervals = []
    for process in processes:
        intervals += admissions(process.communicate()[0])["0"]
        assert process.returncode == 0
    assert not proves_too_many(intervals, Policy.parse(policy))
    assert len(intervals) > 20


@pytest.mark.parametrize(
    ("policy", "capacity"),
    [
        pytest.param("40 per hour; 60 per day", 64, id="long-windows"),
        *(
            pytest.param(f"{each.values[0]} 4 per 20ms", 8, id=f"slots-{each.id}", marks=each.marks)
            for each in QUICKLY
        ),
    ],
)
def test_killed_processes_block_nobody_and_loosen_nothing(spawn, shm_name, policy, capacity):
    store = f"shm://{shm_name}"
    draw = random.Random(1)
    found = defaultdict(list)
    with Limiter(policy, store=store, capacity=capacity) as limiter:
        for _ in range(6):
            pair = [spawn("-c", HAMMER, store, policy, capacity, 30, 3, 60) for _ in "ab"]
            for process in pair:
                assert process.stdout.readline() == "ready\n"
            time.sleep(draw.uniform(0.005, 0.025))
            for process in pair:
                os.kill(process.pid, signal.SIGKILL)
            began = time.monotonic()
            limiter.hit("survivor")
            assert time.monotonic() - began < 60, "a dead process blocks the living"
            for process in pair:
                for key, intervals in admissions(process.stdout.read()).items():
                    found[key] += intervals
        assert found, "killed before it began"
        for key in map(str, range(30)):
            for _ in range(60):
                before = time.monotonic_ns()
                if limiter.hit(key).admitted:
                    found[key].append((before, time.monotonic_ns()))
            assert not proves_too_many(found[key], limiter.policy), key
    if capacity == 64:
        # A call that was killed before its answer may have burned its 3 permits.
        assert 30 * 40 - 12 * 3 <= sum(map(len, found.values())) <= 30 * 40


FORK = """
import json, os, threading
from rateproof import Limiter
limiter = Limiter("500 per hour; 900 per day")
admitted = [0] * 3
done = threading.Event()

def work(index):
    while not done.is_set():
        admitted[index] += limiter.hit("a").admitted

threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
reader, writer = os.pipe()
for thread in threads:
    thread.start()
children = []
for _ in range(12):
    child = os.fork()
    if child == 0:
        mine = sum(limiter.hit("a").admitted for _ in range(25))
        os.write(writer, b"%3d\\n" % mine)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
done.set()
for thread in threads:
    thread.join()
os.close(writer)
while limiter.hit("a").admitted:
    admitted[0] += 1
with os.fdopen(reader) as pipe:
    print(json.dumps([sum(admitted), [int(line) for line in pipe]]))
"""


def test_forked_children_share_memory_with_their_parent(spawn):
    """Forked while other threads decide, so perhaps while one of them holds a lock."""
    output, errors = spawn("-c", FORK).communicate(timeout=60)
    parent, children = json.loads(output)
    assert len(children) == 12, errors
    assert parent + sum(children) == 500
