"""The key of a request, from the fields that a format has."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from rateproof.errors import InvalidArgument
from rateproof.events.access_logs.pattern import Format
from rateproof.keyspec import KeySpec, Part

_ESCAPE: Final = re.compile(rb"\\(x[0-9A-Fa-f]{2}|u00[0-9A-Fa-f]{2}|.)", re.DOTALL)
_LETTERS: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"v": b"\v", b"f": b"\f"}
Read = Callable[[Sequence[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request as a log has it, for what reads client addresses: its peer, and its fields."""

    peer: str
    forwarded: bytes

    def header(self, _name: str) -> bytes:
        """The field that proxies append to."""
        return self.forwarded


@dataclass(frozen=True, slots=True)
class Place:
    """The place of something in a line.

    Args:
        fields: numbers of the fields that are needed.
        read: gives it, from their values; empty where it is not there.
    """

    fields: tuple[int, ...]
    read: Read


def gathered(places: Sequence[Place]) -> tuple[tuple[int, ...], list[Read]]:
    """The fields that all of these places need, and for each how it is read from their values."""
    fields = sorted({at for place in places for at in place.fields})

    def of(place: Place) -> Read:
        own = [fields.index(at) for at in place.fields]
        return lambda values: place.read([values[at] for at in own])

    return tuple(fields), list(map(of, places))


def unescaped(value: bytes) -> bytes:
    r"""A value without the escapes of nginx, Apache and JSON: `\x22`, `\"`, `\u0022`."""
    if b"\\" not in value:
        return value

    def plain(match: re.Match[bytes]) -> bytes:
        told = match[1]
        if len(told) > 1:
            return bytes([int(told[-2:], 16)])
        return _LETTERS.get(told, told)

    return _ESCAPE.sub(plain, value)


def of_json(value: bytes) -> bytes:
    """A text without the escapes of JSON; bytes that are no UTF-8 stay."""
    if b"\\" not in value:
        return value
    try:
        text = json.loads(f'"{value.decode("utf-8", "surrogateescape")}"', strict=False)
    except ValueError:
        return value  # no text: an object, or an escape that there is not
    try:
        return str(text).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return str(text).encode("utf-8", "surrogatepass")


def _values(format_: Format) -> Callable[[bytes], bytes]:
    """Give what a field holds; nothing where it is `-`, by which servers mean that."""
    plain = unescaped if format_.escaped else bytes
    plain = of_json if format_.paths else plain
    return lambda value: b"" if value == b"-" else plain(value)


def place_of(
    part: Part, format_: Format, address: Callable[[Any], bytes] | None, header: str
) -> Place:
    """Find the place of a part of a key.

    Args:
        part: of a key.
        format_: the log's.
        address: gives the client's address of a `LoggedRequest`; None: the peer's.
        header: the name of the field that trusted proxies append to; "" where none is trusted.

    Raises:
        InvalidArgument: the format has nothing of the kind.
    """
    if part.kind == "ip":
        return _ip(format_, address, header)
    named = f"header:{part.name.lower()}" if part.kind == "header" else str(part)
    if part.name and format_.place(named) is not None:
        place = _plain(format_, str(part), named)
        if part.kind == "query" and not format_.paths:
            return Place(place.fields, lambda values: _decoded(place.read(values)))
        return place
    if part.kind in _WITHIN:
        names, of = _WITHIN[part.kind]
        return _within(format_, part, names, of(part.name))
    return _plain(format_, str(part), part.name if part.kind == "field" else named)


def _plain(format_: Format, told: str, *names: str) -> Place:
    at = format_.place(*names)
    if at is None:
        raise InvalidArgument(
            f"the log's format has no {told}", f"it has {', '.join(format_.names())}"
        )
    value = _values(format_)
    return Place((at,), lambda values: value(values[0]))


