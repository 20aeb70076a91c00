"""The address to listen on: found, and known to be free, before a server starts."""

import errno
import os
import socket

from rateproof.errors import Unreachable

_PLAIN = {
    errno.EADDRINUSE: ("is already in use", "stop what listens there, or choose another port"),
    errno.EADDRNOTAVAIL: ("is not an address of this machine", "use 127.0.0.1 or 0.0.0.0"),
    errno.EACCES: ("may not be listened on", "ports below 1024 need privileges: use 1024 or more"),
}


def bound_socket(host: str, port: int) -> socket.socket:
    """A TCP socket bound to `host` and `port`, not listening yet.

    It is bound without SO_REUSEPORT, under which two servers would share a
    port without a word, and with SO_REUSEADDR, so that connections of a server
    just stopped (TIME_WAIT) do not block its successor.

    Args:
        host: an address or a name; of several addresses IPv4 is preferred.
        port: 0 picks a free one.

    Raises:
        Unreachable: the port is taken, or the host is not this machine.
    """
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, ValueError) as error:  # ValueError: names that cannot be encoded
        raise Unreachable(
            f"host {host!r} cannot be resolved", "use 127.0.0.1 or 0.0.0.0"
        ) from error
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        problem, hint = _PLAIN.get(
            error.errno or 0, (f"cannot be listened on: {os.strerror(error.errno or 0)}", None)
        )
        raise Unreachable(f"{host}:{port} {problem}", hint) from error
    return bound


def url_of(host: str, port: int) -> str:
    """The URL of a server, with an IPv6 address in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def accepts(ip: str, port: int, timeout_s: float = 1.0) -> bool:
    """Try to connect to a numeric address; "any address" is tried on loopback."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    ip = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(ip, ip)  # noqa: S104 - compared, not bound
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout_s)
        return probe.connect_ex((ip, port)) == 0
