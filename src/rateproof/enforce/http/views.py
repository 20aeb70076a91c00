"""Views of a request that a key is read from, whichever interface it came by.

Two views of a request, over a WSGI environ and over an ASGI scope, that answer
alike: a service that runs both knows the same client by the same key. Values
are bytes as they arrived, for a client may send any; what there is not is empty.
"""

import logging
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment

Scope: TypeAlias = MutableMapping[str, Any]

_log = logging.getLogger("rateproof")

_BLANKS = b" \t"


class WsgiRequest:
    """A request as WSGI presents it (PEP 3333)."""

    __slots__ = ("_environ",)

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ

    @property
    def method(self) -> bytes:
        """Such as `GET`, in capitals."""
        return _raw(self._environ.get("REQUEST_METHOD", "")).upper()

    @property
    def path(self) -> bytes:
        """The whole path, percent-decoded, where the application is mounted included."""
        environ = self._environ
        return _raw(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")) or b"/"

    @property
    def query(self) -> bytes:
        """The bytes behind the question mark, as they arrived."""
        return _raw(self._environ.get("QUERY_STRING", ""))

    @property
    def peer(self) -> str:
        """The address that the connection came from; empty for a Unix socket."""
        address: str = self._environ.get("REMOTE_ADDR", "")
        return address

    def header(self, name: str) -> bytes:
        """The value of a field, in any case.

        Several lines are joined by commas, those of Cookie by semicolons; here by the server.
        """
        environ, variable = self._environ, cgi_variable(name)
        value = _raw(environ.get(variable, "")).strip(_BLANKS)
        if not value and variable in environ and environ.get("SERVER_SOFTWARE") == "Granian":
            _say_hidden(name)
        return value


class AsgiRequest:
    """A request as ASGI presents it: the scope of type `http` or `websocket`."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def method(self) -> bytes:
        """See `WsgiRequest`; a WebSocket handshake is a GET."""
        method: str = self._scope.get("method", "GET")
        return method.upper().encode()

    @property
    def path(self) -> bytes:
        """See `WsgiRequest`; from `raw_path` where the server has it, for `path` is decoded text."""
        raw: bytes | None = self._scope.get("raw_path")
        if raw is None:
            path: str = self._scope.get("path", "")
            return path.encode("utf-8", "surrogatepass") or b"/"
        return unquote_to_bytes(raw) or b"/"

    @property
    def query(self) -> bytes:
        """See `WsgiRequest`."""
        query: bytes = self._scope.get("query_string", b"")
        return query

    @property
    def peer(self) -> str:
        """See `WsgiRequest`."""
        client = self._scope.get("client")
        return str(client[0]) if client else ""

    def header(self, name: str) -> bytes:
        """See `WsgiRequest`."""
        wanted = _field(name)
        lines = [value.strip(_BLANKS) for found, value in self._scope["headers"] if found == wanted]
        return (b"; " if wanted == b"cookie" else b",").join(lines)


RequestView: TypeAlias = WsgiRequest | AsgiRequest


def _raw(text: str) -> bytes:
    """The bytes behind a WSGI string, which holds one byte a character (PEP 3333)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:  # a server that decoded it after all
        return text.encode("utf-8", "surrogatepass")


@lru_cache
def _say_hidden(name: str) -> None:
    """Say once of a field that a request had it, and that its value cannot be known."""
    _log.warning(
        "a request has %s with no value, or with bytes beyond ASCII, which granian does not pass on"
        " over WSGI: it counts as if it had none",
        name,
    )


@lru_cache
def cgi_variable(name: str) -> str:
    """The name that CGI has for a header field."""
    variable = name.upper().replace("-", "_")
    return variable if variable in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{variable}"


@lru_cache
def _field(name: str) -> bytes:
    return name.lower().encode()
