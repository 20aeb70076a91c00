"""A log that does not fit in memory, split by its keys into Parquet files that do."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from rateproof.core import required_native
from rateproof.errors import CannotWrite, InvalidArgument, LogError
from rateproof.events.columns import NULL
from rateproof.events.impossible import refuse_impossible, refuse_repeated
from rateproof.events.judged import JUDGED, LONG, Answer, Tally, answers
from rateproof.events.log import COLUMNS, Event, EventLog
from rateproof.events.parquet import array_of, require_pyarrow, types_of
from rateproof.events.parquet_reader import ParquetLog, opened, read_parquet
from rateproof.output import printable

__all__ = ["Pieces", "Splitter", "in_pieces"]

_BYTES_A_ROW: Final = 120
"""Memory that judging a request takes, at most; see `benchmarks/prove.py`."""

_BYTES_TO_SPLIT: Final = 320
_BASE: Final = 180_000_000
"""Memory of the program itself."""

_MOST_PIECES: Final = 256
_DISK_A_ROW: Final = 40
_MEGABYTE: Final = 1_000_000
_TELL_EACH_S: Final = 10

_WHERE: Final = "intended_ns"
"""In a piece, the number of the row in the whole log: nobody asks there when it was to be sent."""

_COLUMNS: Final = [name for name in COLUMNS if name in JUDGED]


class _Elsewhere(dict[str, Any]):
    """The columns of a log that has them in files."""

    def __missing__(self, name: str) -> Any:
        raise LookupError(f"the column {name} is in pieces")


class Pieces(EventLog):
    """A log in files, each of which has all requests of its keys; the whole is never in memory.

    A row is named by its piece and its place there.

    Args:
        files: the pieces that have requests, by number.
        facts: what is known of the whole.
        metadata: of the whole, and of each piece.
    """

    __slots__ = ("_facts", "_last", "files", "of_whole")

    def __init__(
        self, files: Mapping[int, Path], facts: "_Facts", metadata: Mapping[str, Any]
    ) -> None:
        super().__init__(dict(metadata), _Elsewhere(), facts.rows)
        self.files, self._facts = files, facts
        self._last: tuple[int, EventLog] | None = None
        self.of_whole: dict[str, Any] = {}
        """Metadata that each piece has to have, for it cannot be seen in the piece."""

    def found(self, name: str, find: Callable[[Self], Any]) -> Any:
        """The answers of the whole, the one thing that is asked of it."""
        return self._facts.kinds if name == "answers" else find(self)

    def noting(self, **metadata: Any) -> Self:
        """The same requests, of which this is true as well."""
        return type(self)(self.files, self._facts, self.metadata | metadata)

    def same(self, name: str) -> Any:
        """The run of all requests; None of another column."""
        return self._facts.run if name == "run" else None

    def distinct(self, name: str) -> frozenset[int]:
        """Every length of an answer."""
        return frozenset(self._facts.distinct[name])

    @property
    def numbered(self) -> bool:
        """True if requests have numbers of their own."""
        return self._facts.numbered

    @property
    def most_rows(self) -> int:
        """Requests of the largest piece."""
        return max(self._facts.of_piece.values())

    def piece(self, number: int) -> EventLog:
        """The requests of one piece; the last one is kept.

        Raises:
            LogError: it is damaged or gone, or has a request twice.
        """
        if self._last is None or self._last[0] != number:
            self._last = None  # never two at once
            self._last = number, self._read(number)
        return self._last[1]

    def _read(self, number: int) -> EventLog:
        name = f"piece {number} of {len(self.files)} that the log was split into"
        try:
            log = read_parquet(self.files[number])
        except (OSError, LogError) as error:
            told = error.message if isinstance(error, LogError) else error.strerror
            problem = f"{name} was damaged or removed meanwhile: {told}"
            raise LogError(problem, "the log itself is as it was: check it again") from error
        if len(log) != self._facts.of_piece[number]:
            raise LogError(f"{name} has lost requests meanwhile", "check the log again")
        refuse_repeated(log, name)
        return log.noting(**self.metadata, **self.of_whole)

    def name_of(self, number: int, row: int) -> int:
        """The name of a row of a piece."""
        return number << 40 | row

    def place_of(self, event: Event) -> int:
        """The number of a request's row in the whole log."""
        return event.intended_ns or 0

    def places(self, number: int, codes: Sequence[int]) -> dict[int, int]:
        """Places in the whole log at which each of these keys of a piece is first seen."""
        log, native = self.piece(number), required_native("a log in pieces")
        rows = native.rows_of(log.stored("key"), len(log), codes)
        first = [memoryview(of).cast("q")[0] for of in rows]
        return dict(zip(codes, log.column(_WHERE, first), strict=True))

    def __getitem__(self, index: int) -> Event:
        return self.piece(index >> 40)[index & (1 << 40) - 1]


