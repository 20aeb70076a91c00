"""How often `rateproof probe` is right.

    python benchmarks/probe.py [--runs N]

N runs for each of ten limiters with a limit of 5 in 1 s, and one for each in 5 s: the
server's five algorithms, the three strategies of Flask-Limiter, and limit_req of nginx
(apt install nginx-light) with and without nodelay. Prints one JSON object a line: name,
value, unit, peer, ratio, wanted; the first says the machine and the method. Each run is a
line on stderr.
"""

import argparse
import json

from prove import describe
from proving.probe import measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10, help="of each limiter (default: 10)")
    asked = parser.parse_args()
    method = f"{asked.runs} probes of each limiter, one after the other, with fresh identities"
    print(json.dumps(describe(asked.runs) | {"method": method}), flush=True)
    for figure in measure(asked.runs):
        print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
