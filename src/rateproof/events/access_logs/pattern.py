"""A format: fields between literals, and what each of them means."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rateproof.errors import InvalidArgument

__all__ = ["EITHER", "END", "START", "Field", "Format", "pattern"]

END: Final = "end"
START: Final = "start"
EITHER: Final = "start or end"

_STAMPS: Final = ("epoch", "iso", "clf", "clock")
"""Kinds of stamps, of which the finest counts where a format has several."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a line.

    Args:
        name: `ip`, `ip:port`, `method`, `path`, `query`, `request`, `status`, `duration`,
            `header:NAME`, `cookie:NAME`, `query:NAME`, or the name that the server has for it.
        kind: `text`; `list`, text in which a blank may follow a comma; `number` (digits, or `-`); `status`; `clf`, `iso` or `epoch`, the stamp; `day`
            and `clock`, its parts; `began`, another stamp, of the beginning; `duration`.
        unit_ns: of an `epoch` or a `duration`.
        stamp: of a stamp: whether it is that of the request's end or its start, where
            the field itself says so.
    """

    name: str
    kind: str = "text"
    unit_ns: int = 0
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of access logs.

    Args:
        name: as it is told to `--format`.
        prefix: what every line begins with.
        fields: each with what follows it; nothing for the end of the line.
        stamp: `end`, `start`, or `start or end` where lines do not tell which.
        source: where its definition stands.
        open: more may follow the last field.
        escaped: quotes and strange bytes in fields have a backslash before them.
        paths: of JSON, where each field lies in the object.
        sample: who made the sample of it that the tests have.
    """

    name: str
    prefix: str
    fields: tuple[tuple[Field, str], ...]
    stamp: str
    source: str = ""
    open: bool = False
    escaped: bool = True
    paths: tuple[str, ...] = ()
    sample: str = ""

    def place(self, *names: str) -> int | None:
        """The number of the first field with one of these names, in the order of the names."""
        have = [field.name for field, _ in self.fields]
        return next((have.index(name) for name in names if name in have), None)

    def names(self) -> list[str]:
        """The names of its fields."""
        return list(dict.fromkeys(field.name for field, _ in self.fields))


def pattern(
    name: str,
    prefix: str,
    fields: Iterable[tuple[Field, str]],
    stamp: str,
    **more: str | bool | tuple[str, ...],
) -> Format:
    """A format of which one stamp counts, and no two fields run into one another.

    Raises:
        InvalidArgument: it has no stamp, no status, or two fields with nothing in between.
    """
    told = list(fields)
    stamps = [field for field, _ in told if field.kind in _STAMPS]
    if not stamps:
        raise InvalidArgument(
            f"format {name!r} has no time", "such as $time_local, $msec, %t or %{usec}t"
        )
    if not any(field.kind == "status" for field, _ in told):
        raise InvalidArgument(f"format {name!r} has no status", "such as $status or %>s")
    finest = min(stamps, key=lambda field: _STAMPS.index(field.kind))
    durations = [field for field, _ in told if field.kind == "duration"]
    spare = {*stamps, *sorted(durations, key=lambda field: field.unit_ns)[1:]} - {finest}
    for (field, until), (after, _) in pairwise(told):
        if not until:
            raise InvalidArgument(
                f"format {name!r}: nothing stands between {field.name} and {after.name}",
                "fields are told apart by what stands between them",
            )
    told = [(Field(each.name) if each in spare else each, until) for each, until in told]
    return Format(name, prefix, tuple(told), finest.stamp or stamp, **more)  # type: ignore[arg-type]
