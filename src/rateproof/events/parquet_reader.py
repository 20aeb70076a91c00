"""Reading Parquet logs, ours and those of other tools, column by column."""

import json
import math
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rateproof import linux
from rateproof.errors import InvalidArgument, LogError
from rateproof.events.columns import NULL
from rateproof.events.judged import JUDGED, LONG
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

_ROWS_AT_ONCE = 262_144
_BYTES_OF_LENGTH = 4
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


def read_parquet(*paths: Path, to_judge: bool = False) -> EventLog:
    """Read a whole Parquet log, of one file or several.

    To be judged, of a long log only what it is judged by is read; the rest has its default.

    Columns that are not of a log are left aside. Times may be timestamps or
    durations, as other tools write them. A missing outcome follows from the status.

    Raises:
        InvalidArgument: pyarrow is not installed.
        LogError: not Parquet, cut off, damaged (pages of ours have checksums), without
            the needed columns, or with a value that a column cannot hold; the message
            gives its row, counted from 1.
    """
    with opened(*paths, to_judge=to_judge) as file:
        return EventLog() if file is None else file.read()


@contextmanager
def opened(*paths: Path, to_judge: bool = False) -> "Iterator[ParquetLog | None]":
    """A Parquet log to read from, see `read_parquet`; None for an empty file.

    Several files are one log: the rows of the first, then those of the next.

    Raises:
        LogError: files with other columns, or of another run: another clock, scenario or policy.
    """
    with ExitStack() as stack:
        files = list[_File]()
        for path in paths:
            # First: what is missing is the file, not a library.
            raw = stack.enter_context(path.open("rb"))
            if not raw.read(1) and len(paths) == 1:
                yield None
                return
            name = printable(str(path))
            if any(file.name == name for file in files):
                raise LogError(f"{name} is there a second time", "each file of a log once")
            files.append(_File(raw, name))
        pa, name = require_pyarrow(), files[0].name
        try:
            for file in files:
                name = file.name
                file.parse(pa)
                stack.enter_context(file.parsed)
            name = name if len(files) == 1 else f"{files[0].name} to {name}"
            yield ParquetLog(pa, files, name, to_judge=to_judge)
        except OSError as error:
            if error.errno is not None:
                raise
            raise LogError(f"{name} is damaged: {error}") from error
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise LogError(f"{name} is not a whole Parquet file: {error}") from error


@dataclass(slots=True)
class _File:
    """A file of a log.

    Args:
        raw: open.
        name: of the file, for messages.
    """

    raw: Any
    name: str
    parsed: Any = None

    def parse(self, pa: Any) -> None:
        """Read its footer: a path would have to be UTF-8 to be opened by pyarrow."""
        footer = pa.parquet.read_metadata(self.raw)
        schema = footer.schema.to_arrow_schema()
        words = [
            field.name
            for field in schema
            if COLUMNS.get(field.name) in {TEXT, BINARY} and _KINDS[BINARY](pa.types, field.type)
        ]
        _check(pa, self.raw, footer, {*words, "key", "received_ns"}.intersection(schema.names))
        repeat = [name for name in words if _repeats([footer], name)]
        self.parsed = pa.parquet.ParquetFile(
            self.raw, metadata=footer, page_checksum_verification=True, read_dictionary=repeat
        )

    @property
    def columns(self) -> set[str]:
        """Names of its columns that are of a log."""
        return set(COLUMNS).intersection(self.parsed.schema_arrow.names)


