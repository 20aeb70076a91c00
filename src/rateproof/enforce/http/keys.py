"""The client of a request: the key that a `KeySpec` finds in a request.

A key is the concatenation of the parts of the chosen alternative, each written
as a netstring under the place it was found in:

    part = kind [":" name] "=" length ":" value        query:clientId=1:a

No name holds "=" and every value carries its length, so two requests have equal
keys only if the same places held the same bytes: neither composites nor the
choice of alternative can be made to collide by clever values. What a function
says is written as a part of the kind `key`, which no specification has.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes

from rateproof.core import native
from rateproof.enforce.http.addresses import DIRECT, ClientAddress
from rateproof.enforce.http.validation import function_name, is_whole, without_waiting
from rateproof.enforce.http.views import RequestView, WsgiRequest, cgi_variable
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec, Part

if TYPE_CHECKING:
    from rateproof._native import WsgiKey

R = TypeVar("R")
KeyLike: TypeAlias = str | KeySpec | Callable[[R], str | bytes | int | None]


def key_of(request: RequestView, keyspec: KeySpec, address: ClientAddress = DIRECT) -> bytes:
    """The key of the client that sent a request.

    The first alternative of `keyspec` whose parts are all present and not
    empty; when there is none, the client's address. Values are raw bytes as
    they arrived (queries percent-decoded, "+" a space): any byte may occur, so
    a key is for comparing, never for showing. Of a name given more than once
    in a query or a cookie the first counts; repeated header lines are one value
    joined by commas. Where nobody knows an address (a Unix socket), all such
    requests share one key.

    Args:
        request: a `WsgiRequest` or an `AsgiRequest`.
        keyspec: where to look.
        address: how the address of a client is found.
    """
    return _found(request, _places(keyspec), address)


def key_reader(
    key: KeyLike[R], view: Callable[[R], RequestView], address: ClientAddress
) -> Callable[[R], bytes]:
    """The function that finds the key of a request in the form that a framework has it in.

    A request about which the user's function says nothing (None, or something empty) counts under
    its address; a number is its decimal text.
    """
    if callable(key):
        say = without_waiting("key", key)

        def read(request: R) -> bytes:
            said = _said(say, say(request))
            return part("key", said) if said else part("ip", address.of(view(request)))

        return read
    if not isinstance(key, str | KeySpec):
        raise InvalidArgument(f"key {key!r}", "such as 'header:X-Api-Key|ip', or a function")
    keyspec = KeySpec.parse(key) if isinstance(key, str) else key
    places = _places(keyspec.readable())
    return lambda request: _found(view(request), places, address)


def _said(function: Callable[..., object], said: object) -> bytes:
    """The answer of a function for a request; empty if none."""
    if said is None or isinstance(said, bytes):
        return said or b""
    if isinstance(said, str):
        return said.encode("utf-8", "surrogatepass")
    if is_whole(said):
        return b"%d" % said
    raise TypeError(
        f"key function {function_name(function)} returned {type(said).__name__}, "
        "not str, bytes, int or None"
    )


def plain_reader(
    key: KeyLike[R], view: Callable[[R], RequestView], address: ClientAddress
) -> "WsgiKey | None":
    """The native core's reader of plain requests by a specification; the rest is `key_reader`'s."""
    module = native()
    if module is None or callable(key) or view is not WsgiRequest or address.proxies:
        return None
    keyspec = KeySpec.parse(key) if isinstance(key, str) else key
    if any(part.kind == "path" and part.name for parts in keyspec.alternatives for part in parts):
        return None

    def place(part: Part) -> tuple[str, str, str]:
        name = cgi_variable(part.name) if part.kind == "header" else part.name
        return _label(part), part.kind, name

    reader: WsgiKey = module.WsgiKey([list(map(place, parts)) for parts in keyspec.alternatives])
    return reader


def _label(part: Part) -> str:
    return str(part).lower() if part.kind == "header" else str(part)


def part(place: str, value: bytes) -> bytes:
    """One part of a key, such as `query:clientId=1:a`."""
    return b"%s=%d:%s" % (place.encode(), len(value), value)


class _Place(NamedTuple):
    text: str
    name: str
    read: Callable[[RequestView, str, ClientAddress], bytes]


def _places(keyspec: KeySpec) -> list[list[_Place]]:
    return [
        [_Place(_label(part), part.name, _READERS[part.kind]) for part in parts]
        for parts in keyspec.alternatives
    ]


def _found(request: RequestView, alternatives: list[list[_Place]], address: ClientAddress) -> bytes:
    for places in alternatives:
        key = b""
        for place in places:
            value = place.read(request, place.name, address)
            if not value:
                break
            key += part(place.text, value)
        else:
            return key
    return part("ip", address.of(request))


def _query(request: RequestView, name: str, _: ClientAddress) -> bytes:
    wanted = name.encode()
    for pair in request.query.split(b"&"):
        found, _eq, value = pair.partition(b"=")
        if _decoded(found) == wanted:
            return _decoded(value)
    return b""


def _decoded(text: bytes) -> bytes:
    plain = b"%" not in text and b"+" not in text
    return text if plain else unquote_to_bytes(text.replace(b"+", b" "))


def _cookie(request: RequestView, name: str, _: ClientAddress) -> bytes:
    wanted = name.encode()
    for pair in request.header("cookie").split(b";"):
        found, _eq, value = pair.partition(b"=")
        if found.strip(b" \t") == wanted:
            return value.strip(b" \t")
    return b""


def _segment(path: bytes, number: str) -> bytes:
    """A segment of the path, counted from 1; all of it without a number."""
    if not number:
        return path
    segments = path.split(b"/")
    return segments[int(number)] if int(number) < len(segments) else b""


_READERS: dict[str, Callable[[RequestView, str, ClientAddress], bytes]] = {
    "query": _query,
    "header": lambda request, name, _: request.header(name),
    "cookie": _cookie,
    "ip": lambda request, _, address: address.of(request),
    "path": lambda request, name, _: _segment(request.path, name),
    "method": lambda request, *_: request.method,
}
