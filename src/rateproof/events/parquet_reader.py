"""Reading Parquet logs, ours and those of other tools, column by column."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from rateproof.errors import InvalidArgument, LogError
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
    absent,
    outcome_of,
)
from rateproof.events.metadata import add_metadata
from rateproof.events.outcomes import noted_statuses
from rateproof.events.parquet import METADATA_KEY, require_pyarrow, types_of
from rateproof.output import printable

__all__ = ["read_parquet"]

_OUTCOMES = (ADMITTED, REJECTED, UNKNOWN)


def _is_text(types: Any, given: Any) -> bool:
    return any(
        is_it(given) for is_it in (types.is_string, types.is_large_string, types.is_string_view)
    )


def _is_bytes(types: Any, given: Any) -> bool:
    return any(
        is_it(given) for is_it in (types.is_binary, types.is_large_binary, types.is_binary_view)
    )


_KINDS: Mapping[str, Callable[[Any, Any], bool]] = {
    INT: lambda types, given: types.is_integer(given),
    FLOAT: lambda types, given: types.is_floating(given) or types.is_integer(given),
    TEXT: _is_text,
    BINARY: lambda types, given: _is_text(types, given) or _is_bytes(types, given),
}
"""By kind: whether a column of a file can be made into it."""


def read_parquet(path: Path) -> EventLog:
    """Read a whole Parquet log.

    Columns that are not of a log are left aside. Times may be timestamps or
    durations, as other tools write them. A missing outcome follows from the status.

    Raises:
        InvalidArgument: pyarrow is not installed.
        LogError: not Parquet, cut off, damaged (pages of ours have checksums), without
            the needed columns, or with a value that a column cannot hold; the message
            gives its row, counted from 1.
    """
    with path.open("rb") as file:  # first: what is missing is the file, not a library
        if not file.read(1):
            return EventLog()
        return _read_open(require_pyarrow(), file, printable(str(path)))


def _read_open(pa: Any, raw: IO[bytes], name: str) -> EventLog:
    try:
        # A path would have to be UTF-8 to be opened by pyarrow.
        with pa.parquet.ParquetFile(raw, page_checksum_verification=True) as file:
            return _read(pa, file, name)
    except OSError as error:
        if error.errno is not None:
            raise
        raise LogError(f"{name} is damaged: {error}") from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise LogError(f"{name} is not a whole Parquet file: {error}") from error


def _read(pa: Any, file: Any, path: str) -> EventLog:
    schema = file.schema_arrow
    missing = [name for name in REQUIRED if name not in schema.names]
    if missing:
        raise LogError(
            f"{path}: {absent(missing)}",
            f"a log needs {', '.join(REQUIRED)}",
        )
    given = {
        name: _values(pa, file.read([name]).column(0).combine_chunks(), name, path)
        for name in COLUMNS
        if name in schema.names
    }
    metadata = _metadata_of(schema, path)
    rejected = noted_statuses(metadata)
    given["outcome"] = _outcomes(pa, given["status"], given.get("outcome"), path, rejected)
    columns: dict[str, Any] = {}
    for name in list(given):
        values = given.pop(name)
        if not _is_default(pa, values, name):  # such a column takes no memory
            columns[name] = _packed(pa, values, name)
    try:
        return EventLog.from_columns(columns, file.metadata.num_rows, metadata)
    except (InvalidArgument, LogError) as error:  # damage can leave columns of unequal length
        raise LogError(f"{path}: {error.message}", error.hint) from error


def _values(pa: Any, values: Any, name: str, path: str) -> Any:
    """A column as int64, float64, string or binary; nulls where the log may have None."""
    kind, types = COLUMNS[name], pa.types
    if types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if types.is_timestamp(values.type) or types.is_duration(values.type):
        unit = "timestamp" if types.is_timestamp(values.type) else "duration"
        values = values.cast(getattr(pa, unit)("ns"))
    elif not types.is_null(values.type) and not _KINDS[kind](types, values.type):
        _refuse(values.is_valid(), values, f"{name} is {{!r}}", f"{name} holds {kind}", path)
    try:
        values = values.cast(types_of(pa)[kind])
    except pa.ArrowInvalid as error:  # beyond 64 bits, or text that is not UTF-8
        raise LogError(f"{path}: {name}: {error}", f"{name} holds {kind}") from error
    if name in {"key", "sent_ns"}:
        _refuse(values.is_null(), values, f"{name} is null", "key and sent_ns never are", path)
    if kind == INT:
        too_low = pa.compute.equal(values, NULL)
        _refuse(too_low, values, f"{name} is {{!r}}", "above -2**63", path)
    default = DEFAULTS.get(name)
    return values if default is None else values.fill_null(default)


def _outcomes(
    pa: Any, status: Any, outcome: Any, path: str, rejected: frozenset[int] | None
) -> Any:
    """Outcomes as they are given, and by the status where they are not."""
    seen = status.unique()
    rejected = REJECTED_STATUSES if rejected is None else rejected
    words = [outcome_of(code, rejected) for code in seen.to_pylist()]
    by_status = pa.array(words, pa.string())
    follows = by_status.take(pa.compute.index_in(status, seen))
    if outcome is None:
        return follows
    known = pa.compute.is_in(outcome, value_set=pa.array(_OUTCOMES))
    strange = pa.compute.and_not(outcome.is_valid(), known)
    _refuse(strange, outcome, "outcome {!r}", f"one of {', '.join(_OUTCOMES)}", path)
    return pa.compute.coalesce(outcome, follows)


def _is_default(pa: Any, values: Any, name: str) -> bool:
    """True if every row has what a log has where nothing says otherwise."""
    default = DEFAULTS.get(name)
    if default is None:
        return name in DEFAULTS and bool(values.null_count == len(values))
    ends: dict[str, Any] = pa.compute.min_max(values).as_py()
    return ends == {"min": default, "max": default}


def _packed(pa: Any, values: Any, name: str) -> Any:
    """A column in the form that `EventLog.from_columns` takes."""
    if COLUMNS[name] == INT:
        return _buffer(values.fill_null(NULL), 8)
    if COLUMNS[name] == FLOAT:
        return _buffer(values.fill_null(math.nan), 8)
    coded = values.dictionary_encode()
    words = coded.dictionary.to_pylist()
    return _buffer(coded.indices.fill_null(len(words)).cast(pa.int32()), 4), [*words, None]


def _buffer(values: Any, size: int) -> memoryview:
    """The memory of numbers without nulls."""
    if not len(values):
        return memoryview(b"")
    start = values.offset * size
    return memoryview(values.buffers()[1])[start : start + len(values) * size]


def _refuse(wrong: Any, values: Any, problem: str, hint: str, path: str) -> None:
    """Raise for the first row that is wrong, if there is one."""
    row = wrong.index(True).as_py()
    if row >= 0:
        problem = problem.format(values[row].as_py())
        raise LogError(f"{path}, row {row + 1}: {problem}", hint)


def _metadata_of(schema: Any, path: str) -> dict[str, Any]:
    stored = (schema.metadata or {}).get(METADATA_KEY, b"{}")
    try:
        metadata = json.loads(stored)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise LogError(f"{path} has metadata that is no JSON object: {stored[:40]!r}")
    checked: dict[str, Any] = {}
    add_metadata(checked, metadata, f"{path}, metadata")
    return checked
