"""Bounds of values, checked the same way everywhere in this room."""

import math

from rateproof.errors import InvalidArgument
from rateproof.units import MAX_DURATION_NS, SECOND_NS, format_duration

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
        InvalidArgument: anything else; it is told as people write it, as a
            duration with a unit, and so is the name, without `_ns`.
    """
    name = name.removesuffix("_ns")
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument(f"{name} is {value!r}", "a whole number of nanoseconds")
    if not low <= value <= high:
        told = format_duration(value) if value >= 0 else f"{value}ns"
        most = (
            "below 73 years" if high == MAX_DURATION_NS - 1 else f"at most {format_duration(high)}"
        )
        raise InvalidArgument(f"{name} is {told}", f"at least {format_duration(low)}, {most}")


def check_rate(name: str, value: float) -> None:
    """Accept a number of events a second: from one in 73 years up to a million.

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
    if SECOND_NS / value >= MAX_DURATION_NS:
        raise InvalidArgument(f"{name} is {value!r} a second", "at least one in 73 years")
