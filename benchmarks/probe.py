"""Counts of limiters that `rateproof probe` names rightly, wrongly, and not at all.

    python benchmarks/probe.py [--runs 300] [--first 0] [--real 30] [--seed 1] [--processes 2] [--without]

Most runs are on simulated limiters with a simulated clock: every family of the probe and
some that it does not know, limits of 1 to 500, windows of 0.2 s to 60 s, any phase, answers
of up to 50 ms with slow ones mixed in. In some runs (with --without in all of them, each
family in turn) the family is taken out of the probe's list. The rest are real servers
(`proving/probe.py`), nginx among them. A name is wrong if exit 0 names what the limiter is
not: another limit, a window that its bounds exclude, or another family unless it is said to
answer the same.

Each run is a line on stderr: what is said, what is missing to a name, requests, time and
processor time; stdout has one JSON object a figure, and last what counts: how many names were
wrong, and which share of the known limiters was named.
"""

import argparse
import json
import sys

from prove import describe
from proving.limiters import nginx_program
from proving.probe import probe_real
from proving.unknown import simulated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300, help="in all (default: 300)")
    parser.add_argument(
        "--real", type=int, default=30, help="of them on real servers (default: 30)"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="at once (default: 2)")
    parser.add_argument(
        "--without",
        action="store_true",
        help="each simulated limiter is of a family that is taken out of the probe's list",
    )
    asked = parser.parse_args()
    method = "each run is a limiter, a limit, a window, a phase and a line, drawn by its number"
    print(json.dumps(describe(asked.runs) | {"method": method}), flush=True)
    real = min(asked.real, asked.runs)
    if real:
        nginx_program()  # before anything was measured that would be lost

    def note(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    numbers = range(asked.first, asked.first + asked.runs - real)
    tally = simulated(numbers, asked.seed, note, without=asked.without, processes=asked.processes)
    for reason, runs in tally.reasons().most_common():
        note(f"not named, {reason}: {runs}")
    if real:
        tally.real += probe_real(real, note)
    for figure in tally.figures():
        print(json.dumps(figure), flush=True)
    print(tally.last_line(), flush=True)


if __name__ == "__main__":
    main()
