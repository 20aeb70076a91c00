"""The address that a request counts under, where proxies stand in front.

Each proxy appends the address that it was connected from to a header field, so
the last entries were written by those who are trusted and the first by anybody.
The walk therefore goes from the connection backwards and believes an entry only
if a trusted hop wrote it: what a client puts in front of that changes nothing.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from rateproof.enforce.http.validation import checked_token, checked_whole, is_whole
from rateproof.enforce.http.views import RequestView
from rateproof.errors import InvalidArgument

_UNIX = "unix:"
_MAPPED_BITS = 96
"""Of an IPv6 address that maps one of IPv4, what comes before it (RFC 4291, 2.5.5.2)."""
_LONGEST = 45
"""Characters of an address: ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255."""


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """The way to the address of a client, and the part of it that counts.

    The address of a proxied request is that of the last hop that is not
    trusted. An entry that is no address ends the walk, as does the end of the
    field: then it is that of the last hop found, which is a trusted one. IPv4
    mapped into IPv6 counts as the IPv4 address that it is.

    Args:
        proxies: which hops are trusted: how many, counted from this server (0:
            none), or the networks that they are in, such as `["10.0.0.0/8"]`,
            where `unix:` stands for connections by a Unix socket. A count must
            be that of the proxies that every request passes: whoever reaches
            the server past one of them can write an entry that is believed.
        header: the field that the proxies append to: `X-Forwarded-For`,
            `Forwarded` (RFC 7239), or another with a list of addresses or one.
        ipv6_prefix: how many bits of an IPv6 address count, 1 to 128. Of 64
            all addresses of one site are one client: a site has 2**64 of them.

    Raises:
        InvalidArgument: one of these cannot be.

    >>> ClientAddress(proxies=["10.0.0.0/8"], ipv6_prefix=64).ipv6_prefix
    64
    """

    proxies: int | Collection[str] = 0
    header: str = "X-Forwarded-For"
    ipv6_prefix: int = 128
    _networks: "Networks" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        checked_whole("ipv6_prefix", self.ipv6_prefix, 1, 128)
        checked_token("header", self.header)
        listed: tuple[str, ...] = ()
        if not isinstance(self.proxies, int):
            listed = _listed(self.proxies)
            object.__setattr__(self, "proxies", listed)
        elif not is_whole(self.proxies) or self.proxies < 0:
            raise InvalidArgument(f"{self.proxies!r} proxies", "0 or more")
        networks = Networks((text for text in listed if text != _UNIX), "proxies")
        object.__setattr__(self, "_networks", networks)

    def of(self, request: RequestView) -> bytes:
        """The address that a request counts under; empty if it came by a Unix socket.

        A server that names its peer by something else than an address is taken
        at its word.
        """
        return written(self.hop(request), self.ipv6_prefix)

    def hop(self, request: RequestView) -> str:
        """The last hop of a request that is not trusted, as it is told."""
        hop, passed = request.peer, 0
        if self.proxies:
            read = _forwarded if self.header.lower() == "forwarded" else _entry
            elements = _last_first(request.header(self.header).decode("latin-1"))
            # An element is looked at only if a trusted hop wrote it: others may be of any kind.
            while self._trusts(hop, passed):
                found = read(next(elements, ""))
                if found is None:
                    break
                hop, passed = found, passed + 1
        return hop

    def _trusts(self, hop: str, passed: int) -> bool:
        if isinstance(self.proxies, int):
            return passed < self.proxies
        if hop in {"", _UNIX}:
            return _UNIX in self.proxies
        return hop in self._networks


def _listed(proxies: Collection[str]) -> tuple[str, ...]:
    """A text alone is refused: it may be meant as a number, or as several networks."""
    listed = isinstance(proxies, Collection) and not isinstance(proxies, str)
    if not listed or not all(isinstance(each, str) for each in proxies):
        raise InvalidArgument(f"proxies {proxies!r}", "a number, or a list of networks")
    return tuple(proxies)


class Networks:
    """Networks that an address can be in, told as texts such as `10.0.0.0/8`; `what` names them."""

    def __init__(self, texts: Iterable[str], what: str) -> None:
        try:
            self._networks = [_unmapped(ip_network(text)) for text in texts]
        except ValueError as error:
            hint = f"such as 10.0.0.0/8, 2001:db8::/32 or {_UNIX if what == 'proxies' else 'all'}"
            raise InvalidArgument(f"{what}: {error}", hint) from error

    def __contains__(self, text: str) -> bool:
        address = _parsed(text) if self._networks else None
        return address is not None and any(address in network for network in self._networks)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Give the IPv4 network that an IPv6 one maps: addresses are told so, too."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))


def _last_first(value: str) -> Iterator[str]:
    """The elements of a list field, from the last; a comma in quotes separates nothing."""
    end = start = len(value)
    quotes = 0
    while end >= 0:
        comma = value.rfind(",", 0, start)
        quotes += value.count('"', comma + 1, start)
        start = comma
        if comma < 0 or quotes % 2 == 0:
            yield value[comma + 1 : end].strip(" \t")
            end, quotes = comma, 0


def _forwarded(element: str) -> str | None:
    """The address in an element of Forwarded, such as `for="[2001:db8::1]:4711";proto=http`."""
    pairs = [pair.partition("=") for pair in element.split(";")]
    values = [value.strip(" \t") for name, _, value in pairs if name.strip(" \t").lower() == "for"]
    if len(values) != 1:
        return None
    value = values[0]
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return _entry(value[1:-1] if quoted else value)


def _entry(text: str) -> str | None:
    """An address, perhaps with a port: `192.0.2.1:80`, `[2001:db8::1]:80`; None if it is none."""
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if len(text) > _LONGEST or "%" in text or _parsed(text) is None:
        return None
    return text


def written(hop: str, ipv6_prefix: int) -> bytes:
    """The address in the one form that counts."""
    # IPv4 has one form only, and what has no colon is no other address.
    return _ipv6(hop, ipv6_prefix) if ":" in hop else hop.encode("utf-8", "surrogatepass")


@lru_cache(4096)
def _ipv6(hop: str, prefix: int) -> bytes:
    address = _parsed(hop)
    if address is None:
        return hop.encode("utf-8", "surrogatepass")
    if address.version == 4 or prefix == 128:
        return str(address).encode()
    return str(IPv6Network((int(address), prefix), strict=False)).encode()


@lru_cache(4096)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address, without a zone; None if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


DIRECT = ClientAddress()
"""No proxies: the address that the connection came from."""
