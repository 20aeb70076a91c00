"""JSON lines: a line of metadata, then one object for each event.

Keys are bytes and JSON has none: a key that is UTF-8 is written as `key`, any
other as `key_base64`. Outside the required columns, nulls are left out.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, TextIO

from rateproof.errors import CannotWrite, LogError
from rateproof.events.log import (
    ADMITTED,
    COLUMNS,
    FLOAT,
    INT,
    REJECTED,
    REQUIRED,
    TEXT,
    UNKNOWN,
    Event,
    EventLog,
    outcome_of,
)
from rateproof.events.writer import LogWriter

__all__ = ["JsonlWriter", "read_jsonl"]

_HEADER = "rateproof_log"
_VERSION = 1
_FORM = f"each line is a JSON object with at least {', '.join(REQUIRED)}"


class JsonlWriter(LogWriter):
    """Writes events to a text stream, a line each, flushed when closed."""

    def __init__(self, stream: TextIO, metadata: Mapping[str, Any]) -> None:
        self._stream = stream
        self._name = getattr(stream, "name", "standard output")
        self._put({_HEADER: _VERSION, **metadata})

    def write(self, event: Event) -> None:
        """Append one event, as a line."""
        row: dict[str, Any] = {}
        for name in COLUMNS:
            value = getattr(event, name)
            if name == "key":
                row |= _key_to_json(value)
            elif value is not None or name in REQUIRED:
                row[name] = value
        self._put(row)

    def close(self) -> None:
        """Flush, and close the stream unless it is a standard one.

        Raises:
            CannotWrite: what was still in memory did not get onto the disk.
        """
        try:
            self._stream.flush()
        except OSError as error:
            raise CannotWrite(f"cannot write the log {self._name}: {error.strerror}") from error
        finally:
            if self._stream.fileno() > 2:
                with suppress(OSError):  # tries to flush again
                    self._stream.close()

    def _put(self, row: dict[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(row, separators=(",", ":")) + "\n")
        except OSError as error:
            raise CannotWrite(f"cannot write the log {self._name}: {error.strerror}") from error


def _key_to_json(key: bytes) -> dict[str, str]:
    try:
        return {"key": key.decode("utf-8")}
    except UnicodeDecodeError:
        return {"key_base64": base64.b64encode(key).decode("ascii")}


def read_jsonl(lines: Iterable[bytes], name: str) -> EventLog:
    """Read events from lines of bytes; `name` is used in messages.

    Raises:
        LogError: a line that is no JSON object, lacks a column, has a value
            of a wrong type, or is cut off; the message gives its number.
    """
    log = EventLog()
    number = 0
    for number, line in enumerate(lines, 1):
        where = f"{name}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            cut = not line.endswith(b"\n")
            problem = "is cut off" if cut else "is not JSON"
            raise LogError(f"{where} {problem}", _FORM) from error
        if not isinstance(row, dict):
            raise LogError(f"{where} is not a JSON object", _FORM)
        if number == 1 and _HEADER in row:
            if row.pop(_HEADER) != _VERSION:
                raise LogError(f"{where}: unknown version of the format", f"version {_VERSION}")
            log.metadata.update(row)
            continue
        try:
            log.append(event_of(row))
        except LogError as error:
            raise LogError(f"{where}: {error.message}", error.hint) from error
    return log


def event_of(row: dict[str, Any]) -> Event:
    """An event from a row of a file, checked.

    Raises:
        LogError: a missing column or a value of a wrong type.
    """
    if "key_base64" in row and "key" not in row:
        try:
            row["key"] = base64.b64decode(row.pop("key_base64"), validate=True)
        except (ValueError, TypeError) as error:
            raise LogError("key_base64 is not base64") from error
    elif isinstance(row.get("key"), str):
        row["key"] = row["key"].encode("utf-8", "surrogatepass")
    missing = [name for name in REQUIRED if name not in row]
    if missing:
        raise LogError(f"column {', '.join(missing)} is missing", _FORM)
    values = {name: _checked(name, row[name]) for name in COLUMNS if row.get(name) is not None}
    for name in ("received_ns", "status"):
        values.setdefault(name, None)
    values.setdefault("outcome", outcome_of(values["status"]))
    if "key" not in values or "sent_ns" not in values:
        raise LogError("key and sent_ns cannot be null", _FORM)
    if values["outcome"] not in {ADMITTED, REJECTED, UNKNOWN}:
        raise LogError(
            f"outcome {values['outcome']!r}", f"one of {ADMITTED}, {REJECTED}, {UNKNOWN}"
        )
    return Event(**values)


def _checked(name: str, value: Any) -> Any:
    kind = COLUMNS[name]
    if kind == INT:
        fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    elif kind == FLOAT:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, str if kind == TEXT else bytes)
    if not fits:
        raise LogError(f"{name} is {value!r}", f"{name} holds {kind}")
    return value
