"""`rateproof check --memory`, a process of its own: what it takes."""

import resource
import subprocess
import sys
import time
from pathlib import Path

from rateproof.policy import Policy

# A process that was just begun counts the pages of the one that began it, but for its own peak.
_CHECK = """
import sys
from rateproof import cli
code = cli.main(sys.argv[1:])
from proving.memory_use import peak
print(peak())
sys.exit(code)
"""


def checked(path: Path, policy: Policy, memory: str, code: int = 0) -> tuple[float, float, float]:
    """Time and processor time in s, and the most memory in bytes, of `rateproof check --memory`.

    Raises:
        AssertionError: it ends with another exit code.
    """
    words = ["check", str(path), "--policy", str(policy), "--memory", memory]
    start, before = time.perf_counter(), _worked()
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, *words],
        check=False,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    passed = time.perf_counter() - start
    assert done.returncode == code, f"{path}: exit code {done.returncode}, not {code}"
    return passed, _worked() - before, int(done.stdout.split()[-1])


def _worked() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
