"""Parameters of behaviours and intervals: each is of a kind of option, said once.

A class declares a field by one of the functions below; `check_parameters` holds
the values to it, and files, schemas and help describe them by it and by `meanings`.
"""

import re
from dataclasses import Field, field, fields
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.options import kinds
from rateproof.options.kinds import Leaf
from rateproof.simulate.programs.timetable import Timetable
from rateproof.units import MAX_DURATION_NS

_ARGUMENT = re.compile(r"^ {8}(\w+): (.*(?:\n {12,}.*)*)", re.MULTILINE)  # Google style


def of_kind(kind: Leaf | None) -> dict[str, Leaf | None]:
    """The metadata of a field of a kind; None: a distribution of intervals."""
    return {"kind": kind}


DURATION = of_kind(kinds.duration())
"""The metadata of a field that holds whole nanoseconds from 1 on; its name ends in `_ns`."""

TIMETABLE = of_kind(
    kinds.text(Timetable.parse, inside=Timetable.of, pattern=r"^\s*[0-9]+\s+[Aa][Tt]\s")
)
"""The metadata of a field that holds pairs: an instant in ns, and how many requests."""

INTERVAL = of_kind(None)
"""The metadata of a field that holds a distribution of intervals."""


def count(default: int) -> Any:
    """A field that holds a whole number from 1 to a million."""
    return field(default=default, metadata=of_kind(kinds.whole(1, 1_000_000)))


def duration(default_ns: int, low: int = 1, high: int = MAX_DURATION_NS - 1) -> Any:
    """A field that holds whole nanoseconds; its name ends in `_ns`."""
    return field(default=default_ns, metadata=of_kind(kinds.duration(low, high)))


def kind_of(parameter: Field[Any]) -> Leaf | None:
    """The kind of a field; None: a distribution of intervals."""
    kind: Leaf | None = parameter.metadata["kind"]
    return kind


def check_parameters(holder: Any) -> None:
    """Hold every field to its kind.

    Raises:
        InvalidArgument: the first that is out of its bounds.
    """
    for each in fields(holder):
        name, value, kind = each.name, getattr(holder, each.name), kind_of(each)
        if kind is not None:
            kind.hold(name.removesuffix("_ns"), value)
        elif not isinstance(getattr(value, "name", None), str) or not hasattr(value, "draw"):
            raise InvalidArgument(f"{name} is {value!r}", "a distribution of intervals")


class Checked:
    """A dataclass whose fields are held to their kinds when it is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check_parameters(self)


def meanings(kind: Any) -> dict[str, str]:
    """The meaning of each field of a behaviour or a distribution, by its docstring."""
    arguments = (kind.__doc__ or "").partition("Args:")[2].partition("Raises:")[0]
    return {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(arguments)}
