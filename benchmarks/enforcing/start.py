"""Time that `import rateproof` takes."""

import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from enforcing.measuring import Figure, figure, pin

_SCRIPT = """
import time
began = time.perf_counter_ns()
import rateproof
{use}
print(time.perf_counter_ns() - began)
"""


def measure(rounds: int) -> Iterator[Figure]:
    """Of the package alone, and with a limiter made."""
    pin(1)
    for name, use, wanted in (
        ("import rateproof", "", "<= 30"),
        ("... and rateproof.Limiter", "rateproof.Limiter", None),
    ):
        script = _SCRIPT.format(use=use)
        times = [
            int(subprocess.check_output([sys.executable, "-c", script], text=True)) / 1e6
            for _ in range(max(rounds, 5))
        ]
        yield figure(name, median(times), "ms", wanted=wanted)
