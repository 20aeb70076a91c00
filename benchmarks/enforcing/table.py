"""The table: what a key costs in memory, how full it may be, and two processes on it."""

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from uuid import uuid4

from enforcing.measuring import Figure, figure, pin, ratios
from rateproof import Limiter
from rateproof.enforce.stores import remove
from rateproof.enforce.stores.location import directory_of

LIVE = 1_000_000
HITS = 1_000_000
KEYS = [f"client-{number}" for number in range(1000)]


def measure(rounds: int) -> Iterator[Figure]:
    """Memory a live key, refusals, and the throughput of two processes."""
    yield from _memory()
    yield from _two_processes(rounds)


def _memory() -> Iterator[Figure]:
    name = f"benchmark-{uuid4().hex}"
    try:
        with Limiter("5 per 1h", store=f"shm://{name}", capacity=LIVE) as limiter:
            full = sum(limiter.hit(f"client-{n}").reason == "full" for n in range(LIVE))
            files = directory_of(name).iterdir()
            taken = sum(file.stat().st_blocks * 512 for file in files)
            (live, _slots) = next(iter(limiter.stats().tables.values()))
    finally:
        remove(name)
    yield figure("memory a live key, 5 per window", taken / LIVE, "bytes", wanted="<= 128")
    yield figure("keys refused of 1,000,000", full / LIVE, "of all", wanted="< 1e-6")
    yield figure("keys live", live, "keys")
    yield from _memory_of_limits()


def _memory_of_limits() -> Iterator[Figure]:
    try:
        from limits import RateLimitItemPerHour, storage, strategies
    except ImportError:
        return
    few = 100_000
    item, strategy = (
        RateLimitItemPerHour(5),
        strategies.MovingWindowRateLimiter(storage.MemoryStorage()),
    )
    before = _resident()
    for number in range(few):
        for _ in range(5):
            strategy.hit(item, f"client-{number}")
    yield figure("memory a live key by limits, 5 hits each", (_resident() - before) / few, "bytes")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def _two_processes(rounds: int) -> Iterator[Figure]:
    shared, apart = [], []
    for _ in range(rounds):
        name = f"benchmark-{uuid4().hex}"
        shared.append(_rate([name, name]))
        apart.append(_rate([f"{name}-1", f"{name}-2"]))
        for each in (name, f"{name}-1", f"{name}-2"):
            remove(each)
    yield figure(
        "2 processes on one table", median(shared), "decisions/s",
        peer="2 processes on a table each", ratio=ratios(shared, apart), wanted=">= 0.85",
    )  # fmt: skip


def _rate(names: list[str]) -> float:
    """Decisions a second of all processes, from a common start to the last end."""
    spawn = multiprocessing.get_context("spawn")
    start, end = spawn.Barrier(len(names) + 1), spawn.Barrier(len(names) + 1)
    workers = [
        spawn.Process(target=_hit, args=(name, core, start, end)) for core, name in enumerate(names)
    ]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    end.wait()
    took = time.perf_counter() - began
    for worker in workers:
        worker.join()
    return len(names) * HITS / took


def _hit(name: str, core: int, start: Barrier, end: Barrier) -> None:
    pin(core)
    with Limiter("5 per 1s", store=f"shm://{name}") as limiter:
        hit = limiter.hit
        start.wait()
        for _ in range(HITS // len(KEYS)):
            for key in KEYS:
                hit(key)
        end.wait()