class ParquetLog:
    """A log in Parquet files that are open.

    Raises:
        LogError: it has not the columns of a log, or its files are of several logs.
    """

    def __init__(self, pa: Any, files: Sequence[_File], name: str, *, to_judge: bool) -> None:
        self._pa, self._files, self._name = pa, [file.parsed for file in files], name
        self._wanted = files[0].columns
        missing = [column for column in REQUIRED if column not in self._wanted]
        if missing:
            raise LogError(f"{name}: {absent(missing)}", f"a log needs {', '.join(REQUIRED)}")
        self.metadata: dict[str, Any] = {}
        for file in files:
            _add(self.metadata, file, first=file is files[0])
            if different := file.columns ^ self._wanted:
                problem = f"{file.name} and {files[0].name}: only one has {min(different)}"
                raise LogError(problem, "files of one log have the same columns")
        footers = [file.metadata for file in self._files]
        self.rows = sum(footer.num_rows for footer in footers)
        self.groups = [
            of.row_group(at).num_rows for of in footers for at in range(of.num_row_groups)
        ]
        """The rows of each row group."""
        self._few_keys = _repeats(footers, "key")
        if to_judge and self.rows > LONG:
            self._wanted &= JUDGED
        if to_judge and not any(_lacks(footer, "received_ns") for footer in footers):
            self._wanted.discard("done_ns")  # asked for where no answer came

    def read(self, groups: range | None = None, *, keys: bool = True) -> EventLog:
        """The rows of these row groups, or of all; without `keys` all have one key, of no bytes.

        Raises:
            LogError: damage, or a value that a column cannot hold.
        """
        groups = range(len(self.groups)) if groups is None else groups
        rows, pa, path = sum(self.groups[at] for at in groups), self._pa, self._name
        if not rows:
            return EventLog(self.metadata)
        repeating = [
            name for name in COLUMNS if name in self._wanted and COLUMNS[name] in {TEXT, BINARY}
        ]
        columns = self._numbers(self._wanted.difference(repeating), groups, rows)
        outcome = None
        for name in repeating:
            if name == "key" and not keys:
                columns[name] = memoryview(bytes(4 * rows)), [b""]
                continue
            values = self.column(name, groups)
            if name == "outcome":
                outcome = values
            elif not _is_default(pa, values, name):
                columns[name] = _coded(pa, values, name)
        rejected = noted_statuses(self.metadata)
        columns["outcome"] = _outcomes(pa, columns["status"], outcome, path, rejected)
        try:
            return EventLog.from_columns(columns, rows, self.metadata)
        except (InvalidArgument, LogError) as error:  # damage can leave columns of unequal length
            raise LogError(f"{path}: {error.message}", error.hint) from error

    def within(self, first_ns: float, last_ns: float) -> range:
        """The row groups, one after the other, that have all requests sent in this time, if not only those."""
        found = [
            at
            for at, sent in enumerate(self._statistics("sent_ns"))
            if sent is None
            or not sent.has_min_max
            or (first_ns <= sent.max and sent.min <= last_ns)
        ]
        return range(found[0], found[-1] + 1) if found else range(0)

    def _statistics(self, name: str) -> Iterator[Any]:
        """The metadata that the footers have of a column, by row group."""
        for footer in (file.metadata for file in self._files):
            at = footer.schema.names.index(name)
            for group in range(footer.num_row_groups):
                yield footer.row_group(group).column(at).statistics

    def keys(self, groups: range) -> Any:
        """The keys of the rows of these row groups: bytes, or a dictionary of those that repeat.

        Raises:
            LogError: as of `read`.
        """
        pa, values = self._pa, self.column("key", groups)
        if not self._few_keys:
            return pa.concat_arrays(values.cast(pa.binary()).chunks)
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        whole = pa.concat_arrays(values.unify_dictionaries().chunks)
        codes, words = whole.indices.cast(pa.int32()), whole.dictionary.cast(pa.binary())
        return pa.DictionaryArray.from_arrays(codes, words)

    def column(self, name: str, groups: range) -> Any:
        """A column of these row groups as Arrow has it, in chunks.

        Raises:
            LogError: as of `read`.
        """
        several = [
            _values(self._pa, file.read_row_groups(own, [name]).column(0), name, self._name)
            for file, own in self._own(groups)
        ]
        if len({values.type for values in several}) > 1:
            plain = types_of(self._pa)[COLUMNS[name]]
            several = [values.cast(plain) for values in several]
        if len(several) == 1:
            return several[0]
        return self._pa.chunked_array([chunk for values in several for chunk in values.chunks])

    def _own(self, groups: range) -> Iterator[tuple[Any, list[int]]]:
        """Each file that has some of these row groups, and their numbers there."""
        first = 0
        for file in self._files:
            until = first + file.metadata.num_row_groups
            if own := [group - first for group in groups if first <= group < until]:
                yield file, own
            first = until

    def _numbers(self, names: Collection[str], groups: range, rows: int) -> dict[str, Any]:
        """The columns of numbers, in the form that `EventLog.from_columns` takes.

        Column by column they would be there twice for a while, and new memory costs more time
        than all else. One that has its default in every row takes none.
        """
        at, before, filled = 0, sum(self.groups[: groups.start]), dict[str, Any]()
        asked = [name for name in COLUMNS if name in names]
        for batch in chain.from_iterable(
            file.iter_batches(_ROWS_AT_ONCE, own, asked) for file, own in self._own(groups)
        ):
            until = at + len(batch)
            for name, given in zip(batch.schema.names, batch.columns, strict=True):
                values = _values(self._pa, given, name, self._name, first=before + at)
                if name not in filled and _is_default(self._pa, values, name):
                    continue
                if name not in filled:
                    filled[name] = _room(name, rows, at)
                filled[name][at:until] = _stored(values, name)
            at = until
        if at != rows:
            raise LogError(f"{self._name} is damaged: it has {at:,} of {rows:,} rows")
        return {name: column.toreadonly() for name, column in filled.items()}


