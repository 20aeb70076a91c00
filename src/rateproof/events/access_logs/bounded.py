"""Access logs that may not fit in memory: event logs there, or in a Parquet file."""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from rateproof.errors import LogError
from rateproof.events.access_logs.access_log import begun, beside, event_log, together
from rateproof.events.access_logs.feeding import File, chunks
from rateproof.events.access_logs.reading import Reading
from rateproof.events.access_logs.scan import Chunk, Scan
from rateproof.events.bounded import BASE, BYTES_A_ROW
from rateproof.events.log import EventLog
from rateproof.events.parquet import ParquetWriter
from rateproof.events.workplace import Workplace

_LEAST_ROWS: Final = 100_000
_Part = tuple[Chunk, Scan]


def read_bounded(
    logs: Iterable[tuple[Iterable[File], str]],
    reading: Reading,
    memory: int | None,
    place: Callable[[], Workplace],
) -> EventLog | Path:
    """Read the logs of several hosts, or of one: into memory, or into a Parquet file.

    Args:
        logs: the files of each host, and a name for them.
        reading: how.
        memory: bytes that the requests may take; None: as many as they do.
        place: gives where the file goes, if it is needed.

    Raises:
        InvalidArgument: as for `read_access_log`.
        LogError: as for `read_access_log`.
        CannotWrite: the disk is full.
    """
    rows = None if memory is None else max(_LEAST_ROWS, (memory - BASE) // BYTES_A_ROW)
    parts, held = _parts(logs, reading, rows), list[_Part]()
    for part in parts:
        held.append(part)
        scans = {id(scan) for _, scan in held}
        many = rows is not None and sum(len(chunk.keys) for chunk, _ in held) > 2 * rows
        if many or len(held) > len(scans):
            rest, renumber = chain(_emptied(held), parts), reading.skew_ns is not None
            return place().made(partial(_write, rest, renumber=renumber))
    found = [event_log(chunk, scan.metadata()) for chunk, scan in held]
    return found[0] if len(found) == 1 else beside(found)


def _parts(
    logs: Iterable[tuple[Iterable[File], str]], reading: Reading, rows: int | None
) -> Iterator[_Part]:
    """Read one log after the other; one that has fewer rows than that is one part."""
    for files, name in logs:
        scan, rest = begun(files, name, reading)
        for number, chunk in enumerate(chunks(scan, rest, rows=rows)):
            if not number or len(chunk.keys):
                yield chunk, scan
        scan.refuse()
        if not scan.counted:
            raise LogError(f"{name} has no events", "a log needs at least one request")


def _emptied(held: list[_Part]) -> Iterator[_Part]:
    while held:
        yield held.pop(0)


def _write(parts: Iterable[_Part], path: Path, *, renumber: bool) -> None:
    """Write parts of logs as one log; with numbers of its own where those are of several files."""
    scans: dict[int, Scan] = {}
    count = 0
    with ParquetWriter(path, {}) as writer:
        for chunk, scan in parts:
            first, count = count + 1, count + len(chunk.keys)
            told = replace(chunk, line=array("q", range(first, count + 1))) if renumber else chunk
            writer.write(event_log(told, {}))
            scans[id(scan)] = scan
        writer.note(together([scan.metadata() for scan in scans.values()]))
