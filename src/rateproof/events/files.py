"""Event logs on disk: the format follows from the file's name."""

import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from rateproof.errors import CannotWrite, InvalidArgument, LogError
from rateproof.events.jsonl import JsonlWriter, read_jsonl
from rateproof.events.log import EventLog
from rateproof.events.numbering import refuse_repeated
from rateproof.events.parquet import ParquetWriter
from rateproof.events.parquet_reader import read_parquet
from rateproof.events.writer import LogWriter
from rateproof.keyspec import KeySpec

__all__ = ["open_log_writer", "read_log"]

_FORM = "a log is named *.parquet or *.jsonl, or - for JSON lines"
_LINES = (".jsonl", ".json", ".ndjson", ".csv", ".bin", ".gob")
_READ_FORM = f"a log is named *.parquet, *{', *'.join(_LINES[:4])}, or - for standard input"


def open_log_writer(path: str | Path, metadata: Mapping[str, Any]) -> LogWriter:
    """Start a log; `-` is JSON lines on standard output.

    Raises:
        InvalidArgument: a name that is neither Parquet nor JSON lines, or
            Parquet without pyarrow.
        CannotWrite: the file cannot be created.
    """
    try:
        if str(path) == "-":
            sys.stdout.flush()
            buffer = sys.stdout.buffer
            stream = getattr(buffer, "raw", buffer)
            return JsonlWriter(stream, "standard output", metadata)
        if Path(path).suffix == ".jsonl":
            return JsonlWriter(Path(path).open("wb", buffering=0), str(path), metadata)
        if Path(path).suffix == ".parquet":
            return ParquetWriter(Path(path), metadata)
    except OSError as error:
        raise CannotWrite(f"cannot write the log {path}: {error.strerror}") from error
    raise InvalidArgument(f"{str(path)!r} is not the name of a log", _FORM)


def read_log(path: str | Path, key: KeySpec | None = None) -> EventLog:
    """Read a whole log; `-` is lines on standard input.

    Parquet is known by its name. Everything else by its first line: our JSON lines, k6's
    JSON output, vegeta's results as JSON or CSV (`rateproof.events.importers`).

    Args:
        path: the file.
        key: where a client's identity lies in logs of other tools, which have no column
            for it; `query:clientId` by default. Ours have one.

    Raises:
        InvalidArgument: a name that no log has.
        LogError: the file is missing, empty, truncated, damaged or not an event log, or
            has a request twice, as two logs in one file do.
    """
    try:
        if str(path) == "-":
            if sys.stdin is None:
                raise LogError("standard input is closed", "give a file, or pipe a log in")
            log = _read_lines(sys.stdin.buffer, "standard input", key)
        elif Path(path).suffix == ".parquet":
            log = read_parquet(Path(path))
            refuse_repeated(log, str(path))
        elif Path(path).suffix in _LINES:
            with Path(path).open("rb") as file:
                log = _read_lines(file, str(path), key)
        else:
            raise InvalidArgument(f"{str(path)!r} is not the name of a log", _READ_FORM)
    except OSError as error:
        raise LogError(f"cannot read {path}: {error.strerror or error}") from error
    if not len(log):
        raise LogError(f"{path} has no events", "a log needs at least one request")
    return log


def _read_lines(file: BinaryIO, name: str, key: KeySpec | None) -> EventLog:
    from rateproof.events import importers

    first = file.readline()
    lines = chain([first] if first else [], file)
    tool, key = importers.recognise(first, name), key or importers.DEFAULT_KEY
    if tool == importers.K6:
        return importers.read_k6(lines, name, key)
    if tool == importers.VEGETA_JSON:
        return importers.read_vegeta_json(lines, name, key)
    if tool == importers.VEGETA_CSV:
        return importers.read_vegeta_csv(lines, name, key)
    log = read_jsonl(lines, name)
    refuse_repeated(log, name)
    return log
