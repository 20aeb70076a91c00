"""Speed of judging logs.

    python benchmarks/prove.py [PART ...] [--rounds N] [--events N] [--keys N]

Prints one JSON object a line: name, value, unit, peer, ratio, wanted; the first
says the machine and the method. No peer judges logs, so `peer` is empty.
"""

import argparse
import json
import os
import platform
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rateproof.core import active_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("whole", "pieces", "nginx", "overlap", "long_key", "hunting", "probe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3, help="of each figure (default: 3)")
    parser.add_argument(
        "--events", type=int, default=10_000_000, help="in a whole log (default: 10000000)"
    )
    parser.add_argument("--keys", type=int, default=10_000, help="in it (default: 10000)")
    asked = parser.parse_args()
    for unknown in set(asked.parts) - set(PARTS):
        parser.error(f"no part {unknown!r}; one of {', '.join(PARTS)}")
    print(json.dumps(describe(asked.rounds)), flush=True)
    for part in asked.parts or PARTS:
        measure: Callable[[int, int, int], Iterator[dict[str, object]]]
        measure = import_module(f"proving.{part}").measure
        for figure in measure(asked.rounds, asked.events, asked.keys):
            print(json.dumps(figure), flush=True)


def describe(rounds: int) -> dict[str, object]:
    """The first line of output."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="ascii"))
    return {
        "name": "machine",
        "value": len(os.sched_getaffinity(0)),
        "unit": "processors",
        "peer": None,
        "ratio": None,
        "wanted": None,
        "machine": f"{model[1] if model else platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {active_core()} core",
        "method": f"medians of {rounds} rounds, the slowest of {rounds} logs where one key is "
        "judged; a core's rate is of processor time; memory is the peak of resident pages, less "
        "what was resident before there was a log",
    }


if __name__ == "__main__":
    main()
