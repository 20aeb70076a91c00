"""Whose request is it? The key that a `KeySpec` finds in a WSGI environ.

A key is the concatenation of the parts of the chosen alternative, each written
as a netstring under the place it was found in:

    part = kind [":" name] "=" length ":" value        query:clientId=1:a

No name holds "=" and every value carries its length, so two requests have equal
keys only if the same places held the same bytes: neither composites nor the
choice of alternative can be made to collide by clever values.
"""

from collections.abc import Callable
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment

from rateproof.keyspec import KeySpec, Part

__all__ = ["key_of"]

_ADDRESS = Part("ip")


def key_of(environ: WSGIEnvironment, keyspec: KeySpec) -> bytes:
    """The key of the client that sent a request.

    The first alternative of `keyspec` whose parts are all present and not
    empty; when there is none, the client's address. Values are raw bytes as
    they arrived (queries percent-decoded, "+" a space): any byte may occur, so
    a key is for comparing, never for showing. Of a name given more than once
    in a query or a cookie the first counts; repeated header lines are one value
    joined by commas, as the server presents them. Where the server knows no
    address (a Unix socket), all such requests share one key.

    Args:
        environ: the request, as in PEP 3333.
        keyspec: where to look.
    """
    for parts in keyspec.alternatives:
        values = [_READERS[part.kind](environ, part.name) for part in parts]
        if all(values):
            return b"".join(map(_netstring, parts, values))
    return _netstring(_ADDRESS, _ip(environ, ""))


def _netstring(part: Part, value: bytes) -> bytes:
    place = str(part).lower() if part.kind == "header" else str(part)
    return b"%s=%d:%s" % (place.encode(), len(value), value)


def _raw(text: str) -> bytes:
    """The bytes behind a WSGI string, which holds one byte a character (PEP 3333)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:  # a server that decoded it after all
        return text.encode("utf-8", "surrogatepass")


def _query(environ: WSGIEnvironment, name: str) -> bytes:
    wanted = name.encode()
    for pair in _raw(environ.get("QUERY_STRING", "")).split(b"&"):
        found, _, value = pair.partition(b"=")
        if _decoded(found) == wanted:
            return _decoded(value)
    return b""


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _header(environ: WSGIEnvironment, name: str) -> bytes:
    variable = name.upper().replace("-", "_")
    if variable not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
        variable = f"HTTP_{variable}"
    return _raw(environ.get(variable, ""))


def _cookie(environ: WSGIEnvironment, name: str) -> bytes:
    wanted = name.encode()
    for pair in _raw(environ.get("HTTP_COOKIE", "")).split(b";"):
        found, _, value = pair.partition(b"=")
        if found.strip(b" \t") == wanted:
            return value.strip(b" \t")
    return b""


def _ip(environ: WSGIEnvironment, _: str) -> bytes:
    return _raw(environ.get("REMOTE_ADDR", ""))


def _path(environ: WSGIEnvironment, _: str) -> bytes:
    return _raw(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")) or b"/"


def _method(environ: WSGIEnvironment, _: str) -> bytes:
    return _raw(environ.get("REQUEST_METHOD", ""))


_READERS: dict[str, Callable[[WSGIEnvironment, str], bytes]] = {
    "query": _query,
    "header": _header,
    "cookie": _cookie,
    "ip": _ip,
    "path": _path,
    "method": _method,
}
