"""Bounds of values, checked the same way everywhere in this room."""

import math

from rateproof.errors import InvalidArgument
from rateproof.units import MAX_DURATION_NS

__all__ = ["check_count", "check_duration", "check_rate"]

MAX_RATE = 1e6


def check_count(name: str, value: int, low: int, high: int) -> None:
    """Accept a whole number from `low` to `high`, both included.

    Raises:
        InvalidArgument: anything else, a bool and a float included.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidArgument(f"{name} is {value!r}", f"a whole number from {low} to {high}")


def check_duration(name: str, value: int, *, low: int = 1, high: int = MAX_DURATION_NS - 1) -> None:
    """Accept whole nanoseconds from `low` to `high`, both included.

    Raises:
        InvalidArgument: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidArgument(
            f"{name} is {value!r}", f"a whole number of nanoseconds from {low} to {high}"
        )


def check_rate(name: str, value: float) -> None:
    """Accept a finite number of events a second, above 0 and up to a million.

    Raises:
        InvalidArgument: anything else.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 < value <= MAX_RATE
    ):
        raise InvalidArgument(f"{name} is {value!r} a second", "above 0 and at most 1000000")
