"""Claims about failures: each is named by what went wrong, however it is wrapped."""

import errno
import http.client
import socket
import ssl

import pytest
import requests
import urllib3

from rateproof.simulate.transports.failures import ERRORS, error_kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "reset"),
        (BrokenPipeError(), "reset"),
        (http.client.RemoteDisconnected(), "closed"),
        (http.client.IncompleteRead(b""), "closed"),
        (TimeoutError(), "timeout"),
        (requests.ReadTimeout(), "timeout"),
        (http.client.BadStatusLine("x"), "protocol"),
        (http.client.LineTooLong("header line"), "oversized"),
        (http.client.HTTPException("got more than 100 headers"), "oversized"),
        (urllib3.exceptions.InvalidHeader(), "protocol"),
        (ssl.SSLCertVerificationError(), "tls"),
        (socket.gaierror(), "dns"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "local"),
        (OSError(errno.EMFILE, "Too many open files"), "local"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "other"),
    ],
)
def test_a_failure_is_named_bare_and_wrapped(error: Exception, kind: str) -> None:
    assert error_kind(error) == kind
    assert error_kind(requests.ConnectionError(urllib3.exceptions.ProtocolError("x", error))) in {
        kind,
        "protocol",
    }
    chained = requests.ConnectionError("x")
    chained.__cause__ = error
    assert error_kind(chained) == kind
    assert kind in ERRORS


def test_a_circle_of_causes_ends() -> None:
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert error_kind(first) == "other"
