"""A log that does not fit in memory: made, then checked.

    python benchmarks/scale.py [--events N] [--keys N] [--memory SIZE] [--folder FOLDER]

Prints one JSON object a line: name, value, unit, peer, ratio, wanted; the first says the machine.
The folder takes 25 bytes an event, and as many again while the log is checked.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from enforcing.measuring import Figure, figure
from prove import describe
from proving.checked import checked
from proving.logs import POLICY, limited

from rateproof.events.parquet import METADATA_KEY, array_of, require_pyarrow

_KEYS_AT_ONCE = 20_000
_ROWS_A_GROUP = 262_144
_COLUMNS = ("sent_ns", "received_ns", "status", "outcome", "retry_after_s")
_ASKED_S, _ASKED_EVENTS = 180, 200_000_000
_ASKED_BYTES = 4 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000_000, help="default: 200000000")
    parser.add_argument("--keys", type=int, default=2_000_000, help="of them (default: 2000000)")
    parser.add_argument("--memory", default="3GB", help="for the check (default: 3GB)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    print(json.dumps(describe(1)), flush=True)
    path = asked.folder / f"scale-{asked.events}-{asked.keys}.parquet"
    if not path.exists():
        start = time.perf_counter()
        write(path, asked.keys, asked.events // asked.keys)
        print(f"{path}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    for one in measure(path, asked.events, asked.keys, asked.memory):
        print(json.dumps(one), flush=True)


def measure(path: Path, events: int, keys: int, memory: str) -> Iterator[Figure]:
    """Time and memory of `rateproof check --memory`, a process of its own."""
    title = f"{events} events, {keys} keys, --memory {memory}"
    passed, worked, most = checked(path, POLICY, memory)
    least = _ASKED_EVENTS / _ASKED_S
    yield figure(f"checked, {title}", passed, "s", wanted=f"<= {events / least:.0f}")
    yield figure(f"checked, {title}", events / passed, "events/s", wanted=f">= {least:.0f}")
    yield figure(f"checked, {title}", worked / events * 1e9, "ns/event of processor time")
    yield figure(f"memory, {title}", most / (1 << 30), "GiB", wanted=f"<= {_ASKED_BYTES >> 30}")


def write(path: Path, keys: int, requests: int) -> None:
    """Write a log of a right limiter, all clients taking turns: a row group has a key once.

    The first 20,000 clients' requests are those of all others too.
    """
    pa, block = require_pyarrow(), min(keys, _KEYS_AT_ONCE)
    log = limited(block, requests)
    columns = {name: array_of(pa, log, name) for name in _COLUMNS}
    names = [
        pa.array([b"client-%d" % (first + n) for n in range(block)], pa.binary())
        for first in range(0, keys, block)
    ]
    schema = pa.schema(
        [
            ("key", pa.binary()),
            *((name, of.type) for name, of in columns.items()),
            ("sequence", pa.int64()),
        ],
        metadata={METADATA_KEY: json.dumps(log.metadata)},
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
        at, together = 0, max(1, _ROWS_A_GROUP // block)
        count = pa.array(range(together * block), pa.int64())
        for turn in range(requests):
            own = [of.slice(turn * block, block) for of in columns.values()]
            for first in range(0, len(names), together):
                some = names[first : first + together]
                rows = len(some) * block
                told = [pa.concat_arrays([one] * len(some)) for one in own]
                numbers = pa.compute.add(count.slice(0, rows), at)
                arrays = [pa.concat_arrays(some), *told, numbers]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema), rows)
                at += rows
    unfinished.rename(path)


if __name__ == "__main__":
    main()
