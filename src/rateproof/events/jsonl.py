"""JSON lines: a line of metadata, then one object for each event.

Metadata that became known only during the run follows in a line like the first, and so
does `"complete": true` after the last event.

Keys are bytes and JSON has none: a key that is UTF-8 is written as `key`, any
other as `key_base64`. Outside the required columns, nulls are left out.
"""

import base64
import json
import os
import select
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice, repeat
from math import isnan
from typing import IO, Any

from rateproof.errors import LogError, written
from rateproof.events.columns import NULL
from rateproof.events.log import (
    COLUMNS,
    INT,
    REQUIRED,
    TEXT,
    EventLog,
)
from rateproof.events.metadata import add_metadata
from rateproof.events.outcomes import noted_statuses
from rateproof.events.rows import ROW_FORM, json_object, table_of
from rateproof.events.writer import LogWriter

_HEADER = "rateproof_log"
_VERSION = 1
_LINES_A_WRITE = 4_096
_LINES_A_TABLE = 4_096


class JsonlWriter(LogWriter):
    """Writes events to an unbuffered stream of bytes, a line each.

    Where the disk is full, what is left of the file ends with a whole line.

    Args:
        stream: what to write to; closed with this, unless it is a standard one.
        name: of the stream, for messages.
        metadata: of the log.
    """

    def __init__(self, stream: IO[bytes], name: str, metadata: Mapping[str, Any]) -> None:
        super().__init__(metadata)
        self._stream = stream
        self._name = name
        self._put_metadata({**metadata, "complete": False})

    def write(self, events: EventLog) -> None:
        """Append a batch, a line each."""
        lines = map("".join, zip(*_fragments(events), strict=False))
        while some := "".join(islice(lines, _LINES_A_WRITE)):
            self._put(some)

    def note(self, metadata: Mapping[str, Any]) -> None:
        """Add to the metadata, in a line of its own."""
        self._due = self._due and "complete" not in metadata
        self._put_metadata(metadata)

    def _put_metadata(self, metadata: Mapping[str, Any]) -> None:
        self._put(json.dumps({_HEADER: _VERSION, **metadata}, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Close the stream unless it is a standard one.

        Raises:
            CannotWrite: the file system says only now that it could not write.
        """
        with written(f"the log {self._name}"):
            if self._stream.fileno() > 2:
                self._stream.close()

    def _put(self, lines: str) -> None:
        data = lines.encode("ascii")
        done = 0
        with written(f"the log {self._name}"):
            try:
                while done < len(data):
                    count = self._stream.write(memoryview(data)[done:])
                    if count is None:  # it does not block, and its reader is behind
                        select.select([], [self._stream], [])
                    done += count or 0
            except OSError:
                whole = data.rfind(b"\n", 0, done) + 1
                with suppress(OSError):  # of a pipe nothing can be taken back
                    self._stream.seek(whole - done, os.SEEK_CUR)
                    self._stream.truncate()
                raise


def _fragments(events: EventLog) -> Iterator[Iterable[str]]:
    """Of each column what it adds to each line, then the end of the line."""
    yield _worded(events, "key", "{{{}")
    for name, kind in COLUMNS.items():
        if name != "key":
            yield _worded(events, name, ",{}") if kind == TEXT else _numbered(events, name)
    yield repeat("}\n", len(events))


def _numbered(events: EventLog, name: str) -> Iterable[str]:
    before = f',"{name}":'
    null = before + "null" if name in REQUIRED else ""
    if events.same(name) is not None:
        value = getattr(events[0], name)
        return repeat(null if value is None else before + json.dumps(value))
    if COLUMNS[name] == INT:
        return (null if v == NULL else f"{before}{v}" for v in events.ints(name))
    return (null if isnan(v) else before + json.dumps(v) for v in events.floats(name))


def _worded(events: EventLog, name: str, form: str) -> Iterable[str]:
    codes, words = events.codes(name)
    fragment_of = {code: _field(name, words[code], form) for code in set(codes)}
    return map(fragment_of.__getitem__, codes)


def _field(name: str, word: Any, form: str) -> str:
    if word is None:
        return ""
    fields = _key_to_json(word) if name == "key" else {name: word}
    return form.format(json.dumps(fields)[1:-1].replace('": ', '":', 1))


def _key_to_json(key: bytes) -> dict[str, str]:
    try:
        return {"key": key.decode("utf-8")}
    except UnicodeDecodeError:
        return {"key_base64": base64.b64encode(key).decode("ascii")}


def batches(lines: Iterable[bytes], name: str) -> Iterator[tuple[dict[str, Any], EventLog]]:
    """The events of a log some thousands at a time, each with the metadata so far; at the end perhaps none.

    Raises:
        LogError: a line that is no JSON object, lacks a column, has a value of a wrong
            type, or is cut off, or metadata of a wrong type, of another run or too late;
            the message gives its number.
    """
    metadata: dict[str, Any] = {}
    rows: dict[int, dict[str, Any]] = {}
    read = 0
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        row = json_object(line, f"{name}, line {number}", ROW_FORM)
        if _HEADER in row:
            if row.pop(_HEADER) != _VERSION:
                problem = f"{name}, line {number}: unknown version of the format"
                raise LogError(problem, f"version {_VERSION}")
            before = noted_statuses(metadata)
            add_metadata(metadata, row, f"{name}, line {number}")
            if read and noted_statuses(metadata) != before:
                problem = f"{name}, line {number}: rejected_statuses of the scenario come too late"
                raise LogError(problem, "they stand before the first event")
            continue
        rows[number] = row
        if len(rows) >= _LINES_A_TABLE:
            read += len(rows)
            yield metadata, table_of(rows, name, noted_statuses(metadata))
            rows.clear()
    yield metadata, table_of(rows, name, noted_statuses(metadata))
