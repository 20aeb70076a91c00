"""What behaviours and distributions take: for files, schemas and help."""

import re
from dataclasses import MISSING, dataclass, fields
from typing import Any

from rateproof.simulate.behaviours.named import behaviour_named
from rateproof.simulate.programs.arrivals import INTERVALS
from rateproof.simulate.programs.parameters import ValueRange, bounds_of

__all__ = [
    "Parameter",
    "distributions",
    "parameters_of",
]

_ARGUMENT = re.compile(r"^ {8}(\w+): (.*(?:\n {12,}.*)*)", re.MULTILINE)  # Google style


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a behaviour or a distribution.

    Args:
        name: of the field. A duration's ends in `_ns`; plain data may leave
            that out and give text such as `500ms`.
        bounds: its kind, unit, least and greatest value.
        default: None where it must be given.
        doc: what it means.
    """

    name: str
    bounds: ValueRange
    default: Any
    doc: str


def parameters_of(name: str) -> tuple[Parameter, ...]:
    """What a behaviour takes, in order.

    Raises:
        InvalidArgument: no behaviour has this name.
    """
    return _parameters(behaviour_named(name))


def distributions() -> dict[str, tuple[Parameter, ...]]:
    """What each distribution of intervals takes, by its name."""
    return {name: _parameters(kind) for name, kind in INTERVALS.items()}


def _parameters(kind: Any) -> tuple[Parameter, ...]:
    docs = dict(_ARGUMENT.findall((kind.__doc__ or "").partition("Args:")[2]))
    return tuple(
        Parameter(
            each.name,
            bounds_of(each),
            None if each.default is MISSING else each.default,
            " ".join(docs.get(each.name, "").split()),
        )
        for each in fields(kind)
    )
