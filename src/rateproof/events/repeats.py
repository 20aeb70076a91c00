"""A request that is twice in a log that does not fit in memory."""

from array import array
from collections.abc import Sequence

from rateproof.core import required_native
from rateproof.errors import LogError
from rateproof.events.arrow import memory_of
from rateproof.events.facts import Facts
from rateproof.events.impossible import TWO_LOGS
from rateproof.events.parquet import require_pyarrow
from rateproof.events.parquet_reader import ParquetLog


def refuse_repeated_apart(
    log: ParquetLog, several: Sequence[range], facts: Facts, most: int, name: str
) -> None:
    """Refuse a request that is there twice, which no part of a log has to show.

    It is of another client, or in other rows of the same. Parts whose numbers follow each other
    have none in common, and are not read again.

    Args:
        log: the log, of one run.
        several: the row groups of its parts, in none of which a number is there twice.
        facts: what is known of it.
        most: numbers that are looked at together, about.
        name: of it, for messages.

    Raises:
        LogError: two rows have one sequence number.
    """
    if not facts.may_repeat:
        return
    compute, native = require_pyarrow().compute, required_native("a log in pieces")
    ends = [compute.min_max(log.column("sequence", groups)).as_py() for groups in several]
    low, high = min(end["min"] for end in ends), max(end["max"] for end in ends)
    width = -(-(high + 1 - low) // -(-log.rows // most))
    for first in range(low, high + 1, width):
        last = min(first + width - 1, high)  # 64 bits hold it, and not always what comes next
        numbers = array("q")
        for groups, end in zip(several, ends, strict=True):
            if end["max"] < first or last < end["min"]:
                continue
            column = log.column("sequence", groups).combine_chunks()
            later = compute.greater_equal(column, first)
            own = column.filter(compute.and_(later, compute.less_equal(column, last)))
            numbers.frombytes(memory_of(own, "q").cast("B"))
        row = native.first_repeated(0, numbers, len(numbers))
        if row is not None:
            problem = f"{name}: sequence {numbers[row]} of run {facts.run}"
            raise LogError(f"{problem} is there a second time", TWO_LOGS)
