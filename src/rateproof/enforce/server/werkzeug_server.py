"""Serving where granian is missing: one process, a thread for each of 512 connections, by Werkzeug."""

import io
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.datastructures import Headers
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.test import run_wsgi_app

from rateproof.enforce.server.bodies import BODY_BYTES

_log = logging.getLogger("rateproof")

_BACKLOG = 1024
_CONNECTIONS = 512
_DRAIN_S = 2.0
_IDLE_S = 75


def run(app: WSGIApplication, bound: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, at a bound socket; `announce` once connections are accepted."""
    ip, port = bound.getsockname()[:2]
    server = _Server(ip, port, app, _Handler, fd=bound.fileno())

    def stop(*_: object) -> None:
        # In a thread, for it waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        bound.listen(_BACKLOG)
        announce()
        server.serve_forever(poll_interval=0.05)
        server.wait_for_answers(_DRAIN_S)
    finally:
        server.server_close()
        for number, previous in handlers.items():
            signal.signal(number, previous)


class _Server(ThreadedWSGIServer):
    """A thread for each of so many connections: for one more, the one that is idle longest goes.

    While all of them are being answered, one more is closed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._change = threading.Condition()
        self._open: set[socket.socket] = set()
        self._idle: dict[socket.socket, None] = {}  # the longest first
        super().__init__(*args, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a new connection its thread."""
        with self._change:
            if len(self._open) >= _CONNECTIONS:
                oldest = next(iter(self._idle), None)
                if oldest is None or len(self._open) >= 2 * _CONNECTIONS:  # they are ending
                    super().shutdown_request(request)
                    return
                del self._idle[oldest]
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            self._open.add(request)
            self._idle[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._change:
            self._open.discard(request)
            self._idle.pop(request, None)
        super().shutdown_request(request)

    @contextmanager
    def answering(self, connection: socket.socket) -> Iterator[None]:
        """A request is being answered meanwhile: the connection is not idle."""
        with self._change:
            self._idle.pop(connection, None)
        try:
            yield
        finally:
            with self._change:
                self._idle[connection] = None
                self._change.notify_all()

    def wait_for_answers(self, timeout_s: float) -> None:
        """Wait until no request is being answered."""
        with self._change:
            self._change.wait_for(lambda: self._open <= self._idle.keys(), timeout_s)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, but of clients that leave."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(WSGIRequestHandler):
    """Werkzeug's own closes each connection, for it leaves bodies unread: this one reads them.

    Answers are sent in one piece, which suits small ones.
    """

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_expect_100(self) -> bool:
        """Send `100 Continue` at once: the client waits for it."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def run_wsgi(self) -> None:
        """Answer one request; the connection stays open if its body could be read whole."""
        with self.server.answering(self.connection):
            environ = self.make_environ()
            if self.request_version != "HTTP/1.1" or not _read_body(environ):
                self.close_connection = True
            try:
                chunks, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
            except Exception:  # noqa: BLE001 - a bug in the application costs one answer
                _log.exception("a request failed")
                chunks, status, headers = [], "500", Headers()
            self._send(status, list(headers), b"".join(chunks))

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason or HTTPStatus(int(code)).phrase)
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name, _ in headers}:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No access log."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing: what is logged here are malformed requests, quoted."""


def _read_body(environ: WSGIEnvironment) -> bool:
    """Put the body in place of the stream that it comes from; whether that was all of it."""
    length = environ.get("CONTENT_LENGTH") or "0"
    try:
        if environ.get("wsgi.input_terminated"):  # chunked
            body = environ["wsgi.input"].read(BODY_BYTES + 1)
            whole = len(body) <= BODY_BYTES
        elif length.isdecimal() and len(length) <= 7 and int(length) <= BODY_BYTES:
            body = environ["wsgi.input"].read(int(length))
            whole = len(body) == int(length)
        else:
            return False
    except OSError:
        return False
    environ["wsgi.input"] = io.BytesIO(body)
    return whole
