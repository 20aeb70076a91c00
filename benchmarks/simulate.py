"""Speed of simulated clients, against other load testers in the same run.

    python benchmarks/simulate.py [PART ...] [--rounds N] [--seconds S] [--path FOLDER ...]

The load has one processor, and a server that answers 200 to everything another:
what it uses of that (`server`) shows whether the load bounds the rate.
Prints one JSON object a line: name, value, unit, peer, ratio, wanted; the first
says the machine and the method. Whoever is measured has a turn in each round, in
an order that rotates; medians throughout. Where a peer is named, `ratio` is how
we compare with it, round by round. A peer that is missing is named on stderr.
"""

import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from simulating.machine import describe, told
from simulating.programs import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("closed", "clients", "arrivals", "log")


def main() -> None:
    asked = told(__doc__, PARTS)
    print(json.dumps(describe(asked.rounds, asked.seconds)), flush=True)
    for part in asked.parts:
        measure: Callable[[int, int], Iterator[dict[str, object]]]
        measure = import_module(f"simulating.{part}").measure
        try:
            for figure in measure(asked.rounds, asked.seconds):
                print(json.dumps(figure), flush=True)
        except Missing as missing:
            print(f"{part}: left out: {missing}", file=sys.stderr)


if __name__ == "__main__":
    main()
