"""The figures of a run, in memory that does not grow with it."""

from rateproof.simulate.summary.summary import PERCENTILES, Summary, nearest_rank

__all__ = ["PERCENTILES", "Summary", "nearest_rank"]
