"""Speed of simulated clients, against other load testers in the same run.

    python benchmarks/simulate.py [PART ...] [--rounds N] [--seconds S] [--path FOLDER ...]

The load has one processor and nginx, which answers 200 to everything, another.
Prints one JSON object a line: name, value, unit, peer, ratio, wanted; the first
says the machine and the method. Whoever is measured has a turn in each round, in
an order that rotates; medians throughout. Where a peer is named, `ratio` is how
we compare with it, round by round. A peer that is missing is named on stderr.
"""

import argparse
import json
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from simulating.machine import describe
from simulating.programs import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("closed", "clients", "arrivals", "log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--seconds", type=int, default=4, help="of each turn (default: 4)")
    parser.add_argument(
        "--path", action="append", default=[], metavar="FOLDER", help="where peers are, before PATH"
    )
    asked = parser.parse_args()
    for unknown in set(asked.parts) - set(PARTS):
        parser.error(f"no part {unknown!r}; one of {', '.join(PARTS)}")
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two processors are needed: one for the server, one for the load")
    os.environ["PATH"] = os.pathsep.join([*asked.path, os.environ["PATH"]])
    print(json.dumps(describe(asked.rounds, asked.seconds)), flush=True)
    for part in asked.parts or PARTS:
        measure: Callable[[int, int], Iterator[dict[str, object]]]
        measure = import_module(f"simulating.{part}").measure
        try:
            for figure in measure(asked.rounds, asked.seconds):
                print(json.dumps(figure), flush=True)
        except Missing as missing:
            print(f"{part}: left out: {missing}", file=sys.stderr)


if __name__ == "__main__":
    main()
