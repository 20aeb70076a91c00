"""Speed of the limiter, against its peers in the same run.

    python benchmarks/enforce.py [PART ...] [--rounds N]

Prints one JSON object a line: name, value, unit, peer, ratio, wanted. Where a
peer is named, `ratio` is how it compares with us, over pairs measured in turn;
medians throughout. A part whose peer is missing says what to install, on stderr.
"""

import argparse
import json
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("decisions", "kernel", "table", "start", "redis", "http", "flooding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=7, help="pairs of measurements (default: 7)")
    asked = parser.parse_args()
    for unknown in set(asked.parts) - set(PARTS):
        parser.error(f"no part {unknown!r}; one of {', '.join(PARTS)}")
    if (os.cpu_count() or 1) < 2:
        parser.error("two processors are needed: one for the server, one for the load")
    for part in asked.parts or PARTS:
        measure: Callable[[int], Iterator[dict[str, object]]]
        measure = import_module(f"enforcing.{part}").measure
        try:
            for figure in measure(asked.rounds):
                print(json.dumps(figure), flush=True)
        except LookupError as missing:
            print(f"{part}: left out: {missing}", file=sys.stderr)


if __name__ == "__main__":
    main()