def _within(
    format_: Format, part: Part, names: Sequence[str], of: Callable[[bytes, str], bytes]
) -> Place:
    """Something that lies within the first of these fields."""
    (at,) = _plain(format_, str(part), *names).fields
    name, value = format_.fields[at][0].name, _values(format_)
    return Place((at,), lambda values: of(value(values[0]), name))


def _ip(format_: Format, address: Callable[[Any], bytes] | None, header: str) -> Place:
    (at,) = _plain(format_, "ip", "ip", "ip:port").fields
    bare, value = format_.fields[at][0].name == "ip", _values(format_)

    def peer(told: bytes) -> bytes:
        told = value(told)
        if bare:
            return told
        return told.rpartition(b" ")[2].rpartition(b":")[0].strip(b"[]")

    if address is None:
        return Place((at,), lambda values: peer(values[0]))
    fields = (at, *(_plain(format_, header, f"header:{header.lower()}").fields if header else ()))

    def read(values: Sequence[bytes]) -> bytes:
        found = peer(values[0])
        if not found:
            return b""
        forwarded = value(values[1]) if header else b""
        return address(LoggedRequest(found.decode("latin-1"), forwarded))

    return Place(fields, read)


def _target(value: bytes, name: str) -> bytes:
    """The target of a request, from its first line or by itself."""
    if name != "request":
        return value
    words = value.split(b" ")
    return b" ".join(words[1:-1]) if len(words) > 2 else b""


def _path(segment: str) -> Callable[[bytes, str], bytes]:
    def of(value: bytes, field: str) -> bytes:
        target = _target(value, field)
        if not target.startswith(b"/") and b"://" in target:
            target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
        path = target.partition(b"?")[0].decode("latin-1")
        return Part("path", segment).of_path(path).encode("latin-1")

    return of


def _method(_name: str) -> Callable[[bytes, str], bytes]:
    def of(value: bytes, field: str) -> bytes:
        method, blank, _ = value.partition(b" ")
        return method if blank or field == "method" else b""

    return of


def _argument(wanted: str) -> Callable[[bytes, str], bytes]:
    name = wanted.encode()

    def of(value: bytes, field: str) -> bytes:
        query = value if field == "query" else _target(value, field).partition(b"?")[2]
        for pair in query.removeprefix(b"?").split(b"&"):
            key, _, found = pair.partition(b"=")
            if _decoded(key) == name:
                return _decoded(found)
        return b""

    return of


def _decoded(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))


def _cookie(wanted: str) -> Callable[[bytes, str], bytes]:
    name = wanted.encode()

    def of(value: bytes, _field: str) -> bytes:
        for pair in value.split(b";"):
            key, equals, found = pair.strip().partition(b"=")
            if equals and key == name:
                return found
        return b""

    return of


_WITHIN: Final = {
    "path": (("path", "request"), _path),
    "method": (("method", "request"), _method),
    "query": (("query", "path", "request"), _argument),
    "cookie": (("header:cookie",), _cookie),
}
"""Fields that lie within others: within which, and the way they are read from them."""


def identities(
    key: KeySpec, format_: Format, address: Callable[[Any], bytes] | None = None, header: str = ""
) -> Place:
    """Find the place of the identity that a key names: as `events.imported.identity_of` writes it.

    Raises:
        InvalidArgument: the format has nothing of the kind.
    """
    parts = [part for alternative in key.alternatives for part in alternative]
    fields, reads = gathered([place_of(part, format_, address, header) for part in parts])
    readers = iter(reads)
    wanted = [[next(readers) for _ in alternative] for alternative in key.alternatives]

    def read(values: Sequence[bytes]) -> bytes:
        for alternative in wanted:
            found = [of(values) for of in alternative]
            if all(found):
                if len(found) == 1:
                    return found[0]
                texts = [each.decode("utf-8", "surrogateescape") for each in found]
                return json.dumps(texts).encode("utf-8", "surrogatepass")
        return b""

    return Place(fields, read)
