"""Parquet, zstd: what DuckDB, Polars and pandas read as it is. Needs pyarrow."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rateproof.errors import InvalidArgument, written
from rateproof.events.arrow import array_of, types_of
from rateproof.events.log import COLUMNS, EventLog
from rateproof.events.reserved import ReservedFile
from rateproof.events.writer import LogWriter
from rateproof.output import printable

METADATA_KEY = b"rateproof_log"
_ROWS_A_GROUP = 262_144
_LEAST_ROWS = 4_096
_FOOTER_A_GROUP, _SLACK = 4_096, 1 << 17
"""Bytes for what the footer says of a row group, and for headers of pages and late metadata."""

_DELTA = ("intended_ns", "sent_ns", "received_ns", "done_ns", "sequence")
"""Columns that change little from row to row; all others repeat few values."""


def available() -> bool:
    """True if pyarrow is installed."""
    return find_spec("pyarrow") is not None


def require_pyarrow() -> Any:
    """The module `pyarrow`, with its parts that are used here.

    Raises:
        InvalidArgument: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise InvalidArgument(
            "Parquet needs pyarrow, which is not installed",
            "pip install pyarrow, or name the log *.jsonl",
        ) from error
    return pa


@cache
def file_writer() -> Any:
    """The `ParquetWriter` of pyarrow, silent where nobody asks for the end of its file.

    When it is collected it is closed, and on a full disk pyarrow's own prints a traceback then.
    """
    own = require_pyarrow().parquet.ParquetWriter

    def collected(writer: Any) -> None:
        with suppress(OSError):
            own.__del__(writer)

    return type("FileWriter", (own,), {"__del__": collected})


class ParquetWriter(LogWriter):
    """Writes row groups of 262,144 events or a few more as they fill; the file is whole when closed.

    Before a group is encoded, the disk must have room for the largest that it can
    become and for the footer after it. A full disk is thus noticed while the file can
    still be closed as a whole one.
    """

    def __init__(self, path: Path, metadata: Mapping[str, Any]) -> None:
        super().__init__(metadata)
        self._pa = pa = require_pyarrow()
        types = types_of(pa)
        self._schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
        self._metadata = {**metadata, "complete": False}
        self._lost = False
        self._pending = EventLog()
        self._groups = 0
        self._file = ReservedFile(path)
        self._writer = file_writer()(
            pa.PythonFile(self._file, mode="w"),
            self._schema,
            compression="zstd",
            use_dictionary=[name for name in COLUMNS if name not in _DELTA],
            column_encoding=dict.fromkeys(_DELTA, "DELTA_BINARY_PACKED"),
            write_statistics=[*_DELTA, "run", "status"],
            store_schema=False,
            write_page_checksum=True,
        )

    def write(self, events: EventLog) -> None:
        """Append a batch; it gets to the disk with its row group."""
        self._pending.extend(events)
        if len(self._pending) >= _ROWS_A_GROUP:
            self._write_groups()

    def note(self, metadata: Mapping[str, Any]) -> None:
        """Add to the metadata, which is written when closed.

        Where events were lost, the file says so in any case.
        """
        self._due = self._due and "complete" not in metadata
        self._metadata.update(metadata)

    def close(self) -> None:
        """Write the last row group and the footer.

        Raises:
            CannotWrite: the disk is full, or the like.
        """
        if self._file.closed:
            return
        try:
            self._write_groups()
        finally:
            with self._written():
                if self._lost:
                    self._metadata["complete"] = False
                self._writer.add_key_value_metadata({METADATA_KEY: json.dumps(self._metadata)})
                self._writer.close()
                self._file.close()

    def _write_groups(self) -> None:
        pending, self._pending = self._pending, EventLog()
        lost_before, self._lost = self._lost, True
        arrays = [array_of(self._pa, pending, name) for name in COLUMNS]
        table = self._pa.Table.from_arrays(arrays, schema=self._schema)
        size = -(-len(table) // max(1, len(table) // _ROWS_A_GROUP))  # no small rest
        with self._written():
            for start in range(0, len(table), max(1, size)):
                self._write_group(table.slice(start, size))
        self._lost = lost_before

    def _write_group(self, table: Any) -> None:
        """Write rows as one group, or as several where the disk is almost full."""
        footer = _FOOTER_A_GROUP * (self._groups + 1) + len(json.dumps(self._metadata))
        try:
            self._file.reserve(table.nbytes * 9 // 8 + footer + _SLACK)
        except OSError:
            if len(table) <= _LEAST_ROWS:
                raise
            half = len(table) // 2
            self._write_group(table.slice(0, half))
            self._write_group(table.slice(half))
            return
        self._writer.write_table(table, row_group_size=len(table))
        self._groups += 1

    def _written(self) -> AbstractContextManager[None]:
        return written(f"the log {printable(self._file.name)}")
