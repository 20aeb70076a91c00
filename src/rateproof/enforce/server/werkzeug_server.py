"""Serving where granian is missing: one process, a thread for each connection, by Werkzeug."""

import io
import logging
import signal
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Self
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

from rateproof.enforce.server.bodies import BODY_BYTES

__all__ = ["run"]

_log = logging.getLogger("rateproof")

_BACKLOG = 1024
_DRAIN_S = 2.0
_IDLE_S = 75


def run(app: WSGIApplication, bound: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, at a bound socket; `announce` once connections are accepted."""
    in_flight = _InFlight()
    handler = type("Handler", (_Handler,), {"in_flight": in_flight})
    ip, port = bound.getsockname()[:2]
    server = make_server(ip, port, app, threaded=True, request_handler=handler, fd=bound.fileno())

    def stop(*_: object) -> None:
        # In a thread, for it waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        bound.listen(_BACKLOG)
        announce()
        server.serve_forever(poll_interval=0.05)
        in_flight.wait_for_none(_DRAIN_S)
    finally:
        server.server_close()
        for number, previous in handlers.items():
            signal.signal(number, previous)


class _InFlight:
    """A count of the requests that are being answered; idle connections are none."""

    def __init__(self) -> None:
        self._count = 0
        self._change = threading.Condition()

    def __enter__(self) -> Self:
        with self._change:
            self._count += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._count -= 1
            self._change.notify_all()

    def wait_for_none(self, timeout_s: float) -> None:
        with self._change:
            self._change.wait_for(lambda: self._count == 0, timeout_s)


class _Handler(WSGIRequestHandler):
    """Werkzeug's own closes each connection, for it leaves bodies unread: this one reads them.

    Answers are sent in one piece, which suits small ones.
    """

    in_flight: _InFlight
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
        with self.in_flight:
            environ = self.make_environ()
            if self.request_version != "HTTP/1.1" or not _read_body(environ):
                self.close_connection = True
            try:
                chunks, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
            except Exception:  # noqa: BLE001 - a bug in the application costs one answer
                _log.exception("a request failed")
                chunks, status, headers = [], "500", []  # type: ignore[assignment]
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
