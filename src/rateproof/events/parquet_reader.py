"""Reading Parquet logs, ours and those of other tools, column by column."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rateproof.errors import InvalidArgument, LogError
from rateproof.events.arrow import (
    coded,
    fits,
    is_default,
    outcomes_of,
    room_for,
    stored,
    types_of,
    values_of,
)
from rateproof.events.judged import JUDGED, LONG
from rateproof.events.log import (
    BINARY,
    COLUMNS,
    REQUIRED,
    TEXT,
    EventLog,
    absent,
)
from rateproof.events.metadata import add_metadata
from rateproof.events.outcomes import noted_statuses
from rateproof.events.parquet import METADATA_KEY, require_pyarrow
from rateproof.output import printable

_ROWS_AT_ONCE = 262_144
_BYTES_OF_LENGTH = 4


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
            if COLUMNS.get(field.name) in {TEXT, BINARY} and fits(pa, field.type, BINARY)
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
        answered = (
            of is not None and of.has_null_count and not of.null_count
            for of in self._statistics("received_ns")
        )
        if to_judge and all(answered):
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
            elif not is_default(pa, values, name):
                columns[name] = coded(pa, values, name)
        rejected = noted_statuses(self.metadata)
        columns["outcome"] = outcomes_of(pa, columns["status"], outcome, path, rejected)
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
            values_of(self._pa, file.read_row_groups(own, [name]).column(0), name, self._name)
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
                values = values_of(self._pa, given, name, self._name, first=before + at)
                if name not in filled and is_default(self._pa, values, name):
                    continue
                if name not in filled:
                    filled[name] = room_for(name, rows, at)
                filled[name][at:until] = stored(values, name)
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
