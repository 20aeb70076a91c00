"""Parquet, zstd: what DuckDB, Polars and pandas read as it is. Needs pyarrow."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rateproof.errors import CannotWrite, InvalidArgument, LogError
from rateproof.events.jsonl import event_of
from rateproof.events.log import BINARY, COLUMNS, FLOAT, INT, REQUIRED, TEXT, Event, EventLog
from rateproof.events.writer import LogWriter

__all__ = ["ParquetWriter", "available", "read_parquet"]

_METADATA_KEY = b"rateproof_log"
_ROWS_A_GROUP = 65_536


def available() -> bool:
    """Whether pyarrow is installed."""
    return find_spec("pyarrow") is not None


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise InvalidArgument(
            "Parquet needs pyarrow, which is not installed",
            "pip install 'rateproof[load]', or name the log *.jsonl",
        ) from error
    return pa


class ParquetWriter(LogWriter):
    """Writes row groups of up to 65,536 events; the file is whole when closed."""

    def __init__(self, path: Path, metadata: Mapping[str, Any]) -> None:
        self._pa = pa = _pyarrow()
        kinds = {INT: pa.int64(), FLOAT: pa.float64(), TEXT: pa.string(), BINARY: pa.binary()}
        self._schema = pa.schema(
            [(name, kinds[kind]) for name, kind in COLUMNS.items()],
            metadata={_METADATA_KEY: json.dumps(dict(metadata)).encode()},
        )
        self._path = path
        self._writer = pa.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Event] = []

    def write(self, event: Event) -> None:
        """Append one event; it gets to the disk with its row group."""
        self._rows.append(event)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._write_group()

    def close(self) -> None:
        """Write the last row group and the footer.

        Raises:
            CannotWrite: the disk is full, or the like.
        """
        try:
            self._write_group()
        finally:
            with self._as_cannot_write():
                self._writer.close()

    def _write_group(self) -> None:
        if not self._rows:
            return
        columns = [[getattr(row, name) for row in self._rows] for name in COLUMNS]
        arrays = [
            self._pa.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        with self._as_cannot_write():
            self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()

    @contextmanager
    def _as_cannot_write(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CannotWrite(f"cannot write the log {self._path}: {error}") from error


def read_parquet(path: Path) -> EventLog:
    """Read a whole Parquet log.

    Raises:
        InvalidArgument: pyarrow is not installed.
        LogError: not Parquet, cut off, or without the needed columns.
    """
    pa = _pyarrow()
    with path.open("rb") as probe:
        if not probe.read(1):
            return EventLog()
    try:
        table = pa.parquet.read_table(path)
    except pa.ArrowException as error:
        raise LogError(f"{path} is not a whole Parquet file: {error}") from error
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise LogError(
            f"{path} has no column {', '.join(missing)}",
            f"a log needs {', '.join(REQUIRED)}",
        )
    log = EventLog()
    log.metadata.update(_metadata_of(table.schema, path))
    number = 0
    known = [_plain(pa, table.column(name), name) for name in table.column_names if name in COLUMNS]
    names = [name for name in table.column_names if name in COLUMNS]
    for batch in pa.table(known, names=names).to_batches():
        for row in batch.to_pylist():
            number += 1
            try:
                log.append(event_of(row))
            except LogError as error:
                raise LogError(f"{path}, row {number}: {error.message}", error.hint) from error
    return log


def _plain(pa: Any, column: Any, name: str) -> Any:
    """A column of times, as other tools write them, as integer nanoseconds."""
    if COLUMNS[name] == INT and (
        pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type)
    ):
        unit = "timestamp" if pa.types.is_timestamp(column.type) else "duration"
        return column.cast(getattr(pa, unit)("ns")).cast(pa.int64())
    return column


def _metadata_of(schema: Any, path: Path) -> dict[str, Any]:
    stored = (schema.metadata or {}).get(_METADATA_KEY, b"{}")
    try:
        metadata = json.loads(stored)
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise LogError(f"{path} has metadata that is no JSON object: {stored[:40]!r}")
    return metadata
