"""What a value in a scenario file may be: how it is read, and the same as JSON Schema."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.units import UNIT_NS, format_duration, parse_duration

__all__ = [
    "Field",
    "Kind",
    "Leaf",
    "Pairs",
    "Series",
    "Table",
    "any_case",
    "duration",
    "flag",
    "number",
    "text",
    "type_name",
    "whole",
]

_TYPES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "an array",
    dict: "a table",
}


def any_case(word: str) -> str:
    """A pattern of this word of ASCII in small and capital letters: JSON Schema has no flag."""
    return re.sub(r"[a-z]", lambda letter: f"[{letter[0].upper()}{letter[0]}]", word)


_UNITS = "|".join(any_case(name) for name in sorted(UNIT_NS, key=len, reverse=True))
_DURATION = rf"^\s*[0-9]{{1,20}}(\.[0-9]{{1,20}})?\s*({_UNITS})[Ss]?\s*$"
_NONZERO = r"(?=.*[1-9])"
LONGEST = 64
"""Characters of a bad value that an error repeats."""


def type_name(value: Any) -> str:
    """What a value of TOML is called: `a text`, `a whole number`, `a date or time` ..."""
    return _TYPES.get(type(value), "a date or time")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value without parts.

    Args:
        types: the types of TOML that are accepted.
        schema: the value as JSON Schema, without what only `parse` can judge.
        parse: what becomes of it; raises InvalidArgument.
    """

    types: tuple[type, ...]
    schema: Mapping[str, Any]
    parse: Callable[[Any], Any]

    def accepts(self, value: Any) -> bool:
        """Whether it is of one of the types; `true` is no number."""
        return type(value) in self.types

    def read(self, value: Any) -> Any:
        """What the value means.

        Raises:
            InvalidArgument: another type, or a value out of bounds.
        """
        if not self.accepts(value):
            expected = " or ".join(_TYPES[kind] for kind in self.types)
            raise InvalidArgument(f"{value!r:.{LONGEST}} is {type_name(value)}, not {expected}")
        return self.parse(value)


@dataclass(frozen=True, slots=True)
class Pairs:
    """A table whose names are free: a text for each.

    Args:
        schema: the table as JSON Schema.
        check: accepts one name and its text, or raises InvalidArgument.
    """

    schema: Mapping[str, Any]
    check: Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Series:
    """An array of values of one kind.

    Args:
        item: their kind.
        least: how many at least.
        make: what becomes of them all.
    """

    item: "Kind"
    least: int
    make: Callable[[list[Any]], Any] = list


@dataclass(frozen=True, slots=True)
class Field:
    """A named value of a table.

    Args:
        kind: what it may be.
        help: one line on its meaning, without a full stop.
        argument: its name inside the program.
        required: whether it must be there.
        excludes: the names that cannot stand beside it.
    """

    kind: "Kind"
    help: str
    argument: str
    required: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table of known names.

    Args:
        fields: what every such table may hold.
        make: what becomes of the values that were read, by argument.
        tag: the name of the text that tells which variant this is.
        variants: what each variant may hold beside `fields`, by the tag's text.
        default: the variant of a table without a tag; None: it must have one.
        name: of its definition in the schema, for a kind that stands in many
            places; None: it is written where it stands.
    """

    fields: Mapping[str, Field]
    make: Callable[[dict[str, Any]], Any]
    tag: str | None = None
    variants: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    default: str | None = None
    name: str | None = None


Kind = Leaf | Pairs | Series | Table


def text(
    parse: Callable[[str], Any], *, pattern: str | None = None, most: int | None = None
) -> Leaf:
    """A text that `parse` judges, roughly of the form of `pattern`."""
    schema: dict[str, Any] = {"type": "string"}
    if pattern is not None:
        schema["pattern"] = pattern
    if most is not None:
        schema["maxLength"] = most
    return Leaf((str,), schema, parse)


def duration(low_ns: int = 1, high_ns: int = 2**61 - 1) -> Leaf:
    """A text such as `500ms`, read as nanoseconds from `low_ns` to `high_ns`."""

    def parse(value: str) -> int:
        ns = parse_duration(value)
        if low_ns > 0 and ns == 0:
            raise InvalidArgument(f"{value!r} is no time at all", "a duration above 0, such as 10s")
        if not low_ns <= ns <= high_ns:
            bounds = f"{format_duration(low_ns)} to {format_duration(high_ns)}"
            raise InvalidArgument(f"{value!r} is out of range", bounds)
        return ns

    pattern = f"^{_NONZERO}{_DURATION[1:]}" if low_ns > 0 else rf"{_DURATION}|^\s*0\s*$"
    return text(parse, pattern=pattern)


def whole(low: int, high: int) -> Leaf:
    """A whole number from `low` to `high`, both included."""

    def parse(value: int) -> int:
        if not low <= value <= high:
            raise InvalidArgument(
                f"{value} is out of range", f"a whole number from {low} to {high}"
            )
        return value

    return Leaf((int,), {"type": "integer", "minimum": low, "maximum": high}, parse)


def number(low: float, high: float, *, open_below: bool = False) -> Leaf:
    """A finite number from `low` (without it if `open_below`) to `high`."""

    def parse(value: float) -> float:
        above = low < value if open_below else low <= value
        if not math.isfinite(value) or not above or value > high:
            bounds = f"above {low:g} and at most {high:g}" if open_below else f"{low:g} to {high:g}"
            raise InvalidArgument(f"{value} is out of range", f"a number, {bounds}")
        return float(value)

    bound = "exclusiveMinimum" if open_below else "minimum"
    return Leaf((int, float), {"type": "number", bound: low, "maximum": high}, parse)


def flag() -> Leaf:
    """`true` or `false`."""
    return Leaf((bool,), {"type": "boolean"}, bool)
