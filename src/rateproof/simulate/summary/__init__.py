"""The figures of a run, in memory that does not grow with it."""

from rateproof.simulate.summary.summary import PERCENTILES, Summary

__all__ = ["PERCENTILES", "Summary"]