@dataclass(slots=True)
class _Facts:
    """The facts of a whole log, known once each of its rows was seen."""

    rows: int = 0
    kinds: dict[Answer, Tally] = field(default_factory=dict)
    run: int | None = None
    numbered: bool = False
    distinct: dict[str, set[int]] = field(default_factory=lambda: {"bytes": set()})
    of_piece: dict[int, int] = field(default_factory=dict)
    undecided: set[int] = field(default_factory=set)

    def add(self, log: EventLog, name: str) -> None:
        """Take in the rows that come next."""
        self.rows += len(log)
        for answer, (times, longest_ns) in answers(log).items():
            known, longest = self.kinds.get(answer, Tally(0, None))
            both = [one for one in (longest, longest_ns) if one is not None]
            self.kinds[answer] = Tally(known + times, max(both, default=None))
        runs = {answer.run for answer in self.kinds}
        if len(runs) > 1:
            raise LogError(
                f"{name} has several runs, and does not fit in memory as a whole",
                "a log that is judged in pieces is of one run; or give it more --memory",
            )
        (self.run,) = runs
        self.numbered |= not {0, NULL}.issuperset(log.extremes("sequence") or ())
        self.distinct["bytes"] |= log.distinct("bytes")
        self.undecided |= set(log.metadata.get("undecided_statuses", ()))


