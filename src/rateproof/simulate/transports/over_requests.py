"""Connections over Requests, without its leniency: numbered, and ended from any thread."""

import errno
import http.client
import itertools
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

import requests
import requests.adapters
import urllib3

from rateproof.simulate.scenario import Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.transports.limit_fields import parse_ratelimit, parse_retry_after
from rateproof.units import SECOND_NS

MAX_BODY = 1 << 20
"""A longer body is given up: error `oversized`."""

_CHUNK = 1 << 16


class Requester:
    """The requests of a scenario, as Requests takes them, and whom it trusts."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.trust = _trust(scenario)
        self.numbers = itertools.count(1)
        """Number of the next connection."""
        timeout_ns = scenario.timeout_ns
        connect_ns = min(timeout_ns, scenario.connect_timeout_ns or timeout_ns)
        self.timeout_s = (connect_ns / SECOND_NS, timeout_ns / SECOND_NS)
        self._template = scenario.template()

    def request(self, identity: bytes) -> requests.PreparedRequest:
        """The bytes of the template, as Requests takes them."""
        scenario = self.scenario
        top, body = self._template.split(identity)
        head = top.decode("latin-1").split("\r\n")
        request = requests.PreparedRequest()
        request.method, request.body = scenario.method, body or None
        request.url = scenario.target.url.removesuffix(scenario.target.path) + head[0].split(" ")[1]
        lines = (line.partition(": ") for line in head[1:-2])
        request.headers = requests.structures.CaseInsensitiveDict(
            {name: value for name, _, value in lines}
        )
        return request


class RequestsConnection:
    """Sends one request after the other; Requests opens another connection where it has to."""

    def __init__(self, requester: Requester) -> None:
        self.number = 0
        """Number of the connection that is in use, or was the last."""
        self.opened = 0
        self.cut_for: str | None = None
        """The error by which the request in flight was ended."""
        self._requester = requester
        self._sock: socket.socket | None = None
        target = requester.scenario.target
        pool: Any = urllib3.connection_from_url(target.url, **requester.trust)
        outer = self

        class Connection(pool.ConnectionCls):
            def connect(self) -> None:
                outer._sock, outer.number = None, next(requester.numbers)
                super().connect()
                outer._sock, outer.opened = self.sock, outer.opened + 1
                if outer.cut_for is not None:
                    raise ConnectionAbortedError("the request was given up")

        pool.ConnectionCls = Connection
        self._session = _Session(target, pool)

    def send(self, request: requests.PreparedRequest, row: dict[str, Any]) -> str | None:
        """Send a request, and put its answer into a row of the log.

        Returns:
            The error, `cut_for` if it was ended; None for a whole answer.
        """
        try:
            error = self._exchange(request, row)
        except (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException) as failure:
            error = _error_kind(failure)
        return self.cut_for or error

    def cut(self, why: str) -> None:
        """End the request in flight with an error, from any thread; connecting goes on."""
        self.cut_for = why
        if self._sock is not None:
            # Not the method of a TLS socket, which changes what its reader is using.
            with suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _exchange(self, request: requests.PreparedRequest, row: dict[str, Any]) -> str | None:
        response = self._session.send(
            request, stream=True, allow_redirects=False, timeout=self._requester.timeout_s
        )
        received_ns = time.monotonic_ns()
        if self.cut_for is not None:
            return None  # http.client takes what had come by then for a whole header section
        if response.status_code < 200:
            response.close()  # with what follows: it would pass for the next answer
            if response.status_code != http.client.SWITCHING_PROTOCOLS:
                return "protocol"
        row |= {"received_ns": received_ns, "status": response.status_code}
        raw = response.raw
        raw.enforce_content_length = True  # urllib3 before 2 takes a cut body for a whole one
        while chunk := raw.read(_CHUNK, decode_content=False):
            row["bytes"] += len(chunk)
            if row["bytes"] > MAX_BODY:
                response.close()  # and its connection, with the rest on the way
                return "oversized"
        if _is_cut(response, row["bytes"]):
            return "closed"
        headers = response.headers
        remaining, reset_s = parse_ratelimit(headers.get("RateLimit"))
        row |= {
            "retry_after_s": parse_retry_after(headers.get("Retry-After"), headers.get("Date")),
            "ratelimit_remaining": remaining,
            "ratelimit_reset_s": reset_s,
        }
        return None


class _Adapter(requests.adapters.HTTPAdapter):
    """Sends everything by one pool, whose own context judges certificates."""

    def __init__(self, pool: urllib3.HTTPConnectionPool) -> None:
        super().__init__()
        self._pool = pool

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: Requests would add authorities of its own to those of the context."""

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> Any:
        """The pool; Requests would make one with another context."""
        return self._pool

    get_connection = get_connection_with_tls_context  # as Requests before 2.32 calls it

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


class _Session(requests.Session):
    """A session that sends what the scenario says, by a pool: no environment, no redirects."""

    def __init__(self, target: Target, pool: urllib3.HTTPConnectionPool) -> None:
        super().__init__()
        self.trust_env = False
        self.mount(f"{target.scheme}://", _Adapter(pool))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is an answer. Requests would read its whole body to follow it."""


def _trust(scenario: Scenario) -> dict[str, ssl.SSLContext]:
    """The judge of certificates of a run: by a file's, by the system's, or none at all."""
    if scenario.target.scheme != "https":
        return {}
    context = ssl.create_default_context(cafile=scenario.ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if scenario.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return {"ssl_context": context}


_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL})

# In order: the first that any exception of the chain belongs to.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (http.client.RemoteDisconnected, "closed"),  # is a ConnectionResetError too
    (socket.gaierror, "dns"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
    (ConnectionError, "reset"),
    (TimeoutError, "timeout"),
    (requests.Timeout, "timeout"),
    (http.client.IncompleteRead, "closed"),
    (http.client.LineTooLong, "oversized"),
    (http.client.HTTPException, "protocol"),
    (urllib3.exceptions.ProtocolError, "protocol"),
    (urllib3.exceptions.InvalidHeader, "protocol"),
)


def _error_kind(error: BaseException | None) -> str:
    """Name a failure in one word; docs/simulate/engine.md lists them."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    if any(isinstance(link, OSError) and link.errno in _LOCAL for link in chain):
        return "local"
    if any(type(link) is http.client.HTTPException for link in chain):
        return "oversized"  # bare, it says only that there are more fields than it takes
    found = (name for kind, name in _KINDS if any(isinstance(link, kind) for link in chain))
    return next(found, "other")


def _is_cut(response: requests.Response, size: int) -> bool:
    """True if the connection ended where nothing said that it would.

    http.client takes a header section that is cut off for a whole one.
    """
    raw, plain = response.raw, "Connection" not in response.headers
    framed = raw.chunked or raw.length_remaining is not None
    return size == 0 and raw.version == 11 and plain and not framed
