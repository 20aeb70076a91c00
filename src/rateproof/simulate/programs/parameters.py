"""Parameters of behaviours and intervals: kinds, units and bounds, each said once.

A class declares a field by one of the functions below; `check_parameters` holds
the values to it, and files, schemas and help describe them by it and by `meanings`.
"""

import math
import re
from dataclasses import Field, dataclass, field, fields
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.simulate.checks import check_count, check_duration
from rateproof.simulate.programs.timetable import Timetable
from rateproof.units import MAX_DURATION_NS

__all__ = [
    "DURATION",
    "INTERVAL",
    "TIMETABLE",
    "Checked",
    "ValueRange",
    "bounds_of",
    "check_parameters",
    "count",
    "duration",
    "meanings",
    "number",
]

_ARGUMENT = re.compile(r"^ {8}(\w+): (.*(?:\n {12,}.*)*)", re.MULTILINE)  # Google style


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The values that a field accepts.

    Args:
        kind: `count`, `duration`, `number`, `interval` or `timetable`.
        unit: `ns`, `requests`, `1/s` or so; empty where there is none.
        low: the least value; an interval has no bounds of its own.
        high: the greatest.
        above_low: whether `low` itself is refused.
    """

    kind: str
    unit: str = ""
    low: float = 0
    high: float = math.inf
    above_low: bool = False

    def check(self, name: str, value: Any) -> None:
        """Accept a value of the kind within the bounds.

        Raises:
            InvalidArgument: anything else; the message names it.
        """
        if self.kind == "interval":
            if not isinstance(getattr(value, "name", None), str) or not hasattr(value, "draw"):
                raise InvalidArgument(f"{name} is {value!r}", "a distribution of intervals")
            return
        if self.kind == "timetable":
            Timetable.of(value)
            return
        low, high = self.low, self.high
        if self.kind == "count":
            check_count(name, value, int(low), int(high))
        elif self.kind == "duration":
            check_duration(name, value, low=int(low), high=int(high))
        elif (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or not low <= value <= high
            or (self.above_low and value == low)
        ):
            least = f"above {low:g}" if self.above_low else f"from {low:g}"
            raise InvalidArgument(f"{name} is {value!r}", f"{least} to {high:g}")


def count(default: int, low: int = 1, high: int = 1_000_000, *, unit: str = "requests") -> Any:
    """A field that holds a whole number."""
    return _field(default, ValueRange("count", unit, low, high))


def duration(default_ns: int, low: int = 1, high: int = MAX_DURATION_NS - 1) -> Any:
    """A field that holds whole nanoseconds; its name ends in `_ns`."""
    return _field(default_ns, ValueRange("duration", "ns", low, high))


def number(
    default: float, low: float, high: float, *, unit: str = "", above_low: bool = False
) -> Any:
    """A field that holds a finite number."""
    return _field(default, ValueRange("number", unit, low, high, above_low))


DURATION = {"bounds": ValueRange("duration", "ns", 1, MAX_DURATION_NS - 1)}
"""The metadata of a field that holds whole nanoseconds from 1 on, without a default."""

TIMETABLE = {"bounds": ValueRange("timetable")}
"""The metadata of a field that holds pairs: an instant in ns, and how many requests."""

INTERVAL = {"bounds": ValueRange("interval", "ns")}
"""The metadata of a field that holds a distribution of intervals."""


def _field(default: Any, bounds: ValueRange) -> Any:
    return field(default=default, metadata={"bounds": bounds})


def bounds_of(parameter: Field[Any]) -> ValueRange:
    """The values that a field accepts."""
    bounds: ValueRange = parameter.metadata["bounds"]
    return bounds


def check_parameters(holder: Any) -> None:
    """Hold every field to its bounds.

    Raises:
        InvalidArgument: the first that is out of them.
    """
    for each in fields(holder):
        bounds_of(each).check(each.name, getattr(holder, each.name))


class Checked:
    """A dataclass whose fields are held to their bounds when it is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check_parameters(self)


def meanings(kind: Any) -> dict[str, str]:
    """The meaning of each field of a behaviour or a distribution, by its docstring."""
    arguments = (kind.__doc__ or "").partition("Args:")[2].partition("Raises:")[0]
    return {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(arguments)}
