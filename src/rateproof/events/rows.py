"""Rows as files have them, one JSON object each, made into a table."""

import base64
import json
from array import array
from collections.abc import Collection, Mapping, Sequence
from math import nan
from typing import Any

from rateproof.errors import InvalidArgument, LogError, told_by
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
    Event,
    EventLog,
    absent,
    outcome_of,
)

ROW_FORM = f"each line is a JSON object with at least {', '.join(REQUIRED)}"

_HELD = {INT: "whole numbers", FLOAT: "numbers", TEXT: "text", BINARY: "bytes"}


def json_object(line: bytes, where: str, form: str) -> dict[str, Any]:
    """The object that a line holds.

    Raises:
        LogError: it holds none; `where` and `form` are its place and what it should be.
    """
    try:
        row = _decoded(line)
    except (ValueError, RecursionError) as error:
        begun = line.lstrip().startswith(b"{") and not line.endswith(b"\n")
        problem = "is cut off" if begun else "is not JSON"
        if begun:
            form = "without the last line: sed '$d' FILE | rateproof check -"
        if type(error) is ValueError:  # of its own, Python takes no more than 4,300
            problem = "has a number of too many digits"
        raise LogError(f"{where} {problem}", form) from error
    if not isinstance(row, dict):
        raise LogError(f"{where} is not a JSON object", form)
    return row


_DECODER: Any = json.JSONDecoder()


def _decoded(line: bytes) -> Any:
    """Decode a line as `json.loads` does, in half the time where it is as ours are."""
    try:
        text = line.decode()
        found, end = _DECODER.scan_once(text, 0)
    except (UnicodeDecodeError, StopIteration):
        return json.loads(line)
    return found if text[end:] in {"\n", ""} else json.loads(line)


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
        return _by_column(list(rows.values()), rejected)
    except (AttributeError, KeyError, TypeError, OverflowError, LogError, InvalidArgument):
        log = EventLog()
    for number, row in rows.items():  # slow, and able to say what is wrong with which
        with told_by(f"{name}, line {number}"):
            log.append(_event_of(row, rejected))
    return log


def _by_column(rows: Sequence[dict[str, Any]], rejected: Collection[int]) -> EventLog:
    """Fast, and content to fail on any row that is not plain."""
    lists = {name: [row[name] for row in rows] for name in REQUIRED}
    told = set[str]().union(*rows).intersection(COLUMNS).union({"outcome"}).difference(lists)
    lists |= {name: [row.get(name) for row in rows] for name in told}
    lists["key"] = [key.encode("utf-8", "surrogatepass") for key in lists["key"]]
    lists["outcome"] = [
        outcome_of(status, rejected) if outcome is None else outcome
        for outcome, status in zip(lists["outcome"], lists["status"], strict=True)
    ]
    if not {ADMITTED, REJECTED, UNKNOWN}.issuperset(lists["outcome"]):
        raise TypeError
    columns = {}
    for name, values in lists.items():
        default = DEFAULTS.get(name)
        whole = values if default is None else [default if v is None else v for v in values]
        columns[name] = _packed(COLUMNS[name], whole)
    if NULL in columns["sent_ns"]:
        raise TypeError
    return EventLog.from_columns(columns, len(rows))


def _packed(kind: str, values: list[Any]) -> Any:
    if kind == INT:
        missing = values.count(None)
        ints = array("q", [NULL if v is None else v for v in values] if missing else values)
        if bool in set(map(type, values)) or ints.count(NULL) != missing:
            raise TypeError
        return ints
    if kind == FLOAT:
        if not {int, float, type(None)}.issuperset(map(type, values)):
            raise TypeError
        if any(type(value) is int and abs(value) >= 2**63 for value in values):
            raise OverflowError
        return array("d", [nan if value is None else value for value in values])
    code_of = {word: code for code, word in enumerate(dict.fromkeys(values))}
    if not {str if kind == TEXT else bytes, type(None)}.issuperset(map(type, code_of)):
        raise TypeError
    return array("i", map(code_of.__getitem__, values)), list(code_of)


def _event_of(row: dict[str, Any], rejected: Collection[int]) -> Event:
    if "key_base64" in row and "key" not in row:
        try:
            row["key"] = base64.b64decode(row.pop("key_base64"), validate=True)
        except (ValueError, TypeError) as error:
            raise LogError("key_base64 is not base64") from error
    elif isinstance(row.get("key"), str):
        row["key"] = row["key"].encode("utf-8", "surrogatepass")
    missing = [name for name in REQUIRED if name not in row]
    if missing:
        raise LogError(absent(missing), ROW_FORM)
    values = {name: _checked(name, row[name]) for name in COLUMNS if row.get(name) is not None}
    for name in ("received_ns", "status"):
        values.setdefault(name, None)
    values.setdefault("outcome", outcome_of(values["status"], rejected))
    if "key" not in values or "sent_ns" not in values:
        raise LogError("key and sent_ns cannot be null", ROW_FORM)
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
        fits = fits and (isinstance(value, float) or abs(value) < 2**63)
    else:
        fits = isinstance(value, str if kind == TEXT else bytes)
    if not fits:
        held = "whole nanoseconds" if name.endswith("_ns") else _HELD[kind]
        raise LogError(f"{name} is {value!r}", f"{name} holds {held}")
    return value
