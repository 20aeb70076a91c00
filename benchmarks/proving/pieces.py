"""A whole log from a file, in memory that it does not fit in."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from enforcing.measuring import Figure, figure

from proving.checked import checked
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
        found = [checked(path, POLICY, f"{_MEMORY_MB}MB") for _ in range(rounds)]
    passed, worked, most = map(median, zip(*found, strict=True))
    yield figure(f"checked, {title}", events / passed, "events/s", wanted=">= 1111111")
    yield figure(f"checked, {title}", events / worked, "events/s/core")
    yield figure(f"memory, {title}", most / 1_000_000, "MB", wanted=f"<= {_MEMORY_MB}")
