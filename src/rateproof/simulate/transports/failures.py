"""What went wrong with a request, in one word. Needs Requests."""

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import requests
import urllib3

__all__ = ["ERRORS", "NETWORK_ERRORS", "error_kind"]

ERRORS = (
    "refused",
    "reset",
    "closed",
    "timeout",
    "protocol",
    "tls",
    "dns",
    "oversized",
    "local",
    "other",
)
"""Every kind: `refused` no listener; `reset` and `closed` a connection that ended
before the answer was whole; `timeout`; `protocol` an answer that is not HTTP;
`tls`, a certificate that does not verify included; `dns`; `oversized` a body
or a header section above the bound; `local` this machine has no file descriptor or no local port
left; `other` the rest, such as no route."""

NETWORK_ERRORS: tuple[type[BaseException], ...] = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
"""What a request may raise because of the network or the server."""

_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL})

# In order: the first kind that any exception of the chain belongs to.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (http.client.RemoteDisconnected, "closed"),  # is a ConnectionResetError too
    (socket.gaierror, "dns"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
    (ConnectionAbortedError, "reset"),
    (TimeoutError, "timeout"),
    (requests.Timeout, "timeout"),
    (http.client.IncompleteRead, "closed"),
    (http.client.LineTooLong, "oversized"),
    (http.client.HTTPException, "protocol"),
    (urllib3.exceptions.ProtocolError, "protocol"),
    (urllib3.exceptions.InvalidHeader, "protocol"),
)


def error_kind(error: BaseException) -> str:
    """Name a failure: one of `ERRORS`; that a body is `oversized` nobody raises."""
    chain = list(_chain(error))
    if any(isinstance(link, OSError) and link.errno in _LOCAL for link in chain):
        return "local"
    if any(type(link) is http.client.HTTPException for link in chain):
        return "oversized"  # bare, it says only that there are more fields than it takes
    for kind, name in _KINDS:
        if any(isinstance(link, kind) for link in chain):
            return name
    return "other"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and everything it wraps: Requests and urllib3 nest by args and `reason`."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        link = waiting.pop()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
