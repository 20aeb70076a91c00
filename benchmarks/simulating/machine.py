"""The machine: processors and their uses, and what else a reader of the figures must know."""

import os
import platform
import re
from pathlib import Path

from enforcing.measuring import Figure

LOAD, SERVER = sorted(os.sched_getaffinity(0))[:2]
"""The processor of the load, and that of the server and of whoever measures."""


def describe(rounds: int, seconds: int) -> Figure:
    """The first line of output."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="ascii"))
    return {
        "name": "machine",
        "value": os.cpu_count(),
        "unit": "processors",
        "peer": None,
        "ratio": None,
        "wanted": None,
        "machine": f"{model[1] if model else platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}",
        "method": f"load on processor {LOAD}, nginx (1 worker, return 200) on {SERVER}; "
        f"{rounds} rounds in rotated order, {seconds} s a turn; medians; processor time of whole "
        "programs, their start included",
    }
