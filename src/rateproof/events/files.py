"""Event logs on disk: the format follows from the file's name."""

import gzip
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rateproof.errors import CannotWrite, InvalidArgument, LogError
from rateproof.events.imported import DEFAULT_KEY
from rateproof.events.impossible import refuse_repeated
from rateproof.events.jsonl import JsonlWriter, read_jsonl
from rateproof.events.log import EventLog
from rateproof.events.parquet import ParquetWriter
from rateproof.events.parquet_reader import read_parquet
from rateproof.events.writer import LogWriter
from rateproof.keyspec import KeySpec
from rateproof.output import printable

if TYPE_CHECKING:
    from rateproof.events.access_logs import Reading

__all__ = ["is_access_log", "open_lines", "open_log_writer", "read_lines", "read_log"]

_MOST_LINE = 16_000_000
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
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
        name = printable(str(path))
        try:
            log = read_parquet(Path(path), to_judge=to_judge)
        except OSError as error:
            raise LogError(f"cannot read {name}: {error.strerror or error}") from error
        refuse_repeated(log, name)
        return _refuse_empty(log, name)
    with open_lines(path) as (lines, name):
        return read_lines(lines, name, key, reading)


@contextmanager
def open_lines(path: str | Path) -> Iterator[tuple[Iterator[bytes], str]]:
    """The lines of a file, and its name for messages; `-` is standard input.

    Raises:
        LogError: the file cannot be read, now or on the way.
    """
    try:
        if str(path) == "-":
            if sys.stdin is None:
                raise LogError("standard input is closed", "give a file, or pipe a log in")
            name = "standard input"
            yield _lines(_plain(sys.stdin.buffer, name), name), name
        else:
            name = printable(str(path))
            with Path(path).open("rb") as file:
                yield _lines(_plain(file, name), name), name
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"{name} is compressed, and damaged or cut off: {error}"
        raise LogError(problem, f"zcat {name} | rateproof check - reads what is whole") from error
    except OSError as error:
        problem = f"cannot read {printable(str(path))}: {error.strerror or error}"
        raise LogError(problem) from error


def _plain(file: Any, name: str) -> Any:
    """The bytes of a file, not compressed; they are told by how it begins."""
    begun = file.peek(len(_ZSTD)) if hasattr(file, "peek") else b""
    if begun.startswith(_ZSTD):
        raise LogError(f"{name} is compressed by zstd", f"zstd -dc {name} | rateproof check -")
    return gzip.open(file) if begun.startswith(_GZIP) else file


def _lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of a file, of which the first that says anything is not read if it is no line."""
    while first := file.readline(_MOST_LINE + 1):
        if len(first) > _MOST_LINE:
            raise LogError(f"{name}: its first line is longer than 16 MB", "a request in each line")
        yield first
        if not first.isspace():
            break
    yield from file


def read_lines(
    lines: Iterator[bytes],
    name: str,
    key: KeySpec | None = None,
    reading: "Reading | None" = None,
) -> EventLog:
    """Read a whole log from its lines: see `read_log`."""
    from rateproof.events.access_logs import Reading, read_access_log
    from rateproof.events.importers import importer_of

    first = next(lines, b"")
    lines = chain([first] if first else [], lines)
    importer = importer_of(first, name)
    if importer is not None:
        log: EventLog = importer.read(lines, name, DEFAULT_KEY if key is None else key)
    elif is_access_log(first, name):
        reading = reading or Reading()
        log = read_access_log(lines, name, reading if key is None else replace(reading, key=key))
    else:
        log = read_jsonl(lines, name)
        refuse_repeated(log, name)
    return _refuse_empty(log, name)


def is_access_log(line: bytes, name: str) -> bool:
    """True if a log with this first line, which no importer knows, is one of a server."""
    other = Path(name).suffix in _OTHERS or not line or line.isspace()
    return not other and not line.lstrip().startswith(b"{")


def _refuse_empty(log: EventLog, name: str) -> EventLog:
    if not len(log):
        raise LogError(f"{name} has no events", "a log needs at least one request")
    return log
