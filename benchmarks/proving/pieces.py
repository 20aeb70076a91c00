"""A whole log from a file, in memory that it does not fit in."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from enforcing.measuring import Figure, figure

from proving.logs import POLICY, limited
from rateproof.events import open_log_writer

_MEMORY_MB = 500


def measure(rounds: int, events: int, keys: int) -> Iterator[Figure]:
    """Time and memory of `rateproof check --memory 500MB`, a process of its own."""
    title = f"{events} events, {keys} keys, in {_MEMORY_MB} MB"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        log = limited(keys, events // keys)
        with open_log_writer(path, log.metadata) as writer:
            writer.write(log)
        del log
        found = [_checked(path) for _ in range(rounds)]
    passed, worked, most = map(median, zip(*found, strict=True))
    yield figure(f"checked, {title}", events / passed, "events/s", wanted=">= 1111111")
    yield figure(f"checked, {title}", events / worked, "events/s/core")
    yield figure(f"memory, {title}", most, "MB", wanted=f"<= {_MEMORY_MB}")


def _checked(path: Path) -> tuple[float, float, float]:
    """Time and processor time in s, and the most memory in MB."""
    words = ["check", str(path), "--policy", str(POLICY), "--memory", f"{_MEMORY_MB}MB", "--json"]
    command = [sys.executable, "-m", "rateproof", *words]
    start = time.perf_counter()
    with open(os.devnull, "w", encoding="ascii") as nothing:  # noqa: PTH123 - for posix_spawn
        silent = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), number) for number in (1, 2)]
        process = os.posix_spawn(sys.executable, command, os.environ, file_actions=silent)
    _, status, used = os.wait4(process, 0)
    if status:
        raise LookupError("the log of a right limiter is not consistent")
    passed = time.perf_counter() - start
    return passed, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1_000_000
