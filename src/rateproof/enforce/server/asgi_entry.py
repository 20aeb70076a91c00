"""A WSGI application served over ASGI, where fields of requests arrive as bytes.

granian empties those with bytes beyond ASCII over WSGI, which is the faster of the two.
"""

import asyncio
import sys
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.test import run_wsgi_app

from rateproof.enforce.http.asgi import Receive, Send
from rateproof.enforce.http.views import Scope, cgi_variable
from rateproof.enforce.server.bodies import BODY_BYTES, has_body


class AsgiEntry:
    """An ASGI application that asks a WSGI one, which reads no bodies.

    Args:
        app: the WSGI application.
        waits: it may wait, for a network's store, and so it runs in threads.
    """

    def __init__(self, app: WSGIApplication, *, waits: bool) -> None:
        self._app = app
        self._waits = waits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3): there are no WebSockets."""
        environ = _environ(scope)
        if self._waits:
            answer = await asyncio.to_thread(self._answer, environ)
        else:
            answer = self._answer(environ)
        if has_body(environ):
            await _read(receive)
        for message in answer:
            await send(message)

    def _answer(self, environ: WSGIEnvironment) -> list[dict[str, Any]]:
        chunks, status, fields = run_wsgi_app(self._app, environ, buffered=True)
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
        start = {"type": "http.response.start", "status": int(status[:3]), "headers": headers}
        return [start, {"type": "http.response.body", "body": b"".join(chunks)}]


def _environ(scope: Scope) -> WSGIEnvironment:
    """The request as WSGI presents it; a name with an underscore yields to that with hyphens."""
    host, port = scope["server"]
    client = scope["client"]
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in sorted(scope["headers"], key=lambda field: b"_" in field[0]):
        variable, text = cgi_variable(name.decode("latin-1")), value.decode("latin-1").strip(" \t")
        if variable not in environ:
            environ[variable] = text
        elif b"_" not in name:
            environ[variable] += ("; " if name == b"cookie" else ",") + text
    return environ


async def _read(receive: Receive) -> None:
    """Read a body, so that the connection stays of use."""
    left = BODY_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body"):
            return
