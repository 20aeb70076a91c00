"""Rows as files have them, one JSON object each, made into a table."""

import base64
import json
from array import array
from collections.abc import Collection, Mapping, Sequence
from math import nan
from typing import Any

from rateproof.errors import LogError
from rateproof.events.columns import NULL
from rateproof.events.log import (
    ADMITTED,
    BINARY,
    COLUMNS,
    DEFAULTS,
    FLOAT,
    INT,
    REJECTED,
    REJECTED_STATUSES,
    REQUIRED,
    TEXT,
    UNKNOWN,
    EventLog,
    outcome_of,
)

__all__ = ["ROW_FORM", "json_object", "table_of"]

_NEEDED = set(REQUIRED) - {"key"}
_TYPES: dict[str, set[type]] = {
    INT: {int, type(None)},
    FLOAT: {int, float, type(None)},
    TEXT: {str, type(None)},
    BINARY: {bytes, type(None)},
}

ROW_FORM = f"each line is a JSON object with at least {', '.join(REQUIRED)}"


def json_object(line: bytes, where: str, form: str) -> dict[str, Any]:
    """The object that a line holds.

    Raises:
        LogError: it holds none; `where` and `form` are its place and what it should be.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        begun = line.lstrip().startswith(b"{") and not line.endswith(b"\n")
        problem = "is cut off" if begun else "is not JSON"
        if type(error) is ValueError:  # of its own, Python takes no more than 4,300
            problem = "has a number of too many digits"
        raise LogError(f"{where} {problem}", form) from error
    if not isinstance(row, dict):
        raise LogError(f"{where} is not a JSON object", form)
    return row


def table_of(
    rows: Mapping[int, dict[str, Any]],
    name: str,
    rejected: Collection[int] | None = None,
) -> EventLog:
    """The events of rows of a file, by the number of their line.

    Args:
        rows: by the number of their line.
        name: of the file, for messages.
        rejected: the statuses by which the limiter says no, for rows without an
            outcome; None: see `outcome_of`.

    Raises:
        LogError: a row that is no event, named by the file's `name` and its line.
    """
    rejected = REJECTED_STATUSES if rejected is None else rejected
    try:
        return _table(list(rows.values()), rejected)
    except LogError:
        log = EventLog()
    for number, row in rows.items():  # slow, and able to say which of them it is
        try:
            log.extend(_table([row], rejected))
        except LogError as error:
            raise LogError(f"{name}, line {number}: {error.message}", error.hint) from error
    return log


def _table(rows: Sequence[dict[str, Any]], rejected: Collection[int]) -> EventLog:
    lists = {name: [row.get(name) for row in rows] for name in COLUMNS}
    lists["key"] = list(map(_key_of, rows))
    for name in ("key", "sent_ns"):
        if None in lists[name]:
            raise LogError("key and sent_ns cannot be null", ROW_FORM)
    columns = {name: _packed(name, lists[name]) for name in COLUMNS if name != "outcome"}
    lists["outcome"] = [
        outcome_of(status, rejected) if outcome is None else outcome
        for outcome, status in zip(lists["outcome"], lists["status"], strict=True)
    ]
    columns["outcome"] = _packed("outcome", lists["outcome"])
    if strange := set(lists["outcome"]) - {ADMITTED, REJECTED, UNKNOWN}:
        raise LogError(f"outcome {strange.pop()!r}", f"one of {ADMITTED}, {REJECTED}, {UNKNOWN}")
    return EventLog.from_columns(columns, len(rows))


def _key_of(row: dict[str, Any]) -> Any:
    """The key of a row; a row that lacks a column is refused."""
    if not row.keys() >= _NEEDED or ("key" not in row and "key_base64" not in row):
        missing = [name for name in REQUIRED if name not in row]
        raise LogError(f"column {', '.join(missing)} is missing", ROW_FORM)
    if "key" not in row:
        try:
            return base64.b64decode(row["key_base64"], validate=True)
        except (ValueError, TypeError) as error:
            raise LogError("key_base64 is not base64") from error
    key = row["key"]
    return key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key


def _packed(name: str, values: list[Any]) -> Any:
    """A column as `EventLog.from_columns` takes it."""
    kind, default = COLUMNS[name], DEFAULTS.get(name)
    fits = _TYPES[kind]
    if not fits.issuperset(map(type, values)):
        raise _misfit(name, next(value for value in values if type(value) not in fits))
    if kind in {INT, FLOAT}:
        numbers = [value for value in values if type(value) is int]
        if numbers and not NULL < min(numbers) <= max(numbers) < -NULL:
            raise _misfit(name, max(numbers, key=abs))
    if default is not None:
        values = [default if value is None else value for value in values]
    if kind == INT:
        return array("q", [NULL if value is None else value for value in values])
    if kind == FLOAT:
        return array("d", [nan if value is None else value for value in values])
    code_of = {word: code for code, word in enumerate(dict.fromkeys(values))}
    return array("i", map(code_of.__getitem__, values)), list(code_of)


def _misfit(name: str, value: Any) -> LogError:
    return LogError(f"{name} is {value!r}", f"{name} holds {COLUMNS[name]}")
