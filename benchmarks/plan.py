"""`rateproof plan`: lines a second, memory for a log that is larger, and how often a plan comes true.

    python benchmarks/plan.py [--lines 5000000] [--huge 100000000] [--runs 10]

The log is in nginx's combined format with milliseconds and durations; the whole command is timed, from its start to its
end, on the cores that there are. --huge pipes so many lines of 1,000,000 keys into it and notes its memory. --runs puts a
real nginx in front of `server.py`, each run under another policy, and counts its rejections.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from planning.nginx import POLICIES, run

FORMAT = (
    '$remote_addr - $remote_user [$msec] $request_time "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "curl/8.10.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148",
)
STAMP = b"@STAMP@"
WANTED, GIB = 1_000_000, 1 << 30
_AT_ONCE = 500
"""Lines of one millisecond's stamp, of which some go into each second."""


def blocks(lines: int, keys: int) -> Iterator[bytes]:
    """Blocks of lines; a few clients send much more than the others."""
    draw = random.Random(1)
    bodies = []
    for number in range(min(lines, 1_000_000) // _AT_ONCE):
        block = []
        for at in range(_AT_ONCE):
            key = int(keys * draw.random() ** 3) if keys < 1_000_000 else number * _AT_ONCE + at
            ip = f"10.{key >> 16 & 255}.{key >> 8 & 255}.{key & 255}"
            block.append(
                f"{ip} - - [@STAMP@] {draw.random() / 5:.3f} "
                f'"GET /api/v1/items/{draw.randrange(10_000)}?page={at % 7} HTTP/1.1" 200 1234 '
                f'"https://example.org/list" "{draw.choice(AGENTS)}"\n'
            )
        bodies.append("".join(block).encode())
    for number in range(lines // _AT_ONCE):
        stamp = f"{1_790_000_000 + number * 0.7:.3f}".encode()
        yield bodies[number % len(bodies)].replace(STAMP, stamp)


def planned(source: str, feed: Iterator[bytes] | None) -> tuple[float, int]:
    """Seconds and bytes of memory of the whole command."""
    command = [sys.executable, "-m", "rateproof", "plan", source, "--format", FORMAT]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    for block in feed or ():
        process.stdin.write(block)
    process.stdin.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"rateproof plan: {process.returncode}")
    return time.perf_counter() - begun, used.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--huge", type=int, default=0)
    parser.add_argument("--runs", type=int, default=10)
    told = parser.parse_args()
    missed = 0
    if told.lines:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "access.log")
            with path.open("wb") as file:
                file.writelines(blocks(told.lines, 30_000))
            taken_s, memory = planned(str(path), None)
        met = told.lines / taken_s >= WANTED
        missed += not met
        print(
            f"{told.lines:,} lines: {told.lines / taken_s:,.0f} lines/s, {memory / GIB:.2f} GiB; "
            f"wanted {WANTED:,}: {'met' if met else 'MISSED'}",
            flush=True,
        )
    if told.huge:
        taken_s, memory = planned("-", blocks(told.huge, 1_000_000))
        met = memory <= GIB
        missed += not met
        print(
            f"{told.huge:,} lines of 1,000,000 keys: {memory / GIB:.2f} GiB, "
            f"{told.huge / taken_s:,.0f} lines/s beside their generator; "
            f"wanted 1 GiB: {'met' if met else 'MISSED'}",
            flush=True,
        )
    true = 0
    for seed in range(told.runs):
        found = run(POLICIES[seed % len(POLICIES)], seed)
        true += found.true
        print(found, flush=True)
    if told.runs:
        missed += true < told.runs
        print(f"{true} of {told.runs} plans came true; wanted: all")
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
