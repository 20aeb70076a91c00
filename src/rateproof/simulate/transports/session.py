"""One connection of one client: a `requests.Session` with sharp stamps.

The stamps are taken as close to the wire as soundness allows, by subclassing
urllib3's connection: narrow intervals make sharp verdicts. Needs Requests.
"""

import http.client
import io
import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, ClassVar, Self

import requests
import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from rateproof.simulate.transports.failures import NETWORK_ERRORS, error_kind
from rateproof.units import SECOND_NS

__all__ = ["ClientSession", "Reply"]

MAX_BODY = 1 << 20
"""A longer body is given up: error `oversized`."""

_CHUNK = 1 << 16
_LENGTH = re.compile(r"[0-9]{1,18}")
_HEADERS = {"User-Agent": "rateproof", "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request.

    Args:
        sent_ns: before the first byte was written; where there was no
            connection to write to, before it was tried.
        received_ns: after the first byte of the final status line had arrived.
        done_ns: after the body, or when the request was given up.
        status: None where no whole answer header arrived.
        error: a kind of failure, None where all went well.
        bytes: length of the body that was read.
        connection: number of the connection, a new one after each reconnect.
        headers: of the answer, names in any case.
    """

    sent_ns: int
    received_ns: int | None
    done_ns: int
    status: int | None
    error: str | None
    bytes: int
    connection: int
    headers: Mapping[str, str]


def _declared(status: int, headers: Mapping[str, str]) -> int:
    """How many bytes of body the header promises at least (RFC 9112, section 6.3)."""
    length = headers.get("Content-Length", "")
    if status in {204, 304} or "Transfer-Encoding" in headers or not _LENGTH.fullmatch(length):
        return 0
    return int(length)


class _Exchange:
    """The stamps of one request while it is in flight."""

    __slots__ = ("connection", "deadline_ns", "numbers", "received_ns", "sent_ns", "written")

    def __init__(self, numbers: Iterator[int]) -> None:
        self.numbers = numbers
        self.connection = 0

    def begin(self, timeout_ns: int) -> None:
        self.sent_ns = time.monotonic_ns()
        self.deadline_ns = self.sent_ns + timeout_ns
        self.received_ns: int | None = None
        self.written = False

    def left_s(self) -> float:
        return (self.deadline_ns - time.monotonic_ns()) / SECOND_NS


class _Current(threading.local):
    """The exchange of this thread: urllib3 makes its connections out of our reach."""

    exchange: _Exchange


_current = _Current()


class _UntilDeadline(io.RawIOBase):
    """A socket's bytes until the deadline of the whole request.

    A socket's own timeout starts again with each byte: a server that drips
    would never be given up.
    """

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = _current.exchange.left_s()
        if left_s <= 0:
            raise TimeoutError("the request took longer than its timeout")
        self._sock.settimeout(left_s)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        # The socket counts its open files: it closes with the last of them.
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """Stamps the arrival of the final status line's first byte."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: io.BufferedReader = io.BufferedReader(_UntilDeadline(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            # Returns once a byte is there, and takes none away. The last pass
            # of this loop is the final status line: 1xx answers are skipped
            # here, of which http.client itself only knows 100.
            self.fp.peek(1)
            _current.exchange.received_ns = time.monotonic_ns()
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Stamped:
    """Stamps the instant before a request's first byte is written."""

    response_class: ClassVar[type[http.client.HTTPResponse]] = _Response

    def connect(self) -> None:
        exchange = _current.exchange
        exchange.connection = next(exchange.numbers)
        super().connect()  # type: ignore[misc]

    def send(self, data: Any) -> None:
        exchange = _current.exchange
        if self.sock is None:  # type: ignore[attr-defined]
            self.connect()
        if not exchange.written:
            exchange.written = True
            exchange.sent_ns = time.monotonic_ns()
        super().send(data)  # type: ignore[misc]


class _HTTP(_Stamped, HTTPConnection):
    pass


class _HTTPS(_Stamped, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class _Adapter(requests.adapters.HTTPAdapter):
    """One pooled connection, no retries."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is an answer. Requests would read its whole body to follow it."""


class ClientSession:
    """Sends one and the same GET request again and again over one connection.

    Environment, proxies, cookies of the server, redirects and retries play no
    part: what is sent is what the scenario says.

    Args:
        url: with whatever identity it carries, sent as it is.
        headers: extra ones, with whatever identity they carry.
        timeout_ns: for a whole request, connecting included.
        numbers: gives each connection its number; shared by a run.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout_ns: int,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self._timeout_ns = timeout_ns
        self._exchange = _Exchange(itertools.count(1) if numbers is None else numbers)
        self._session = _Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(pool_connections=1, pool_maxsize=1, max_retries=0)
        self._session.adapters.clear()
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._session.headers.clear()
        request = requests.Request("GET", url, headers=_HEADERS | dict(headers))
        self._request = self._session.prepare_request(request)
        self._request.url = url  # without Requests' own idea of quoting

    def exchange(self) -> Reply:
        """Send the request and read its answer; never raises for what the network does."""
        exchange = _current.exchange = self._exchange
        exchange.begin(self._timeout_ns)
        status: int | None = None
        error: str | None = None
        headers: Mapping[str, str] = {}
        size = 0
        try:
            response = self._session.send(
                self._request,
                stream=True,
                allow_redirects=False,
                timeout=self._timeout_ns / SECOND_NS,
            )
            status, headers = response.status_code, response.headers
            while chunk := response.raw.read(_CHUNK, decode_content=False):
                size += len(chunk)
                if size > MAX_BODY:
                    error = "oversized"
                    response.close()  # and its connection, with the rest on the way
                    break
            if error is None and size < _declared(status, headers):
                error = "closed"  # urllib3 before 2 takes a cut body for a whole one
        except NETWORK_ERRORS as failure:
            error = error_kind(failure)
        return Reply(
            sent_ns=exchange.sent_ns,
            received_ns=exchange.received_ns if status is not None else None,
            done_ns=time.monotonic_ns(),
            status=status,
            error=error,
            bytes=size,
            connection=exchange.connection,
            headers=headers,
        )

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