@contextmanager
def in_pieces(
    path: Path,
    memory: int,
    prepared: Callable[[EventLog], EventLog],
    say: Callable[[str], None],
    name: str,
) -> Iterator[Pieces | None]:
    """A Parquet log in pieces; None where it fits in memory. The pieces go at the end.

    Args:
        path: the log.
        memory: bytes that may be taken.
        prepared: what is made of the rows before they are judged.
        say: tells people what is being done.
        name: of the log, for messages.

    Raises:
        LogError: it cannot be read, or not be judged in pieces.
        CannotWrite: the disk has no room for the pieces.
    """
    with opened(path, to_judge=True) as log, ExitStack() as stack:
        if log is None or log.rows <= LONG or _BASE + log.rows * _BYTES_A_ROW <= memory:
            yield None
            return
        required_native("a log that does not fit in memory")
        room = memory - _BASE
        count = -(-log.rows * _BYTES_A_ROW * 5 // (4 * max(1, room)))
        if count > _MOST_PIECES:
            least = _BASE + log.rows * _BYTES_A_ROW * 5 // (4 * _MOST_PIECES)
            raise InvalidArgument(
                f"--memory {_size(memory)} is too little for {log.rows:,} requests",
                f"at least {_size(least + _MEGABYTE)}",
            )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rateproof-")))
        needs, free = log.rows * _DISK_A_ROW, shutil.disk_usage(folder).free
        say(
            f"{log.rows:,} requests do not fit in {_size(memory)}: {count} pieces by key go to "
            f"{folder}, at most {_size(needs)} in all, and are removed afterwards"
        )
        if needs > free:
            raise CannotWrite(
                f"{folder} has room for {_size(free)}, and {name} may need {_size(needs)} there",
                "TMPDIR names another disk; with more --memory nothing is written",
            )
        splitter = Splitter(log, folder, count, name)
        pieces = splitter.split(room // _BYTES_TO_SPLIT, prepared, say)
        if (takes := _BASE + pieces.most_rows * _BYTES_A_ROW) > memory:
            say(
                f"hint: some keys have very many requests, and stay together: judging the largest "
                f"piece may take {_size(takes)}"
            )
        yield pieces


def _size(number: int) -> str:
    return f"{number / _MEGABYTE:,.0f} MB"


class Splitter:
    """Splits a log that is open into files of a folder."""

    def __init__(self, log: ParquetLog, folder: Path, count: int, name: str) -> None:
        self._log, self._folder, self._count, self._name = log, folder, count, name
        self._native, self._pa = required_native("splitting a log"), require_pyarrow()
        types = types_of(self._pa)
        names = [*_COLUMNS, _WHERE]
        self._schema = self._pa.schema([(one, types[COLUMNS[one]]) for one in names])
        self._writers: dict[int, Any] = {}

    def split(
        self, most_rows: int, prepared: Callable[[EventLog], EventLog], say: Callable[[str], None]
    ) -> Pieces:
        """Read so many rows at a time, or a row group, and share them out.

        Raises:
            LogError: the log is damaged, or of several runs.
            CannotWrite: the disk is full.
        """
        facts, begun, told = _Facts(), time.monotonic(), 0.0
        for groups in self._turns(most_rows):
            first = facts.rows
            rows = self._log.read(groups)
            refuse_impossible(rows, f"{self._name}, of rows {first + 1:,} to {first + len(rows):,}")
            rows = prepared(rows)
            facts.add(rows, self._name)
            self._write(partial(self._share_out, rows, first, facts))
            passed = time.monotonic() - begun
            if passed - told >= _TELL_EACH_S and facts.rows < self._log.rows:
                told = passed
                left = passed / facts.rows * (self._log.rows - facts.rows)
                say(f"splitting: {100 * facts.rows // self._log.rows} %, {left:.0f} s left")
        for writer in self._writers.values():
            self._write(writer.close)
        self._pa.default_memory_pool().release_unused()
        metadata = prepared(EventLog(self._log.metadata)).metadata
        if facts.undecided:
            metadata["undecided_statuses"] = sorted(facts.undecided)
        return Pieces({number: self._file(number) for number in facts.of_piece}, facts, metadata)

    def _write(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            raise CannotWrite(
                f"cannot write to {printable(str(self._folder))}: {error.strerror or error}",
                "the log itself is as it was; TMPDIR names another disk",
            ) from error

    def _turns(self, most_rows: int) -> Iterator[range]:
        start, rows = 0, 0
        for at, more in enumerate(self._log.groups):
            if rows and rows + more > most_rows:
                yield range(start, at)
                start, rows = at, 0
            rows += more
        yield range(start, len(self._log.groups))

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.parquet"

    def _share_out(self, rows: EventLog, first: int, facts: _Facts) -> None:
        pa = self._pa
        words = pa.array(rows.words("key")[: _known(rows)], pa.binary())
        _, offsets, data = words.buffers()
        offsets = memoryview(offsets).cast("B").cast("i")[: len(words) + 1]
        text = memoryview(data or b"").cast("B")
        parts = self._native.parts_of(offsets, text, self._count)
        codes = rows.stored("key")
        part_of = memoryview(parts).cast("i")
        order, counts = self._native.by_part(codes, len(rows), part_of, self._count)
        places = pa.Array.from_buffers(pa.uint32(), len(rows), [None, pa.py_buffer(order)])
        columns = [array_of(pa, rows, name) for name in _COLUMNS]
        at = 0
        for number, count in enumerate(counts):
            if not count:
                continue
            own = places.slice(at, count)
            where = pa.compute.add(own.cast(pa.int64()), first)
            table = pa.Table.from_arrays(
                [*(column.take(own) for column in columns), where], schema=self._schema
            )
            self._writer(number).write_table(table, row_group_size=len(table))
            facts.of_piece[number] = facts.of_piece.get(number, 0) + count
            at += count

    def _writer(self, number: int) -> Any:
        if number not in self._writers:
            delta = [name for name in (*_COLUMNS, _WHERE) if name.endswith("_ns")] + ["sequence"]
            self._writers[number] = self._pa.parquet.ParquetWriter(
                str(self._file(number)),
                self._schema,
                compression="lz4",
                use_dictionary=[name for name in _COLUMNS if name not in delta],
                column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
                store_schema=False,
                write_page_checksum=True,
            )
        return self._writers[number]


def _known(rows: EventLog) -> int:
    """Words of keys, without the None at the end that no row has."""
    words = rows.words("key")
    return len(words) - (bool(words) and words[-1] is None)
