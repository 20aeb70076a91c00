"""A log that does not fit in memory: made, then checked, by this process or by workers.

    python benchmarks/scale.py [--events N] [--keys N] [--leaks N] [--memory SIZE] [--folder FOLDER] [--workers 1,2,4]

With `--keys 1` the log is of one client that does not fit by itself. Prints one JSON object a line: name, value, unit, peer, ratio, wanted; the first says the machine.
The folder takes 25 bytes an event, and as many again while the log is checked.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from enforcing.measuring import Figure, figure
from prove import describe
from proving.checked import checked
from proving.logs import PACE_NS, POLICY, WINDOW_NS, limited
from proving.spread import spread

from rateproof.events.arrow import array_of
from rateproof.events.parquet import METADATA_KEY, require_pyarrow

_NOTED = {"fresh_keys": True, "clock": "CLOCK_MONOTONIC"}
_KEYS_AT_ONCE = 20_000
_MADE_AT_ONCE = 5_000_000
_ROWS_A_GROUP = 262_144
_COLUMNS = ("sent_ns", "received_ns", "status", "outcome", "retry_after_s")
_ASKED_S, _ASKED_EVENTS = 180, 200_000_000
_ASKED_BYTES = 4 << 30
_TASKS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000_000, help="default: 200000000")
    parser.add_argument("--keys", type=int, default=2_000_000, help="of them (default: 2000000)")
    parser.add_argument("--leaks", type=int, default=0, help="admissions too many (default: 0)")
    parser.add_argument("--memory", default="3GB", help="for the check (default: 3GB)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--workers", help="check it by so many each: 1,2,4; not by --memory")
    asked = parser.parse_args()
    print(json.dumps(describe(1)), flush=True)
    path = asked.folder / f"scale-{asked.events}-{asked.keys}-{asked.leaks}.parquet"
    if not path.exists():
        start = time.perf_counter()
        write(path, asked.keys, asked.events // asked.keys, asked.leaks)
        print(f"{path}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    found = (
        spread_out(path, asked.events, [*map(int, asked.workers.split(","))])
        if asked.workers
        else measure(path, asked)
    )
    for one in found:
        print(json.dumps(one), flush=True)


def measure(path: Path, asked: argparse.Namespace) -> Iterator[Figure]:
    """Time and memory of `rateproof check --memory`, a process of its own that finds what is there."""
    events, several = asked.events, asked.keys > 1
    title = f"{events} events, {asked.keys} keys, {asked.leaks} leaks, --memory {asked.memory}"
    passed, worked, most = checked(path, POLICY, asked.memory, code=int(asked.leaks > 0))
    least = _ASKED_EVENTS / _ASKED_S
    longest = f"<= {events / least:.0f}" if several else None
    yield figure(f"checked, {title}", passed, "s", wanted=longest)
    wanted = f">= {least:.0f}" if several else None
    yield figure(f"checked, {title}", events / passed, "events/s", wanted=wanted)
    yield figure(f"checked, {title}", worked / events * 1e9, "ns/event of processor time")
    yield figure(f"memory, {title}", most / (1 << 30), "GiB", wanted=f"<= {_ASKED_BYTES >> 30}")


def spread_out(path: Path, events: int, several: list[int]) -> Iterator[Figure]:
    """Time and processor time with each number of workers, beside that of one process."""
    passed, alone, _ = checked(path, POLICY, "3GB")
    yield figure("checked by one process", passed, "s")
    yield figure("checked by one process", alone / events * 1e9, "ns/event of processor time")
    for workers in several:
        idle = spread(path, POLICY, workers, tasks=_TASKS)
        few = spread(path, POLICY, workers, tasks=1)
        found = spread(path, POLICY, workers)
        title, worked = f"workers: {workers}", found.worked - few.worked
        yield figure(f"checked, {title}", found.passed, "s")
        yield figure(
            f"checked, {title}",
            worked / events * 1e9,
            "ns/event of processor time",
            peer="one process",
            ratio=worked / alone,
        )
        yield figure(f"started and ended, {title}", few.worked, "s of processor time")
        yield figure(f"a task that does nothing, {title}", idle.each * 1e3, "ms")
        yield figure(f"gathered, {title}", found.gathered / 1e3, "kB/piece")
        yield figure(f"put together, {title}", found.joined * 1e3, "ms")


def write(path: Path, keys: int, requests: int, leaks: int) -> None:
    """Write a log of a limiter, all clients taking turns; of many a row group has each once.

    The first 20,000 clients' requests are those of all others too, and of few clients with very
    many the first millions are those that come later.
    """
    pa, block = require_pyarrow(), min(keys, _KEYS_AT_ONCE)
    several = -(-requests * block // _MADE_AT_ONCE)
    turns = requests // several
    made = cache(partial(_columns, pa, block, turns))
    names = [
        pa.array([b"client-%d" % (first + n) for n in range(block)], pa.binary())
        for first in range(0, keys, block)
    ]
    span = 1 if len(names) > 1 else max(1, _ROWS_A_GROUP // block)
    together = max(1, _ROWS_A_GROUP // (block * span))
    schema = pa.schema(
        [
            ("key", pa.binary()),
            *((name, of.type) for name, of in made(0).items()),
            ("sequence", pa.int64()),
        ],
        metadata={METADATA_KEY: json.dumps(_NOTED)},
    )
    delta = ("sent_ns", "received_ns", "sequence")
    unfinished = path.with_suffix(f".{os.getpid()}")
    with pq.ParquetWriter(
        unfinished,
        schema,
        compression="zstd",
        use_dictionary=["status", "outcome", "retry_after_s"],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
        write_page_checksum=True,
    ) as writer:
        at, before = 0, 0
        count = pa.array(range(together * block * span), pa.int64())
        for number in range(several):
            until = (2 * leaks * (number + 1) + several) // (2 * several)
            columns, before = dict(made(until - before)), until
            later_ns = number * (turns * PACE_NS + 2 * WINDOW_NS)
            for name in ("sent_ns", "received_ns"):
                columns[name] = pa.compute.add(columns[name], later_ns)
            for turn in range(0, turns, span):
                own = [of.slice(turn * block, span * block) for of in columns.values()]
                for first in range(0, len(names), together):
                    some = names[first : first + together] * (len(own[0]) // block)
                    rows = len(some) * block
                    told = [pa.concat_arrays([one] * (rows // len(one))) for one in own]
                    numbers = pa.compute.add(count.slice(0, rows), at)
                    arrays = [pa.concat_arrays(some), *told, numbers]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=schema), rows)
                    at += rows
    unfinished.rename(path)


def _columns(pa: Any, keys: int, requests: int, leaks: int) -> dict[str, Any]:
    log = limited(keys, requests, leaks)
    return {name: array_of(pa, log, name) for name in _COLUMNS}


if __name__ == "__main__":
    main()
