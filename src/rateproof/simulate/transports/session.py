"""One connection of one client: a `requests.Session`. Needs Requests."""

import itertools
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import requests

from rateproof.simulate.transports.failures import NETWORK_ERRORS, error_kind
from rateproof.simulate.transports.wire import Adapter, Exchange, current
from rateproof.units import SECOND_NS

__all__ = ["ClientSession", "Reply", "prepare", "trust"]

MAX_BODY = 1 << 20
"""A longer body is given up: error `oversized`."""

_CHUNK = 1 << 16
_LENGTH = re.compile(r"[0-9]{1,18}")
_LENGTH_EXPECTED = frozenset({"PATCH", "POST", "PUT"})
_HEADERS = {"User-Agent": "rateproof", "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request.

    Args:
        sent_ns: before the first byte was written, of a dripped header before
            the byte that completes it; where there was no connection to
            write to, before it was tried.
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


def _declared(method: str | None, status: int, headers: Mapping[str, str]) -> int:
    """How many bytes of body the header promises at least (RFC 9112, section 6.3)."""
    length = headers.get("Content-Length", "")
    if method == "HEAD" or status in {204, 304}:
        return 0
    if "Transfer-Encoding" in headers or not _LENGTH.fullmatch(length):
        return 0
    return int(length)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is an answer. Requests would read its whole body to follow it."""


def trust(scheme: str, ca_file: str | None, *, insecure: bool) -> ssl.SSLContext | None:
    """How certificates are judged: by a file's, by the system's, or not at all; one for a run.

    Returns:
        None where the scheme has no certificates.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    if scheme != "https":
        return None
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def prepare(
    url: str, headers: Mapping[str, str], *, method: str = "GET", body: bytes = b""
) -> requests.PreparedRequest:
    """A request, ready to be sent as often as wanted.

    Args:
        url: with whatever identity it carries, sent as it is.
        headers: in order, with whatever identity they carry; they replace the
            standard ones by name.
        method: in capital letters.
        body: sent with its length.
    """
    own = {name.lower() for name in headers}
    lines = {name: value for name, value in _HEADERS.items() if name.lower() not in own}
    request = requests.PreparedRequest()
    request.prepare(method=method, url=url, headers=lines | dict(headers), data=body or None)
    request.url = url  # without Requests' own idea of quoting
    if not body and method not in _LENGTH_EXPECTED:
        request.headers.pop("Content-Length", None)
    return request


class ClientSession:
    """Sends requests one after the other over one connection.

    Environment, proxies, cookies of the server, redirects and retries play no
    part: what is sent is what the scenario says.

    Args:
        timeout_ns: for a whole request, connecting included.
        connect_timeout_ns: for each connection within that; None: the same.
        context: see `trust`; None where there are no certificates.
        numbers: gives each connection its number; shared by a run.
    """

    def __init__(
        self,
        *,
        timeout_ns: int,
        connect_timeout_ns: int | None = None,
        context: ssl.SSLContext | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self._timeout_ns = timeout_ns
        self._connect_ns = min(timeout_ns, connect_timeout_ns or timeout_ns)
        self._exchange = Exchange(itertools.count(1) if numbers is None else numbers)
        self._session = _Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = Adapter(context)
        self._session.adapters.clear()
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def exchange(self, request: requests.PreparedRequest, over_ns: int = 0) -> Reply:
        """Send a request and read its answer; never raises for what the network does.

        Args:
            request: what `prepare` made.
            over_ns: above 0, its header is dripped out over so long.
        """
        exchange = current.exchange = self._exchange
        exchange.begin(self._timeout_ns, self._connect_ns, over_ns)
        status: int | None = None
        error: str | None = None
        headers: Mapping[str, str] = {}
        size = 0
        try:
            response = self._session.send(
                request,
                stream=True,
                allow_redirects=False,
                timeout=(self._connect_ns / SECOND_NS, self._timeout_ns / SECOND_NS),
            )
            status, headers = response.status_code, response.headers
            while chunk := response.raw.read(_CHUNK, decode_content=False):
                size += len(chunk)
                if size > MAX_BODY:
                    error = "oversized"
                    response.close()  # and its connection, with the rest on the way
                    break
            if error is None and size < _declared(request.method, status, headers):
                error = "closed"  # urllib3 before 2 takes a cut body for a whole one
        except NETWORK_ERRORS as failure:
            error = error_kind(failure)
        if error is not None and exchange.aborted:
            error = "other"
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

    def abort(self) -> None:
        """Give up what is in flight, from any thread: error `other`; nothing more is sent."""
        self._exchange.abort()

    @property
    def sent_ns(self) -> int:
        """When the request in flight was sent, as far as that is known; see `Reply`."""
        return self._exchange.sent_ns

    @property
    def connection(self) -> int:
        """The number of the connection in use."""
        return self._exchange.connection

    @property
    def reconnects(self) -> int:
        """How often it has opened a connection after another one."""
        return self._exchange.reconnects

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
