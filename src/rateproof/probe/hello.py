"""Statements of the server about its limit: hypotheses, believed never."""

import http.client
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from rateproof.errors import Unreachable
from rateproof.output import printable
from rateproof.prove.diagnosis.statuses import UNANSWERED
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.target import Target
from rateproof.units import SECOND_NS

_POLICY = re.compile(r";[ \t]*w[ \t]*=[ \t]*(\d{1,9})(?!\d)", re.ASCII)
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)
_TELLING = ("ratelimit-policy", "ratelimit", "retry-after")
_TELLING_PREFIX = "x-ratelimit-"

# As `error_kind` names them; in order, for some are kinds of others.
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (http.client.LineTooLong, "oversized"),
    (http.client.RemoteDisconnected, "closed"),
    (http.client.BadStatusLine, "protocol"),
    (http.client.UnknownProtocol, "protocol"),
    (http.client.HTTPException, "oversized"),  # bare: more fields than it takes
    (ConnectionRefusedError, "refused"),
    (ConnectionError, "reset"),
    (socket.gaierror, "dns"),
    (ssl.SSLError, "tls"),
    (TimeoutError, "timeout"),
)


@dataclass(frozen=True, slots=True)
class Hello:
    """One plain answer.

    Args:
        status: its status.
        location: where it redirects to, if it does.
        claims: its headers that speak of a limit.
        hints_ns: windows named in them.
        closing: whether the server closes the connection after it.
    """

    status: int
    location: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)
    hints_ns: tuple[int, ...] = ()
    closing: bool = False


def say_hello(scenario: Scenario, address: str = "") -> Hello:
    """Ask once, with the identity of the scenario's namespace.

    Args:
        scenario: how.
        address: of this machine, from which to ask; empty: any.

    Raises:
        Unreachable: no answer, or none that is HTTP.
    """
    head, body = scenario.template().split(next(iter(scenario.clients())).written())
    request, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    target = scenario.target
    connection = _connection(scenario, target, address)
    try:
        connection.request(
            scenario.method,
            request.split(" ")[1],
            body=body or None,
            headers=dict(line.split(": ", 1) for line in lines),
        )
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        closing = answer.will_close
    except (OSError, http.client.HTTPException) as error:
        raise _unanswered(scenario.target, error) from error
    finally:
        connection.close()
    claims = {
        name: value[:200]
        for name, value in fields.items()
        if name in _TELLING or name.startswith(_TELLING_PREFIX)
    }
    return Hello(answer.status, fields.get("location", ""), claims, _hints_ns(claims), closing)


def _unanswered(target: Target, error: Exception) -> Unreachable:
    """Make the error, in the words of a test: a server of another protocol must not be started."""
    kind = next((name for kinds, name in _KINDS if isinstance(error, kinds)), "other")
    why = UNANSWERED.get(kind, printable(str(error) or type(error).__name__))
    hint = "start the server first, or check the URL" if kind == "refused" else None
    return Unreachable(f"nothing answers at {target.url}: {why}", hint)


def _connection(scenario: Scenario, target: Target, address: str) -> http.client.HTTPConnection:
    timeout_s = scenario.timeout_ns / SECOND_NS
    source = (address, 0) if address else None
    if target.scheme == "http":
        return http.client.HTTPConnection(target.host, target.port, timeout_s, source)
    context = ssl.create_default_context(cafile=scenario.ca_file)
    if scenario.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(
        target.host, target.port, timeout=timeout_s, source_address=source, context=context
    )


def _hints_ns(claims: Mapping[str, str]) -> tuple[int, ...]:
    """Windows of RateLimit-Policy, and waits that are windows if the limit was just used up."""
    found = [int(seconds) for seconds in _POLICY.findall(claims.get("ratelimit-policy", ""))]
    retry_after = claims.get("retry-after", "")
    if _SECONDS.fullmatch(retry_after):
        found.append(int(retry_after))
    return tuple(sorted({seconds * SECOND_NS for seconds in found if seconds}))
