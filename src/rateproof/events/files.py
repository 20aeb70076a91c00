"""Event logs on disk: the format follows from the file's name."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rateproof.errors import CannotWrite, InvalidArgument, LogError
from rateproof.events.jsonl import JsonlWriter, read_jsonl
from rateproof.events.log import EventLog
from rateproof.events.parquet import ParquetWriter, read_parquet
from rateproof.events.writer import LogWriter

__all__ = ["open_log_writer", "read_log"]

_FORM = "a log is named *.parquet or *.jsonl, or - for JSON lines"


def open_log_writer(path: str | Path, metadata: Mapping[str, Any]) -> LogWriter:
    """Start a log; `-` is JSON lines on standard output.

    Raises:
        InvalidArgument: a name that is neither Parquet nor JSON lines, or
            Parquet without pyarrow.
        CannotWrite: the file cannot be created.
    """
    try:
        if str(path) == "-":
            return JsonlWriter(sys.stdout, metadata)
        if Path(path).suffix == ".jsonl":
            return JsonlWriter(Path(path).open("w", encoding="utf-8"), metadata)
        if Path(path).suffix == ".parquet":
            return ParquetWriter(Path(path), metadata)
    except OSError as error:
        raise CannotWrite(f"cannot write the log {path}: {error.strerror}") from error
    raise InvalidArgument(f"{str(path)!r} is not the name of a log", _FORM)


def read_log(path: str | Path) -> EventLog:
    """Read a whole log; `-` is JSON lines on standard input.

    Raises:
        InvalidArgument: a name that is neither Parquet nor JSON lines.
        LogError: the file is missing, empty, truncated or not an event log.
    """
    try:
        if str(path) == "-":
            log = read_jsonl(sys.stdin.buffer, "standard input")
        elif Path(path).suffix == ".jsonl":
            with Path(path).open("rb") as file:
                log = read_jsonl(file, str(path))
        elif Path(path).suffix == ".parquet":
            log = read_parquet(Path(path))
        else:
            raise InvalidArgument(f"{str(path)!r} is not the name of a log", _FORM)
    except OSError as error:
        raise LogError(f"cannot read {path}: {error.strerror or error}") from error
    if not len(log):
        raise LogError(f"{path} has no events", "a log needs at least one request")
    return log
