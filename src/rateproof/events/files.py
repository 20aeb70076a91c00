"""Event logs on disk: the format follows from the file's name."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rateproof.core import native
from rateproof.errors import CannotWrite, InvalidArgument, LogError, readable
from rateproof.events import jsonl
from rateproof.events.impossible import refuse_repeated
from rateproof.events.jsonl import JsonlWriter
from rateproof.events.lines import Lines, open_lines
from rateproof.events.log import EventLog
from rateproof.events.parquet import ParquetWriter
from rateproof.events.parquet_reader import read_parquet
from rateproof.events.writer import LogWriter
from rateproof.keyspec import KeySpec
from rateproof.output import printable

if TYPE_CHECKING:
    from rateproof.events.access_logs import Reading

_OTHERS = (".jsonl", ".json", ".ndjson", ".csv", ".bin", ".gob")
_FORM = "a log is named *.parquet or *.jsonl, or - for JSON lines"


def open_log_writer(path: str | Path, metadata: Mapping[str, Any]) -> LogWriter:
    """Start a log; `-` is JSON lines on standard output.

    Raises:
        InvalidArgument: a name that is neither Parquet nor JSON lines, or
            Parquet without pyarrow.
        CannotWrite: the file cannot be created.
    """
    name = printable(str(path))
    try:
        if str(path) == "-":
            sys.stdout.flush()
            buffer = sys.stdout.buffer
            stream = getattr(buffer, "raw", buffer)
            return JsonlWriter(stream, "standard output", metadata)
        if Path(path).suffix == ".jsonl":
            return JsonlWriter(Path(path).open("wb", buffering=0), name, metadata)
        if Path(path).suffix == ".parquet":
            return ParquetWriter(Path(path), metadata)
    except OSError as error:
        folder = Path(path).parent
        hint = "name a file that can be written"
        if not folder.is_dir():
            hint = f"make the folder {printable(str(folder))} first"
        raise CannotWrite(f"cannot write the log {name}: {error.strerror}", hint) from error
    raise InvalidArgument(f"{str(path)!r} is not the name of a log", _FORM)


def read_log(
    path: str | Path,
    key: KeySpec | None = None,
    reading: "Reading | None" = None,
    *,
    to_judge: bool = False,
) -> EventLog:
    """Read a whole log; `-` is lines on standard input.

    Parquet is known by its name. Everything else by its first line: our JSON lines, k6's
    JSON output, vegeta's results as JSON or CSV (`rateproof.events.importers`), and what is no
    JSON is an access log (`rateproof.events.access_logs`).

    Args:
        path: the file.
        key: where a client's identity lies in logs of other tools, which have no column
            for it; `query:clientId` by default, `ip` in access logs. Ours have one.
        reading: how an access log is to be read.
        to_judge: whether it is only to be judged: of Parquet with many rows, columns that play
            no part in that are not read, and have their defaults.

    Raises:
        LogError: the file is missing, empty, truncated, damaged or not an event log, or
            has a request twice, as two logs in one file do.
    """
    if str(path) != "-" and Path(path).suffix == ".parquet":
        return read_files([Path(path)], printable(str(path)), to_judge=to_judge)
    with open_lines(path) as (lines, name):
        return read_lines(lines, name, key, reading)


def read_files(paths: Sequence[Path], name: str, *, to_judge: bool = False) -> EventLog:
    """Read a whole log in Parquet, of one file or several: see `read_log`."""
    with readable(name):
        log = read_parquet(*paths, to_judge=to_judge)
    refuse_repeated(log, name)
    return refuse_empty(log, name)


def read_lines(
    lines: Lines, name: str, key: KeySpec | None = None, reading: "Reading | None" = None
) -> EventLog:
    """Read a whole log from its lines: see `read_log`."""
    from rateproof.events.access_logs import Reading, read_access_log

    first = next(lines, b"")
    lines.put_back([first] if first else [])
    reading = reading or Reading()
    if is_access_log(first, name, reading):
        asked = reading if key is None else replace(reading, key=key)
        log = read_access_log(lines.blocks(), name, asked)
    else:
        log = EventLog()
        for log.metadata, events in batches(first, lines, name, key):
            log.extend(events)
        refuse_repeated(log, name)
    return refuse_empty(log, name)


def batches(
    first: bytes, lines: Lines, name: str, key: KeySpec | None = None
) -> Iterator[tuple[dict[str, Any], EventLog]]:
    """The events of a log in lines that is no access log, some thousands at a time, each with the metadata so far.

    Raises:
        LogError: a line that is none of such a log.
    """
    from rateproof.events import importers

    importer = importers.importer_of(first, name)
    if importer is None:
        return jsonl.batches(lines, name)
    return importers.batches(importer, lines, name, key)


def is_access_log(line: bytes, name: str, reading: "Reading") -> bool:
    """True if a log with this first line is one of a server.

    It is if its format is told. Else it is if no other tool is known to write such a line, and
    if a JSON object is that of a server.
    """
    from rateproof.events.access_logs import of_a_known_format
    from rateproof.events.importers import importer_of

    if not line or line.isspace():
        return False
    if reading.format is not None:
        return True
    if importer_of(line, name) is not None:
        return False
    if line.lstrip().startswith(b"{"):
        return native() is not None and of_a_known_format(line) is not None
    return Path(name).suffix not in _OTHERS


def refuse_empty(log: EventLog, name: str) -> EventLog:
    """Return a log that has events.

    Raises:
        LogError: it has none.
    """
    if not len(log):
        raise LogError(f"{name} has no events", "a log needs at least one request")
    return log
