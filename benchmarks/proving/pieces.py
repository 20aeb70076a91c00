"""A whole log from a file, in memory that it does not fit in."""

import resource
import subprocess
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

# A process that was just begun counts the pages of the one that began it, but for its own peak.
_CHECK = """
import sys
from rateproof import cli
code = cli.main(sys.argv[1:])
from proving.memory_use import peak
print(peak())
sys.exit(code)
"""


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
    words = ["check", str(path), "--policy", str(POLICY), "--memory", f"{_MEMORY_MB}MB"]
    start, before = time.perf_counter(), _worked()
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, *words],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[1],
    )
    passed = time.perf_counter() - start
    return passed, _worked() - before, int(done.stdout.split()[-1]) / 1_000_000


def _worked() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