def _check(pa: Any, raw: Any, footer: Any, names: Collection[str]) -> None:
    """Have the library read a row of these columns in each row group, which finds damage in the footer.

    Asked for what the footer says of a damaged column it ends the process.
    """
    file = pa.parquet.ParquetFile(raw, metadata=footer, page_checksum_verification=True)
    for group in range(footer.num_row_groups):
        next(file.iter_batches(1, [group], [*names]), None)


def _repeats(footers: Sequence[Any], name: str) -> bool:
    """Tell whether a column of words is stored as few of them, and the numbers of these."""
    columns = [
        footer.row_group(group).column(footer.schema.names.index(name))
        for footer in footers
        for group in range(footer.num_row_groups)
    ]
    # A word that is stored itself has its length before it.
    least = _BYTES_OF_LENGTH * sum(column.num_values for column in columns)
    return bool(sum(column.total_uncompressed_size for column in columns) < least)


def _lacks(footer: Any, name: str) -> bool:
    """True unless the footer says that every row has a value in this column."""
    at = footer.schema.names.index(name)
    for group in range(footer.num_row_groups):
        known = footer.row_group(group).column(at).statistics
        if known is None or not known.has_null_count or known.null_count:
            return True
    return False


def _room(name: str, rows: int, defaults: int) -> Any:
    """Room for a column, which begins with so many rows of its default."""
    code: Any
    code, null = ("q", NULL) if COLUMNS[name] == INT else ("d", math.nan)
    room = linux.room(8 * rows).cast(code)
    if defaults:
        default = DEFAULTS[name]
        room[:defaults] = memoryview(array(code, [null if default is None else default]) * defaults)
    return room


def _stored(values: Any, name: str) -> Any:
    """Numbers as a log stores them."""
    if values.null_count:
        values = values.fill_null(NULL if COLUMNS[name] == INT else math.nan)
    return _buffer(values, "q" if COLUMNS[name] == INT else "d")


def _values(pa: Any, values: Any, name: str, path: str, *, first: int = 0) -> Any:
    """A column as int64, float64, string or binary; nulls where the log may have None.

    Words that repeat may stay a dictionary of them; `first` is the number of row 0.
    """
    kind, types = COLUMNS[name], pa.types
    repeats = types.is_dictionary(values.type)
    if repeats and any(chunk.dictionary.null_count for chunk in values.chunks):
        values, repeats = values.cast(values.type.value_type), False
    given = values.type.value_type if repeats else values.type
    if types.is_timestamp(given) or types.is_duration(given):
        unit = "timestamp" if types.is_timestamp(given) else "duration"
        values = values.cast(getattr(pa, unit)("ns"))
    elif not types.is_null(given) and not _KINDS[kind](types, given):
        _refuse(
            values.is_valid(),
            values,
            f"{name} is {{!r}}",
            f"{name} holds {kind}",
            path,
            first=first,
        )
    try:
        if not repeats or types.is_null(given) or kind in {INT, FLOAT}:
            values = values.cast(types_of(pa)[kind])
    except pa.ArrowInvalid as error:  # beyond 64 bits, or text that is not UTF-8
        raise LogError(f"{path}: {name}: {error}", f"{name} holds {kind}") from error
    if name in {"key", "sent_ns"} and values.null_count:
        hint = "key and sent_ns never are"
        _refuse(values.is_null(), values, f"{name} is null", hint, path, first=first)
    if kind == INT and pa.compute.min(values).as_py() == NULL:
        too_low = pa.compute.equal(values, NULL)
        _refuse(too_low, values, f"{name} is {{!r}}", "above -2**63", path, first=first)
    default = DEFAULTS.get(name)
    return values if default is None or not values.null_count else values.fill_null(default)


