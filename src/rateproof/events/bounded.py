"""A log that is read batch by batch, and may not fit in memory: it goes to a Parquet file then."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from rateproof.events.log import EventLog
from rateproof.events.parquet import ParquetWriter
from rateproof.events.workplace import Workplace

BASE: Final = 120_000_000
"""Memory of the program itself, with pyarrow."""

BYTES_A_ROW: Final = 640
"""Memory that reading a request takes, at most, if it goes to a file afterwards."""


def bounded(
    batches: Iterable[tuple[Mapping[str, Any], EventLog]],
    memory: int | None,
    place: Callable[[], Workplace],
) -> EventLog | Path:
    """A log in memory, or the path of the Parquet file that it is in.

    Args:
        batches: its events some at a time, each with the metadata so far.
        memory: bytes that they may take; None: as many as they do.
        place: gives where the file goes, if it is needed.

    Raises:
        CannotWrite: the disk is full.
    """
    log, left = EventLog(), iter(batches)
    for metadata, events in left:
        log.metadata = dict(metadata)
        log.extend(events)
        if memory is not None and len(log) * BYTES_A_ROW > memory - BASE:
            break
    else:
        return log

    def write(path: Path) -> None:
        nonlocal log, metadata
        with ParquetWriter(path, {}) as writer:
            writer.write(log)
            log = EventLog()
            for told, events in left:
                metadata = told
                writer.write(events)
            writer.note(metadata)

    return place().made(write)
