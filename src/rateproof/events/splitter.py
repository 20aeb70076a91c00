"""A log that does not fit in memory, split by its keys into Parquet files that do."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from rateproof import __version__, linux
from rateproof.core import required_native
from rateproof.events.arrow import array_of, memory_of
from rateproof.events.costs import (
    MOST_PIECES,
    bound,
    disk_for,
    fits,
    fitting,
    pieces_of,
    refuse_full,
    rows_at_once,
    size,
)
from rateproof.events.facts import Facts, RowFile
from rateproof.events.impossible import refuse_impossible
from rateproof.events.judged import JUDGED, LONG
from rateproof.events.log import COLUMNS, EventLog
from rateproof.events.parquet import file_writer, require_pyarrow
from rateproof.events.parquet_reader import ParquetLog, opened
from rateproof.events.pieces import WHERE, Pieces
from rateproof.events.places import to_write
from rateproof.events.progress import Progress
from rateproof.events.reading_ahead import ahead
from rateproof.events.repeats import refuse_repeated_apart
from rateproof.events.stretches import beginnings
from rateproof.events.workplace import Workplace, identity_of, workplace
from rateproof.folders import emptied, writable
from rateproof.output import printable

_STRETCHES: Final = 32
"""Stretches of a key that does not fit for each that would: one is looked at with those around it."""
_ROWS_TOGETHER: Final = 1 << 14
"""Rows of a stretch that are read together, or are left out beside another."""

_COLUMNS: Final = [name for name in COLUMNS if name in JUDGED]


@contextmanager
def in_pieces(
    path: Path,
    memory: int | None,
    prepared: Callable[[EventLog], EventLog],
    say: Callable[[str], None],
    settings: object = None,
    *,
    name: str | None = None,
    lasting: bool = True,
) -> Iterator[Pieces | None]:
    """A Parquet log in pieces; None where it fits in memory. The pieces go at the end.

    They stay where the process is killed, and the next one with the same log, memory and
    settings goes on with them, and with what was found in them.

    Args:
        path: the log.
        memory: bytes that may be taken; None: half of what is free.
        prepared: what is made of the rows before they are judged.
        say: tells people what is being done.
        settings: what `prepared` does, as text.
        name: of the log, for messages, where that is not its path.
        lasting: whether the log is there for the next process, too.

    Raises:
        LogError: it cannot be read, or not be judged in pieces.
        CannotWrite: the disk has no room for the pieces.
    """
    name = printable(str(path)) if name is None else name
    free = linux.free_memory() if memory is None else None
    if memory is None:
        if free is None:
            yield None
            return
        memory = free // 2
    with opened(path, to_judge=True) as log:
        if log is None or log.rows <= LONG or fits(log.rows, memory):
            yield None
            return
        prepared(EventLog(log.metadata))  # refuses what is asked, also of pieces that are left
        identity = identity_of(path, __version__, settings) if lasting else None
        with workplace(identity) as place:
            pieces = _left(place, memory, say)
            if pieces is None:
                emptied(place.folder)  # results that were kept there are of other pieces
                count = pieces_needed(log, memory, place, name, say, half=free is not None)
                splitter = Splitter(place, count, name, memory)
                pieces = split(log, splitter, rows_at_once(memory), prepared, say)
            bound(pieces, memory)
            yield pieces


def _left(place: Workplace, memory: int, say: Callable[[str], None]) -> Pieces | None:
    """The pieces that a process left which was killed; None where there are none that fit."""
    noted = place.noted()
    if noted is None:
        return None
    most, files, facts, metadata = noted
    rows_of = [sum(rows for _, rows in own) for own in facts.alone()]
    if any((fitting(memory) < rows) != (most < rows) for rows in rows_of):
        return None  # what is larger than that is of one key
    say(
        f"{facts.rows:,} requests are in {len(facts.of_piece)} pieces in {place.folder} already, "
        "from a check that was killed: it goes on there"
    )
    return Pieces(files, facts, metadata, say, place=place)


def pieces_needed(
    log: ParquetLog,
    memory: int,
    place: Workplace,
    name: str,
    say: Callable[[str], None],
    *,
    half: bool,
) -> int:
    """Return the number of pieces of a log; what they take is said.

    Args:
        log: the log.
        memory: bytes that may be taken.
        place: where the pieces go.
        name: of the log, for messages.
        say: tells people.
        half: whether the memory is half of what is free, which nobody asked for.

    Raises:
        InvalidArgument: there is too little memory for as many as there can be.
        CannotWrite: the disk has no room for the pieces.
    """
    required_native("a log that does not fit in memory")
    count, needs = pieces_of(log.rows, memory), disk_for(log)
    say(
        f"{log.rows:,} requests do not fit in {size(memory)}{', half of what is free' if half else ''}"
        f": {count} pieces by key go to {place.folder}, about {size(needs)} in all, and are removed afterwards"
    )
    refuse_full(place, needs, name)
    return count


def split(
    log: ParquetLog,
    splitter: "Splitter",
    most_rows: int,
    prepared: Callable[[EventLog], EventLog],
    say: Callable[[str], None],
) -> Pieces:
    """Read so many rows at a time, or a row group, and share them out.

    Raises:
        LogError: the log is damaged, of several runs, or has a request twice.
        CannotWrite: the disk is full.
    """
    progress = Progress("splitting", log.rows, say)
    several = [*turns(log.groups, most_rows)]
    with closing(ahead((log.read(turn, keys=False), log.keys(turn)) for turn in several)) as read:
        for rows, keys in read:
            first = splitter.rows
            name = f"{splitter.name}, of rows {first + 1:,} to {first + len(rows):,}"
            refuse_impossible(rows, name, part=True)
            splitter.add(prepared(rows), keys)
            progress.at(splitter.rows)
            del rows, keys
    refuse_repeated_apart(log, several, splitter.facts, 4 * most_rows, splitter.name)
    return splitter.pieces(prepared(EventLog(log.metadata)).metadata, say)


def turns(groups: Sequence[int], most_rows: int) -> Iterator[range]:
    """Row groups in ranges of at most so many rows, or of one group."""
    start, rows = 0, 0
    for at, more in enumerate(groups):
        if rows and rows + more > most_rows:
            yield range(start, at)
            start, rows = at, 0
        rows += more
    yield range(start, len(groups))


class Splitter:
    """Splits the rows of a log into files of a folder, by a digest of their keys.

    Args:
        place: where the files go.
        count: number of pieces.
        name: of the log, for messages.
        memory: bytes that may be taken: a piece that does not fit is split again; None: it is not.
        prefix: of the names of files.
        first: number of the first row in the whole log.
        together: rows of a group at most; None: all that come at a time.
    """

    def __init__(
        self,
        place: Workplace,
        count: int,
        name: str,
        memory: int | None = None,
        *,
        prefix: str = "",
        first: int = 0,
        together: int | None = None,
    ) -> None:
        self.name, self._prefix, self._first, self._together = name, prefix, first, together
        self._place, self._count, self._memory, self.facts = place, count, memory, Facts()
        self._rows: dict[int, int] = {}
        self._native, self._pa = required_native("splitting a log"), require_pyarrow()
        self._writers: dict[int, Any] = {}

    @property
    def rows(self) -> int:
        """Number of rows so far."""
        return self.facts.rows

    def add(self, rows: EventLog, keys: Any = None) -> None:
        """Share out the rows that come next.

        Args:
            rows: what of them is judged.
            keys: an Arrow array of their keys, as of `ParquetLog.keys`; None: their own.

        Raises:
            LogError: the log is of several runs.
            CannotWrite: the disk is full.
        """
        first = self._first + self.facts.rows
        self.facts.add(Facts.of(rows), self.name)

        def where(places: Any) -> Any:
            return self._pa.compute.add(places.cast(self._pa.int64()), first)

        own = self._own(rows) if keys is None else keys
        self.share_out(rows, own, self._parts(own), where)

    def pieces(self, metadata: Mapping[str, Any], say: Callable[[str], None]) -> Pieces:
        """Return the whole log, once all rows were added.

        Raises:
            CannotWrite: the disk is full.
        """
        parts = [fit for piece in self.closed().values() for fit in self._that_fit(*piece)]
        self._pa.default_memory_pool().release_unused()
        facts, told = self.facts, self.facts.noted(metadata)
        files = facts.keep(parts)
        most = facts.rows if self._memory is None else fitting(self._memory)
        self._place.note([part.path for part in parts], (most, files, facts, told))
        return Pieces(files, facts, told, say, place=self._place)

    def closed(self) -> dict[int, tuple[Path, int]]:
        """By the number of each piece its file, whole now, and its rows."""
        with self._written():
            for writer in self._writers.values():
                writer.close()
        return {number: (self._file(number), rows) for number, rows in sorted(self._rows.items())}

    def _that_fit(self, path: Path, rows: int) -> list[RowFile]:
        """A piece that fits in memory, or what it is split into: none with two keys is larger."""
        if self._memory is None or rows <= fitting(self._memory):
            return [RowFile(path, rows)]
        with opened(path) as log:
            found = [] if log is None else self.split_again(log, path.stem, self._memory)
        path.unlink()
        return found

    def split_again(self, log: ParquetLog, name: str, memory: int) -> list[RowFile]:
        """Put as many keys of a piece together as fit; one that does not fit is split by time.

        Raises:
            LogError: it is damaged.
            CannotWrite: the disk is full.
        """
        pa, most, several = self._pa, fitting(memory), [*turns(log.groups, rows_at_once(memory))]
        each = [log.keys(groups).cast(pa.binary()).value_counts() for groups in several]
        counted = pa.concat_tables(map(pa.Table.from_struct_array, each)).group_by("values")
        known = counted.aggregate([("counts", "sum")])
        if len(known) == 1:
            return self._by_time(log, name, memory)
        parts, held = array("i"), 0
        for count in known["counts_sum"].to_pylist():
            begin = not parts or held + count > most
            parts.append((parts[-1] if parts else -1) + begin)
            held = count if begin else held + count
        finer = Splitter(self._place, parts[-1] + 1, self.name, prefix=f"{name}-")
        part_of = pa.Array.from_buffers(pa.int32(), len(parts), [None, pa.py_buffer(parts)])
        for groups in several:
            rows, keys = log.read(groups, keys=False), log.keys(groups)
            own = pa.compute.index_in(keys.cast(pa.binary()), known["values"].combine_chunks())
            of = memory_of(part_of.take(own), "i")
            finer.share_out(rows, keys, of, array_of(pa, rows, WHERE).take)
        found = list[RowFile]()
        again = Splitter(self._place, 1, self.name, memory)
        for path, held in finer.closed().values():
            found += again._that_fit(path, held)
        return found

    def _by_time(self, log: ParquetLog, name: str, memory: int) -> list[RowFile]:
        """The requests of a key in stretches of time, so small that several fit."""
        several = [*turns(log.groups, rows_at_once(memory))]
        each = max(1, fitting(memory) // _STRETCHES, log.rows // (MOST_PIECES - _STRETCHES))
        begins = beginnings(log, several, each)
        finer = Splitter(
            self._place, len(begins), self.name, prefix=f"{name}-", together=_ROWS_TOGETHER
        )
        for groups in several:
            rows, keys = log.read(groups, keys=False), log.keys(groups)
            parts = self._native.parts_by_time(rows.stored("sent_ns"), len(rows), begins)
            where = array_of(self._pa, rows, WHERE).take
            finer.share_out(rows, keys, memoryview(parts).cast("i"), where)
        closed = finer.closed()
        return [RowFile(*closed[place], place, begins[place]) for place in sorted(closed)]

    def _written(self) -> AbstractContextManager[None]:
        hint = "the log itself is as it was; TMPDIR names another disk"
        return writable(self._place.folder, hint)

    def _file(self, number: int) -> Path:
        return self._place.folder / f"{self._prefix}{number}.parquet"

    def _own(self, rows: EventLog) -> Any:
        pa = self._pa
        codes, words = rows.codes("key")
        known = words[:-1] if words and words[-1] is None else words
        numbers = pa.Array.from_buffers(pa.int32(), len(rows), [None, pa.py_buffer(codes)])
        return pa.DictionaryArray.from_arrays(numbers, pa.array(known, pa.binary()))

    def share_out(
        self, rows: EventLog, keys: Any, parts: memoryview, where: Callable[[Any], Any]
    ) -> None:
        """Write each row to its piece, the pieces on all processors.

        Args:
            rows: what of them is judged.
            keys: their keys.
            parts: the piece of each, as int32.
            where: gives the numbers, in the whole log, of the rows at these places.

        Raises:
            CannotWrite: the disk is full.
        """
        pa = self._pa
        order, counts = self._native.by_part(parts, self._count)
        places = pa.Array.from_buffers(pa.uint32(), len(rows), [None, pa.py_buffer(order)])
        columns = [
            (keys, False)
            if name == "key"
            else (array_of(pa, rows, name), rows.same(name) is not None)
            for name in _COLUMNS
        ]

        def write(number: int, at: int) -> None:
            own = places.slice(at, counts[number])
            arrays = [*(_taken(column, own) for column in columns), where(own)]
            table = pa.Table.from_arrays(arrays, names=[*_COLUMNS, WHERE])
            rows = self._together or len(table)
            self._writer(number, table.schema).write_table(table, row_group_size=rows)

        filled = [
            (number, at)
            for number, at in enumerate(accumulate([0, *counts[:-1]]))
            if counts[number]
        ]
        for number, _ in filled:
            self._rows[number] = self._rows.get(number, 0) + counts[number]
        # What is written to one piece is written by one thread.
        with self._written(), ThreadPoolExecutor(linux.processors()) as threads:
            list(threads.map(write, *zip(*filled, strict=True)))

    def _parts(self, keys: Any) -> memoryview:
        """The piece of each row, by a digest of its key."""
        pa, several = self._pa, self._pa.types.is_dictionary(keys.type)
        words = keys.dictionary if several else keys
        _, offsets, text = words.buffers()
        ends = memoryview(offsets).cast("B").cast("i")[words.offset :][: len(words) + 1]
        parts = self._native.parts_of(ends, memoryview(text or b"").cast("B"), self._count)
        if not several:
            return memoryview(parts).cast("i")
        numbers = pa.Array.from_buffers(pa.int32(), len(words), [None, pa.py_buffer(parts)])
        return memory_of(numbers.take(keys.indices), "i")

    def _writer(self, number: int, schema: Any) -> Any:
        if number not in self._writers:
            delta = [name for name in (*_COLUMNS, WHERE) if name.endswith("_ns")] + ["sequence"]
            self._writers[number] = file_writer()(
                **to_write(self._file(number)),
                schema=schema,
                compression="lz4",
                write_statistics=["sent_ns"],
                use_dictionary=[name for name in _COLUMNS if name not in {*delta, "key"}],
                column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
                store_schema=False,
                write_page_checksum=True,
            )
        return self._writers[number]


def _taken(column: tuple[Any, bool], places: Any) -> Any:
    """The values of a column at these places; of one that is the same everywhere, as many of it."""
    values, same = column
    return values.slice(0, len(places)) if same else values.take(places)
