"""The target of the requests."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlencode, urlsplit

from rateproof.errors import InvalidArgument

_FORM = "a URL is http://HOST[:PORT][/PATH] (https:// too)"
_PEM = "a readable file of certificates in PEM (-----BEGIN CERTIFICATE-----)"
_PORTS = {"http": 80, "https": 443}

_URL_BYTES = re.compile(r"[!-~]+")  # visible ASCII: the rest must be percent-encoded
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_NUMERIC = re.compile(r"[0-9.]+")
_BARE = re.compile(r"(localhost|\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\]|[\w.-]+:\d+)([:/?].*)?")


@dataclass(frozen=True, slots=True)
class Target:
    """One resource of one server.

    Args:
        scheme: `http` or `https`.
        host: a name or an address, in lower case, IPv6 without its brackets.
        port: 1 to 65535.
        path: path and query as sent, at least `/`.
        secret: more of the query, which is sent and shown nowhere.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    secret: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL; nothing is looked up or connected to.

        Raises:
            InvalidArgument: not such a URL, user-info or a fragment in it, or
                characters that must be percent-encoded.
        """
        if not _URL_BYTES.fullmatch(url):
            raise InvalidArgument(
                f"URL {url!r} holds a character that none has",
                f"{_FORM}, other characters percent-encoded",
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidArgument(f"URL {url!r}: {error}", _FORM) from None
        if parts.scheme not in _PORTS or not parts.netloc:
            missing = _BARE.fullmatch(url) is not None
            hint = f"write http://{url}" if missing else _FORM
            raise InvalidArgument(f"URL {url!r} is not a web address", hint)
        _refuse_extras(parts, url)
        if port == 0:
            raise InvalidArgument(f"URL {url!r}: port 0", "a port is 1 to 65535")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, _host(parts, url), port or _PORTS[parts.scheme], path)

    def asking(self, parameters: Iterable[tuple[str, str]]) -> Self:
        """The same with more parameters in its query, which are sent and shown nowhere."""
        return replace(self, secret=urlencode(list(parameters)))

    @property
    def url(self) -> str:
        """The URL that `parse` reads back, its port left out where it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def secret_path(self) -> str:
        """The path with all of the query, for who sends."""
        mark = ("&" if "?" in self.path else "?") if self.secret else ""
        return self.path + mark + self.secret

    @property
    def secret_url(self) -> str:
        """The URL with all of the query, for who sends."""
        return self.url.removesuffix(self.path) + self.secret_path

    @property
    def is_loopback(self) -> bool:
        """True if every address of the host is this machine itself.

        Looks a name up. A name with no address, or with one that is not in
        127.0.0.0/8 and not ::1, is not loopback.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError:
            return False
        return bool(found) and all(_is_loopback(str(entry[4][0])) for entry in found)

    def answers(self, timeout_s: float = 2.0) -> bool:
        """True if a TCP connection can be opened within `timeout_s` seconds per address."""
        return self.accepts(timeout_s) is True

    def accepts(self, timeout_s: float = 2.0) -> bool | None:
        """The same; None where no connection was refused either in that time."""
        try:
            socket.create_connection((self.host, self.port), timeout_s).close()
        except TimeoutError:
            return None
        except OSError:
            return False
        return True

    def __str__(self) -> str:
        return self.url


def check_trust(target: Target, *, ca_file: str | None, insecure: bool) -> None:
    """Accept a way to judge the server's certificate that fits the target.

    Args:
        target: where the requests go.
        ca_file: certificates in PEM to trust instead of the system's; read here.
        insecure: any certificate will do.

    Raises:
        InvalidArgument: either of them without https, both together, or a
            file that cannot be read or holds no certificate.
    """
    for name, given in (("ca_file", ca_file is not None), ("insecure", insecure)):
        if given and target.scheme != "https":
            raise InvalidArgument(
                f"{name} with {target.url!r}", "only an https:// URL has certificates"
            )
    if ca_file is None:
        return
    if insecure:
        raise InvalidArgument("ca_file and insecure together", "insecure trusts anybody: leave one")
    _read_certificates(ca_file)


def _read_certificates(path: str) -> None:
    import ssl

    if not isinstance(path, str) or "\0" in path:
        raise InvalidArgument(f"ca_file is {path!r}", _PEM)
    try:
        if Path(path).exists() and not Path(path).is_file():  # reading a pipe would wait
            raise InvalidArgument(f"ca_file {path!r} is not a regular file", _PEM)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise InvalidArgument(f"ca_file {path!r} holds no certificate", _PEM) from None
    except OSError as error:
        raise InvalidArgument(f"cannot read ca_file {path!r}: {error.strerror}", _PEM) from None


def _refuse_extras(parts: SplitResult, url: str) -> None:
    if "@" in parts.netloc:
        # Not repeated in the message: what stands before the @ may be a password.
        raise InvalidArgument("the URL has a user name or password in it", _FORM)
    if "#" in url:
        raise InvalidArgument(f"URL {url!r} has a fragment", "leave out # and what follows it")


def _host(parts: SplitResult, url: str) -> str:
    host = parts.hostname or ""
    if parts.netloc.startswith("["):
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise InvalidArgument(f"URL {url!r}: {host!r} is not an IPv6 address", _FORM) from None
        if address.scope_id is not None:
            raise InvalidArgument(f"URL {url!r}: {host!r} has a zone", f"{_FORM}, without a zone")
        return str(address)
    if _NUMERIC.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise InvalidArgument(f"URL {url!r}: {host!r} is not an IPv4 address", _FORM) from None
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise InvalidArgument(f"URL {url!r}: {host!r} is not a host name", _FORM)
    return host


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
