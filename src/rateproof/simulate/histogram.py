"""Latencies in constant memory: a histogram whose percentiles are within 0.1 %.

The reference of `rust/simulate/src/histogram.rs`.
"""

from dataclasses import dataclass, field
from typing import Self

from rateproof.errors import InvalidArgument

SUB_BUCKETS = 1_024
"""Buckets to an octave: each is at most 1/1,024 as wide as the values in it."""

_SHIFT = SUB_BUCKETS.bit_length()
_GREATEST = 2**63 - 1


def bucket_of(value: int) -> int:
    """The bucket that holds a value of 0 or more, named by the greatest value in it.

    Log-linear: values below 2,048 have a bucket each; above, every octave is cut into 1,024
    of equal width 2**e. Such a bucket holds values of at least 1,024 * 2**e, so its greatest is
    above any other by less than 1/1,024 of that: below 0.1 %. Source: Tene, HdrHistogram; the
    same layout as Schmidt's log-linear histograms.
    """
    return value | (1 << max(0, value.bit_length() - _SHIFT)) - 1


@dataclass(slots=True)
class Histogram:
    """Counts of values, whole numbers from 0 to 2**63 - 1 such as ns; others count as the nearest.

    The least and the greatest value are exact. A percentile is never below the
    true nearest-rank one, and above it by less than 0.1 % (by nothing below
    2,048). Memory grows with the spread of the values, not with their number:
    at most 55,296 buckets.
    """

    min: int | None = None
    max: int | None = None
    buckets: dict[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of values counted."""
        return sum(self.buckets.values())

    def add(self, value: int) -> None:
        """Count one value."""
        value = min(max(0, value), _GREATEST)
        self.min = value if self.min is None else min(self.min, value)
        self.max = value if self.max is None else max(self.max, value)
        bucket = bucket_of(value)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: Self) -> None:
        """Count everything that the other one counted."""
        if other.min is None or other.max is None:
            return
        self.min = other.min if self.min is None else min(self.min, other.min)
        self.max = other.max if self.max is None else max(self.max, other.max)
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def percentile(self, percent: float) -> int | None:
        """The nearest-rank percentile, within the bound of the class; 100 is the exact maximum.

        Args:
            percent: above 0 and at most 100.

        Returns:
            None where nothing was counted.

        Raises:
            InvalidArgument: `percent` out of these bounds.
        """
        if not 0 < percent <= 100:
            raise InvalidArgument(f"percentile {percent}", "above 0 and at most 100")
        rank = -(-self.count * percent // 100)
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return min(bucket, self.max or 0)
        return self.max
