"""A key that does not fit in memory, in stretches of its time."""

from array import array
from collections.abc import Sequence

from rateproof.core import required_native
from rateproof.errors import LogError
from rateproof.events.impossible import TWO_LOGS
from rateproof.events.parquet import require_pyarrow
from rateproof.events.parquet_reader import ParquetLog

_SAMPLES = 32
"""Sending times that are known of each stretch before it is made."""


def beginnings(log: ParquetLog, several: Sequence[range], each: int) -> list[int]:
    """Return when stretches of about so many requests begin; none is cut within an instant.

    Args:
        log: the requests of one key.
        several: the row groups that are read at a time.
        each: requests of a stretch.
    """
    pa, step, sample = require_pyarrow(), max(1, each // _SAMPLES), array("q")
    for groups in several:
        sent = log.column("sent_ns", groups).combine_chunks().sort()
        sample.extend(sent.take(pa.array(range(0, len(sent), step))).to_pylist())
    return sorted({*sorted(sample)[:: max(1, each // step)]})


def refuse_repeated_apart(log: ParquetLog, several: Sequence[range], most: int, name: str) -> None:
    """Refuse a key's request that is there twice, which no stretch of its time has to show.

    Args:
        log: the requests of one key.
        several: the row groups that are read at a time.
        most: numbers that are looked at together, about.
        name: of the whole log, for messages.

    Raises:
        LogError: two rows have one sequence number.
    """
    compute, native = require_pyarrow().compute, required_native("a log in pieces")
    ends = [compute.min_max(log.column("sequence", groups)).as_py() for groups in several]
    low, high = min(end["min"] for end in ends), max(end["max"] for end in ends)
    width = -(-(high + 1 - low) // -(-log.rows // most))
    for first in range(low, high + 1, width) if (low, high) != (0, 0) else ():
        numbers = array("q")
        for groups in several:
            column = log.column("sequence", groups).combine_chunks()
            later = compute.greater_equal(column, first)
            last = min(
                first + width - 1, high
            )  # within 64 bits, as a number past the last need not be
            own = column.filter(compute.and_(later, compute.less_equal(column, last)))
            numbers.frombytes(memoryview(own.buffers()[1]).cast("B")[: 8 * len(own)])
        row = native.first_repeated(0, numbers, len(numbers))
        if row is not None:
            raise LogError(f"{name}: sequence {numbers[row]} is there a second time", TWO_LOGS)
