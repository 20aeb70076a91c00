"""A key that does not fit in memory, in stretches of its time."""

from array import array
from collections.abc import Sequence

from rateproof.events.parquet import require_pyarrow
from rateproof.events.parquet_reader import ParquetLog

_SAMPLES = 32
"""Sending times that are known of each stretch before it is made."""


def beginnings(log: ParquetLog, several: Sequence[range], each: int) -> list[int]:
    """Return when stretches of about so many requests begin; none is cut within an instant."""
    pa, step, sample = require_pyarrow(), max(1, each // _SAMPLES), array("q")
    for groups in several:
        sent = log.column("sent_ns", groups).combine_chunks().sort()
        sample.extend(sent.take(pa.array(range(0, len(sent), step))).to_pylist())
    return sorted({*sorted(sample)[:: max(1, each // step)]})
