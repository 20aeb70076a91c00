"""The machine: processors and their uses, and what else a reader of the figures must know."""

import argparse
import os
import platform
import re
import time
from collections.abc import Iterable
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
        "method": f"load on processor {LOAD}, a server that does the least on {SERVER}; "
        f"{rounds} rounds in rotated order, {seconds} s a turn; medians; processor time of whole "
        "programs, their start included",
    }


def told(description: str | None, parts: Iterable[str]) -> argparse.Namespace:
    """Read the command line; peers are looked for in its folders first."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    names = list(parts)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--seconds", type=int, default=4, help="of each turn (default: 4)")
    parser.add_argument(
        "--path", action="append", default=[], metavar="FOLDER", help="where peers are, before PATH"
    )
    asked = parser.parse_args()
    for unknown in set(asked.parts) - set(names):
        parser.error(f"no part {unknown!r}; one of {', '.join(names)}")
    asked.parts = asked.parts or names
    os.environ["PATH"] = os.pathsep.join([*asked.path, os.environ["PATH"], "/usr/sbin"])
    return asked


def idle_lag_p99_ns(rate: int, seconds: int) -> int:
    """The lag of whoever does nothing but read the clock, on the processor of the load.

    Of `rate` instants a second one in a hundred is seen later than this. Nobody who sends at those
    instants can be less late: the machine gives the processor to others meanwhile.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD})
    try:
        step, lags = 1_000_000_000 // rate, []
        due = time.perf_counter_ns()
        end = due + seconds * 1_000_000_000
        while due < end:
            now = time.perf_counter_ns()
            while due <= now:
                lags.append(now - due)
                due += step
    finally:
        os.sched_setaffinity(0, before)
    return sorted(lags)[len(lags) * 99 // 100]
