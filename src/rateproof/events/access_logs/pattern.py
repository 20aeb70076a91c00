"""A format: fields between literals or at places in an object, and what each of them means."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Self, TypedDict, Unpack

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part

END: Final = "end"
START: Final = "start"
EITHER: Final = "start or end"

_STAMPS: Final = ("epoch", "instant", "iso", "clf", "clock")
"""Kinds of stamps, of which the finest counts where a format has several."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a line.

    Args:
        name: `ip`, `ip:port`, `method`, `path`, `query`, `request`, `status`, `duration`,
            `header:NAME`, `cookie:NAME`, `query:NAME`, or the name that the server has for it;
            `header:*` of all header fields of an object.
        kind: `text`; `list`, text in which a blank may follow a comma; `number` (digits, or `-`);
            `status`; `clf`, `iso` or `epoch`, the stamp, or `instant`, any of these; `day` and
            `clock`, its parts; `began`, another stamp, of the beginning; `duration`.
        unit_ns: of an `epoch`, an `instant` or a `duration`.
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
        paths: where each field lies, where a line is a JSON object: names of members, and
            numbers of elements.
        sample: who made the sample of it that the tests have.
    """

    name: str
    prefix: str
    fields: tuple[tuple[Field, str], ...]
    stamp: str
    source: str = ""
    open: bool = False
    escaped: bool = True
    paths: tuple[tuple[str, ...], ...] = ()
    sample: str = ""

    def place(self, *names: str) -> int | None:
        """The number of the first field with one of these names, in the order of the names."""
        have = [field.name for field, _ in self.fields]
        return next((have.index(name) for name in names if name in have), None)

    def names(self) -> list[str]:
        """The names of its fields."""
        return list(dict.fromkeys(field.name for field, _ in self.fields))

    def reaching(self, parts: Iterable[Part]) -> Self:
        """The same format with fields for these parts of a key, where an object has them by name."""
        fields, paths = list(self.fields), list(self.paths)
        headers = self.place("header:*") if self.paths else None
        for part in parts if self.paths else ():
            if part.kind == "field" and self.place(part.name) is None:
                fields.append((Field(part.name), ""))
                paths.append(path_of(part.name))
            elif part.kind in {"header", "cookie"} and headers is not None:
                # Servers write the names of header fields in one way: X-Api-Key.
                name = "cookie" if part.kind == "cookie" else part.name.lower()
                written = "-".join(map(str.capitalize, name.split("-")))
                fields.append((Field(f"header:{name}"), ""))
                paths.append(tuple(one.replace("*", written) for one in self.paths[headers]))
        return replace(self, fields=tuple(fields), paths=tuple(paths))


class FormatNotes(TypedDict, total=False):
    """Arguments of a `Format` that its text does not tell."""

    source: str
    open: bool
    escaped: bool
    sample: str


def pattern(
    name: str,
    prefix: str,
    fields: Iterable[tuple[Field, str]],
    stamp: str,
    **told: Unpack[FormatNotes],
) -> Format:
    """A format of which one stamp counts, and no two fields run into one another.

    Raises:
        InvalidArgument: it has no stamp, or two fields with nothing in between.
    """
    parts = list(fields)
    for (field, until), (after, _) in pairwise(parts):
        if not until:
            raise InvalidArgument(
                f"format {name!r}: nothing stands between {field.name} and {after.name}",
                "fields are told apart by what stands between them",
            )
    known, stamped = _one_stamp(name, [field for field, _ in parts])
    untils = [until for _, until in parts]
    return Format(name, prefix, tuple(zip(known, untils, strict=True)), stamped or stamp, **told)


def object_of(
    name: str, fields: Iterable[tuple[Field, str]], stamp: str, **told: Unpack[FormatNotes]
) -> Format:
    """A format whose lines are JSON objects: fields with their paths, such as `request.method`.

    Raises:
        InvalidArgument: it has no stamp.
    """
    parts = list(fields)
    known, stamped = _one_stamp(name, [field for field, _ in parts])
    paths = tuple(path_of(path) for _, path in parts)
    spans = tuple((field, "") for field in known)
    return Format(name, "", spans, stamped or stamp, paths=paths, **told)


def path_of(text: str) -> tuple[str, ...]:
    """A path with dots between its names; a dot in a name has a backslash before it."""
    return tuple(re.sub(r"\\\.", ".", name) for name in re.split(r"(?<!\\)\.", text))


def _one_stamp(name: str, told: list[Field]) -> tuple[list[Field], str]:
    """The fields, of which one stamp and one duration count, the finest; what that stamp is of."""
    stamps = [field for field in told if field.kind in _STAMPS]
    if not stamps:
        raise InvalidArgument(
            f"format {name!r} has no time",
            "such as $time_local, $msec, %t or %{usec}t, or time=PATH of an object",
        )
    finest = min(stamps, key=lambda field: _STAMPS.index(field.kind))
    durations = [field for field in told if field.kind == "duration"]
    spare = {*stamps, *sorted(durations, key=lambda field: field.unit_ns)[1:]} - {finest}
    return [Field(each.name) if each in spare else each for each in told], finest.stamp
