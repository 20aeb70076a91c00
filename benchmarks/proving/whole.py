"""A whole log, from memory and from a file."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pyarrow as pa
from enforcing.measuring import Figure, figure

from proving.logs import POLICY, limited
from proving.memory_use import forget_peak, peak, resident
from rateproof.events import EventLog, open_log_writer, read_log
from rateproof.prove import CONSISTENT, judge


def measure(rounds: int, events: int, keys: int) -> Iterator[Figure]:
    """Time and memory of judging, then of reading too."""
    title = f"{events} events, {keys} keys"
    before = resident()
    logs = [limited(keys, events // keys)]
    forget_peak()
    worked, _ = _timed(rounds, logs[0].noting)  # of which nothing is known yet
    rows = len(logs[0])
    took = (peak() - before) / rows
    yield figure(
        f"judged from memory, {title}", rows / worked, "events/s/core", wanted=">= 10000000"
    )
    yield figure(f"memory, the log included, {title}", took, "bytes/event", wanted="<= 100")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        with open_log_writer(path, logs[0].metadata) as writer:
            writer.write(logs[0])
        logs.clear()
        pa.default_memory_pool().release_unused()
        before = resident()
        forget_peak()
        _, passed = _timed(rounds, lambda: read_log(path, to_judge=True))
        took = (peak() - before) / rows
    yield figure(f"read from Parquet and judged, {title}", passed, "s", wanted="<= 4")
    yield figure(f"memory, reading included, {title}", took, "bytes/event", wanted="<= 100")


def _timed(rounds: int, load: Callable[[], EventLog]) -> tuple[float, float]:
    """Processor time and time of loading and judging, in s."""
    worked, passed = [], []
    for _ in range(rounds):
        work, start = time.process_time(), time.perf_counter()
        verdict = judge(load(), POLICY)
        worked.append(time.process_time() - work)
        passed.append(time.perf_counter() - start)
        if verdict.outcome != CONSISTENT:
            raise LookupError(f"the log of a right limiter is {verdict.outcome}")
    return median(worked), median(passed)
