"""urllib3's connection with sharp stamps, and without its leniency. Needs Requests.

The stamps are taken as close to the wire as soundness allows: narrow
intervals make sharp verdicts.
"""

import contextlib
import http.client
import io
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from rateproof.units import SECOND_NS

__all__ = ["Adapter", "Exchange", "current"]

_DRIP_NS = 1_000_000
_LONGEST_SLEEP_S = 0.1
_LONGEST_LINE = 1 << 16
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?\n")  # RFC 9112, section 7.1


class Exchange:
    """The stamps of one request while it is in flight."""

    __slots__ = (
        "aborted",
        "connect_by_ns",
        "connection",
        "deadline_ns",
        "numbers",
        "opened",
        "over_ns",
        "received_ns",
        "reconnects",
        "sent_ns",
        "sock",
        "written",
    )

    def __init__(self, numbers: Iterator[int]) -> None:
        self.numbers = numbers
        self.connection = 0
        self.sent_ns = 0
        self.aborted = False
        self.opened = False
        self.reconnects = 0
        self.sock: socket.socket | None = None

    def abort(self) -> None:
        """Give up what is in flight, from any thread, and send nothing more.

        What blocks in a read or a write ends at once; a connection that is
        still being opened does not.
        """
        self.aborted = True
        if self.sock is not None:
            # Not the method of a TLS socket, which changes what its reader is using.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def begin(self, timeout_ns: int, connect_ns: int, over_ns: int) -> None:
        """Start the time of a new request."""
        self.sent_ns = time.monotonic_ns()
        self.deadline_ns = self.sent_ns + timeout_ns
        self.connect_by_ns = self.sent_ns + connect_ns
        self.over_ns = over_ns
        self.received_ns: int | None = None
        self.written = False

    def left_s(self, deadline_ns: int | None = None) -> float:
        """Seconds until the request's deadline, or another one.

        Raises:
            TimeoutError: there are none.
            ConnectionAbortedError: it was given up.
        """
        if self.aborted:
            raise ConnectionAbortedError("the request was given up")
        left_ns = (deadline_ns or self.deadline_ns) - time.monotonic_ns()
        if left_ns <= 0:
            raise TimeoutError("the request took longer than its timeout")
        return left_ns / SECOND_NS


class _Current(threading.local):
    """The exchange of this thread: urllib3 makes its connections out of our reach."""

    exchange: Exchange


current = _Current()


class _UntilDeadline(io.RawIOBase):
    """A socket's bytes until the deadline of the whole request.

    A socket's own timeout starts again with each byte: a server that drips
    would never be given up.
    """

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(current.exchange.left_s())
        count: int | None = self._raw.readinto(buffer)
        self.ended = count == 0
        return count

    def close(self) -> None:
        # The socket counts its open files: it closes with the last of them.
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """Stamps the arrival of the final status line's first byte."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._wire = _UntilDeadline(self.fp.detach(), sock)
        self.fp: io.BufferedReader = io.BufferedReader(self._wire)

    def begin(self) -> None:
        super().begin()
        self._refuse_cut()

    def _refuse_cut(self) -> None:
        """Raise where the peer closed within the header: http.client takes that for its end."""
        if self._wire.ended:
            raise http.client.RemoteDisconnected("closed before the header was whole")

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            # Returns once a byte is there, and takes none away. The last pass
            # of this loop is the final status line: 1xx answers are skipped
            # here, of which http.client itself only knows 100.
            self.fp.peek(1)
            current.exchange.received_ns = time.monotonic_ns()
            try:
                version, status, reason = super()._read_status()  # type: ignore[misc]
            except http.client.BadStatusLine as bad:
                if "HTTP/".startswith(str(bad)[:5]):
                    self._refuse_cut()
                raise
            self._refuse_cut()
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def _read_next_chunk_size(self) -> int:
        """The size of the next chunk; http.client would take nonsense for a lost connection."""
        line = self.fp.readline(_LONGEST_LINE)
        if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
            raise http.client.IncompleteRead(b"")
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise http.client.UnknownTransferEncoding(f"a chunk of size {line[:32]!r}")
        return int(match[1], 16)


class _Stamped:
    """Stamps the instant before a request's first byte is written."""

    response_class: ClassVar[type[http.client.HTTPResponse]] = _Response

    def connect(self) -> None:
        exchange = current.exchange
        exchange.connection = next(exchange.numbers)
        super().connect()  # type: ignore[misc]
        exchange.reconnects += exchange.opened
        exchange.opened = True
        exchange.sock = self.sock  # type: ignore[attr-defined]
        self.sock.settimeout(exchange.left_s())  # type: ignore[attr-defined]

    def _new_conn(self) -> socket.socket:
        """Connect; the TLS handshake that may follow has only the time that is left."""
        exchange = current.exchange
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        try:
            sock.settimeout(exchange.left_s(exchange.connect_by_ns))
        except TimeoutError:
            sock.close()
            raise
        return sock

    def send(self, data: Any) -> None:
        exchange = current.exchange
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()
        if exchange.written:
            super().send(data)  # type: ignore[misc]
            return
        exchange.left_s()
        exchange.written = True
        exchange.sent_ns = time.monotonic_ns()
        # http.client writes the whole header section by its first call.
        if exchange.over_ns > 0:
            self._drip(data)
        else:
            super().send(data)  # type: ignore[misc]

    def _drip(self, head: bytes) -> None:
        """Send the header section in pieces at equal distances, its last byte at the end."""
        exchange, begin_ns, last = current.exchange, time.monotonic_ns(), len(head) - 1
        count = max(1, min(last, exchange.over_ns // _DRIP_NS))
        for piece in range(count + 1):
            due_ns = begin_ns + exchange.over_ns * piece // count
            while (wait_s := (due_ns - time.monotonic_ns()) / SECOND_NS) > 0:
                time.sleep(min(wait_s, exchange.left_s(), _LONGEST_SLEEP_S))
            self.sock.settimeout(exchange.left_s())  # type: ignore[attr-defined]
            if piece < count:
                super().send(head[last * piece // count : last * (piece + 1) // count])  # type: ignore[misc]
        now_ns = time.monotonic_ns()
        # A server that spoke before the header was whole has decided before now.
        if not _readable(self.sock):  # type: ignore[attr-defined]
            exchange.sent_ns = now_ns
        super().send(head[last:])  # type: ignore[misc]


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class _HTTP(_Stamped, HTTPConnection):
    pass


class _HTTPS(_Stamped, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS

    def _validate_conn(self, conn: Any) -> None:
        """Connect; urllib3 itself would warn at each connection that is not verified."""
        if conn.sock is None:
            conn.connect()


class Adapter(requests.adapters.HTTPAdapter):
    """One pooled connection, no retries, certificates judged by one context.

    Args:
        context: None where there are no certificates.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give the pools of connections their context and their classes."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: Requests would add authorities of its own to those of the context."""

    def get_connection_with_tls_context(self, request: Any, *_args: Any, **_kwargs: Any) -> Any:
        """The pool of a request's host; Requests would replace its context."""
        return self.poolmanager.connection_from_url(request.url)
