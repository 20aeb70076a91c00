"""Processes on one native table, and what they are admitted."""

import contextlib
import fcntl
import itertools
import json
import os
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rateproof._native import Table, hit_all
from rateproof.policy import Quota

HOUR_NS = 3_600 * 10**9
AGES_NS = 2**58  # nothing comes back, and a test does not lie across a multiple of it
BOUND_S = 60  # the table waits 100 ms for a lock; a loaded machine may take longer to say so

# Reports each admission with the bounds of the instant at which it was decided.
HAMMER = """
import os, sys, time
from rateproof._native import Table, hit_all
path, algorithm, limit, window_ns, seconds, costs, churn = sys.argv[1:]
table = Table(path, algorithm, int(limit), int(window_ns), int(limit), 10_000)
costs, churn = [int(cost) for cost in costs.split(",")], int(churn)
end = time.monotonic() + float(seconds)
n = 0
os.write(2, b"ready\\n")
while (begin := time.monotonic_ns()) < end * 10**9:
    n += 1
    cost = costs[n % len(costs)]
    admitted, full, _, _, reset_ns = hit_all([table], b"a", cost, None if churn else begin)[1][0]
    first, last = begin, time.monotonic_ns()
    if algorithm == "sliding-log" and not churn:
        first = last = begin + reset_ns - int(window_ns)
    if admitted:
        os.write(1, b"%d %d\\n" % (first, last) * cost)
    elif full:
        os.write(1, b"full\\n")
    if churn:
        hit_all([table], b"%d-%d" % (os.getpid(), n % churn), 1, None)
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


def wait_for_lines(workers: Iterable[subprocess.Popen[str]], count: int) -> None:
    """Wait until they have written so many more admissions, which nobody reads yet."""

    def unread() -> int:
        files = [worker.stdout for worker in workers if worker.stdout is not None]
        sizes = (fcntl.ioctl(file, termios.FIONREAD, bytes(4)) for file in files)
        return sum(struct.unpack("i", size)[0] for size in sizes)

    enough = unread() + 50 * count  # bytes of two instants
    deadline = time.monotonic() + 60
    while unread() < enough:
        assert time.monotonic() < deadline, "they admit nothing"
        time.sleep(0.01)


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


def hit(
    table: Table, key: bytes, cost: int, now_ns: int | None
) -> tuple[bool, bool, int, int, int]:
    """Take `cost` admissions of a key, all or none."""
    return hit_all([table], key, cost, now_ns)[1][0]


def peek(
    table: Table, key: bytes, cost: int, now_ns: int | None
) -> tuple[bool, bool, int, int, int]:
    """The answer that a hit would get, changing nothing."""
    return hit_all([table], key, cost, now_ns, charge=False)[1][0]


def admissions(table: Table, key: bytes, now_ns: int | None = None) -> int:
    """Count the hits in a row that are admitted."""
    count = 0
    while hit(table, key, 1, now_ns)[0]:
        count += 1
    return count
