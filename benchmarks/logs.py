"""Lines a second of an access log in the combined format, on one core: ours, apachelogs, GoAccess.

    python benchmarks/logs.py [--lines 1000000]

The scanner is given the bytes of the log, and makes columns with the key ip. `check` reads the file as the command
does, judging apart. apachelogs (PyPI) parses a twentieth of the lines; GoAccess (Debian) makes its report of all, and
is left out where it is not installed. All run in one process after the other, on one core.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from apachelogs import LogParser

from rateproof.events.access_logs import Reading, named, read_access_log
from rateproof.events.access_logs.reading import scanned

COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "curl/8.10.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148",
)
WANTED = 2_000_000


def lines(count: int) -> Iterator[bytes]:
    draw = random.Random(1)
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    for number in range(count):
        if number % 700 == 0:
            now += timedelta(seconds=1)
        ip = f"198.51.{draw.randrange(100)}.{draw.randrange(256)}"
        path = f"/api/v1/items/{draw.randrange(10_000)}?page={number % 7}"
        status = draw.choice((200, 200, 200, 304, 404, 429))
        yield (
            f'{ip} - - [{now:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/1.1" {status} '
            f'{draw.randrange(20_000)} "https://example.org/list" "{draw.choice(AGENTS)}"\n'
        ).encode()


def timed(what: str, count: int, work: Callable[[], object]) -> float:
    begun = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - begun[0], time.perf_counter() - begun[1]
    print(f"{what:32} {count / cpu:14,.0f} lines/s of processor time ({wall:.2f} s)", flush=True)
    return count / cpu


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    count = parser.parse_args().lines
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "access.log")
        with path.open("wb") as file:
            file.writelines(lines(count))
        content = path.read_bytes()
        print(f"{count:,} lines, {len(content) / count:.0f} bytes each")
        format_ = named("nginx")

        def whole() -> None:
            with path.open("rb") as file:
                read_access_log(file, "access.log", Reading(format=format_))

        speed = timed("scanner", count, lambda: scanned(format_, [content], Reading(), [[0]]))
        timed("read_access_log, from a file", count, whole)
        some = [line.decode() for line in islice(lines(count), count // 20)]
        parser = LogParser(COMBINED)
        timed("apachelogs", len(some), lambda: [parser.parse(line) for line in some])
        if shutil.which("goaccess") is None:
            print("goaccess: apt-get install goaccess")
        else:
            begun, used = time.perf_counter(), os.times()
            report = Path(folder, "report.json")
            command = [
                "goaccess",
                str(path),
                "--log-format=COMBINED",
                "--no-progress",
                "-o",
                report,
            ]
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
            now = os.times()
            cpu = (
                now.children_user + now.children_system - used.children_user - used.children_system
            )
            wall = time.perf_counter() - begun
            print(f"{'goaccess':32} {count / cpu:14,.0f} lines/s of processor time ({wall:.2f} s)")
    print(f"wanted: {WANTED:,} lines/s of the scanner: {'met' if speed >= WANTED else 'MISSED'}")
    sys.exit(speed < WANTED)


if __name__ == "__main__":
    main()
