"""Latencies in constant memory: a histogram whose percentiles are within 0.1 %.

The reference of `rust/simulate/src/histogram.rs`.
"""

from collections.abc import Mapping

from rateproof.errors import InvalidArgument

__all__ = ["SUB_BUCKETS", "Histogram", "bucket_of", "last_value_of"]

SUB_BUCKETS = 1_024
"""Buckets to an octave: each is at most 1/1,024 as wide as the values in it."""

_SHIFT = SUB_BUCKETS.bit_length()
_GREATEST = 2**63 - 1


def bucket_of(value: int) -> int:
    """The number of the bucket that holds a value of 0 or more.

    Log-linear: values below 2,048 have a bucket each; above, every octave is
    cut into 1,024 of equal width 2**e. Numbers ascend with the values. Source:
    Tene, HdrHistogram; the same layout as Schmidt's log-linear histograms.
    """
    exponent = max(0, value.bit_length() - _SHIFT)
    return exponent * SUB_BUCKETS + (value >> exponent)


def last_value_of(bucket: int) -> int:
    """The greatest value of a bucket; the inverse of `bucket_of`.

    A bucket of width 2**e holds values of at least 1,024 * 2**e, so its last
    value is above any other by less than 1/1,024 of that: below 0.1 %.
    """
    exponent = max(0, bucket // SUB_BUCKETS - 1)
    return ((bucket - exponent * SUB_BUCKETS + 1) << exponent) - 1


class Histogram:
    """Counts of values, whole numbers from 0 to 2**63 - 1 such as ns; others count as the nearest.

    The least and the greatest value are exact. A percentile is never below the
    true nearest-rank one, and above it by less than 0.1 % (by nothing below
    2,048). Memory grows with the spread of the values, not with their number:
    at most 55,296 buckets.
    """

    def __init__(self) -> None:
        self.count = 0
        self.min: int | None = None
        self.max: int | None = None
        self.buckets: dict[int, int] = {}

    @classmethod
    def of_buckets(
        cls, low: int | None, high: int | None, buckets: Mapping[int, int]
    ) -> "Histogram":
        """A histogram from its parts, as tallies give them."""
        histogram = cls()
        histogram.min, histogram.max = low, high
        histogram.buckets = dict(buckets)
        histogram.count = sum(buckets.values())
        return histogram

    def add(self, value: int) -> None:
        """Count one value."""
        value = min(max(0, value), _GREATEST)
        self.count += 1
        self.min = value if self.min is None else min(self.min, value)
        self.max = value if self.max is None else max(self.max, value)
        bucket = bucket_of(value)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

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
        if self.max is None:
            return None
        rank = -(-self.count * percent // 100)
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return min(last_value_of(bucket), self.max)
        return self.max
