"""The memory and the disk that a log in pieces takes."""

import shutil
from typing import Final

from rateproof.errors import CannotWrite, InvalidArgument
from rateproof.events.parquet import require_pyarrow
from rateproof.events.parquet_reader import ParquetLog
from rateproof.events.pieces import Pieces
from rateproof.events.workplace import Workplace

_BYTES_A_ROW: Final = 120
"""Memory that judging a request takes, see `benchmarks/prove.py`; keys that are there once take about twice that."""

BYTES_IN_TURN: Final = 170
"""The same while the next piece is read."""

_BYTES_TO_SPLIT: Final = 360
BASE: Final = 180_000_000
"""Memory of the program itself."""

MOST_PIECES: Final = 256
_DISK_A_ROW: Final = 28
"""Bytes of a request in its piece, without its key."""

_MEGABYTE: Final = 1_000_000


def fits(rows: int, memory: int) -> bool:
    """Tell whether a log of so many rows can be judged as a whole."""
    return BASE + rows * _BYTES_A_ROW <= memory


def bound(pieces: Pieces, memory: int) -> None:
    """Leave out the pieces that cannot be judged in so much memory, each of them of one key."""
    takes = BASE + pieces.most_rows * BYTES_IN_TURN + _MEGABYTE
    pieces.leave_out(fitting(memory), f"--memory {takes // _MEGABYTE}MB has room")


def fitting(memory: int) -> int:
    """Rows that can be judged at a time."""
    return (memory - BASE) // BYTES_IN_TURN


def rows_at_once(memory: int) -> int:
    """Rows that can be shared out at a time."""
    return (memory - BASE) // _BYTES_TO_SPLIT


def pieces_of(rows: int, memory: int) -> int:
    """Number of pieces of so many rows in all, each of which can be judged in so much memory.

    Raises:
        InvalidArgument: more than there can be.
    """
    count = -(-rows * BYTES_IN_TURN * 5 // (4 * max(1, memory - BASE)))
    if count > MOST_PIECES:
        least = BASE + rows * BYTES_IN_TURN * 5 // (4 * MOST_PIECES)
        raise InvalidArgument(
            f"--memory {size(memory)} is too little for {rows:,} requests",
            f"at least {size(least + _MEGABYTE)}",
        )
    return count


def disk_for(log: ParquetLog) -> int:
    """Bytes that the pieces of a log take, about; the keys of three row groups stand for all."""
    groups = len(log.groups)
    longest = max(_length(log, at) for at in {0, groups // 2, groups - 1})
    return round(int(log.rows) * (_DISK_A_ROW + longest))


def _length(log: ParquetLog, group: int) -> float:
    pa, keys = require_pyarrow(), log.keys(range(group, group + 1))
    if pa.types.is_dictionary(keys.type):
        lengths = pa.compute.binary_length(keys.dictionary).take(keys.indices)
    else:
        lengths = pa.compute.binary_length(keys)
    mean: float | None = pa.compute.mean(lengths).as_py()
    return mean or 0.0


def refuse_full(place: Workplace, needs: int, name: str) -> None:
    """Refuse a folder that has no room for pieces of so many bytes.

    Raises:
        CannotWrite: it has not.
    """
    free = shutil.disk_usage(place.folder).free
    if needs > free:
        raise CannotWrite(
            f"{place.folder} has room for {size(free)}, and {name} may need {size(needs)} there",
            place.hint,
        )


def size(number: int) -> str:
    """A number of bytes in words."""
    return f"{number / _MEGABYTE:,.0f} MB"