def _outcomes(
    pa: Any, status: memoryview, outcome: Any, path: str, rejected: frozenset[int] | None
) -> Any:
    """Outcomes as they are given, and by the status where they are not, as `_coded`."""
    if outcome is not None:
        words = {word for chunk in outcome.chunks for word in chunk.unique().to_pylist()}
        if not words <= {*_OUTCOMES, None}:
            known = pa.compute.is_in(outcome.cast(pa.string()), value_set=pa.array(_OUTCOMES))
            strange = pa.compute.and_not(outcome.is_valid(), known)
            _refuse(strange, outcome, "outcome {!r}", f"one of {', '.join(_OUTCOMES)}", path)
        if not outcome.null_count:
            return _coded(pa, outcome, "outcome")
    statuses = pa.Array.from_buffers(pa.int64(), len(status), [None, pa.py_buffer(status)])
    seen = statuses.unique()
    rejected = REJECTED_STATUSES if rejected is None else rejected
    known = [outcome_of(None if one == NULL else one, rejected) for one in seen.to_pylist()]
    told = pa.array(known, pa.string()).take(pa.compute.index_in(statuses, seen))
    if outcome is not None:
        told = pa.compute.coalesce(outcome.cast(pa.string()), told)
    return _coded(pa, told, "outcome")


def _is_default(pa: Any, values: Any, name: str) -> bool:
    """True if every row has what a log has where nothing says otherwise: it takes no memory."""
    default = DEFAULTS.get(name)
    if default is None:
        return name in DEFAULTS and bool(values.null_count == len(values))
    ends: dict[str, Any] = pa.compute.min_max(values).as_py()
    return ends == {"min": default, "max": default}


def _coded(pa: Any, values: Any, name: str) -> Any:
    """A column of words in the form that `EventLog.from_columns` takes."""
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    if isinstance(values, pa.ChunkedArray):
        pieces = values.unify_dictionaries().chunks
        values = pa.concat_arrays(pieces) if pieces else pa.array([], values.type)
    words = values.dictionary.cast(types_of(pa)[COLUMNS[name]]).to_pylist()
    codes = values.indices.cast(pa.int32())
    if codes.null_count:
        codes = codes.fill_null(len(words))
    return _buffer(codes, "i"), [*words, None]


def _buffer(values: Any, type_: Any) -> Any:
    """The memory of numbers without nulls."""
    nothing: Any = memoryview(b"").cast(type_)
    if not len(values):
        return nothing
    size, memory = nothing.itemsize, memoryview(values.buffers()[1]).toreadonly().cast("B")
    numbers = memory[values.offset * size : (values.offset + len(values)) * size]
    return numbers.cast(type_)


def _refuse(wrong: Any, values: Any, problem: str, hint: str, path: str, *, first: int = 0) -> None:
    """Raise for the first row that is wrong, if there is one; `first` is the number of row 0."""
    row = wrong.index(True).as_py()
    if row >= 0:
        problem = problem.format(values[row].as_py())
        raise LogError(f"{path}, row {first + row + 1}: {problem}", hint)


_OF_A_FILE = ("complete", "valid")
"""Metadata that files of one run may differ in: false where it is of any."""


def _add(known: dict[str, Any], file: _File, *, first: bool) -> None:
    """Add what a file says of the log to what the files before it say.

    Raises:
        LogError: something else, or no JSON object.
    """
    stored = (file.parsed.schema_arrow.metadata or {}).get(METADATA_KEY, b"{}")
    try:
        metadata = json.loads(stored)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise LogError(f"{file.name} has metadata that is no JSON object: {stored[:40]!r}")
    checked: dict[str, Any] = {}
    add_metadata(checked, metadata, f"{file.name}, metadata")
    for name in () if first else [*known, *checked]:
        if name not in _OF_A_FILE and known.get(name) != checked.get(name):
            problem = f"{file.name}, metadata: another {name} than in the files before"
            raise LogError(problem, "several files are one log where they are of one run")
    known |= checked if first else {n: False for n in _OF_A_FILE if checked.get(n) is False}
