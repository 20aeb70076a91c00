"""The address of a Redis or Valkey server, and how to talk to it: the store's URL.

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]            rediss:// with TLS
    unix://[USER@]PATH[?db=DB]
    redis+cluster://[[USER]:PASSWORD@]HOST[:PORT][,…]     rediss+cluster:// with TLS

Options follow a `?`: those of redis-py, such as `ssl_ca_certs=PATH`, and ours:
`timeout=250ms` for every decision, `prefix=rateproof` of all keys.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from rateproof.enforce.stores.location import shown_url
from rateproof.errors import InvalidArgument
from rateproof.units import parse_duration

DEFAULT_TIMEOUT: Final = "250ms"
"""Above the 200 ms after which TCP sends a lost packet again."""

_CLUSTER: Final = "+cluster"
_PREFIX: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ACCEPTED: Final = "redis://HOST:PORT/DB, unix://PATH or redis+cluster://HOST:PORT,HOST:PORT"


@dataclass(frozen=True, slots=True)
class Address:
    """A store's URL, read.

    Args:
        shown: the URL without credentials and options, for people.
        url: what redis-py reads of it; with the password, so never shown.
        nodes: host and port of some nodes of a Cluster; empty for a single server.
        timeout_s: how long to wait for a connection, and for an answer.
        prefix: what the names of all keys begin with.
    """

    shown: str
    url: str = field(repr=False)
    nodes: tuple[tuple[str, int], ...]
    timeout_s: float
    prefix: str

    def options(self, parsed: dict[str, Any]) -> dict[str, Any]:
        """Return the options for redis-py: its own reading of `url`, and ours where that says nothing.

        Nothing is sent twice by itself: an answer that was lost may have been an admission.
        """
        wanted = {
            "socket_timeout": self.timeout_s,
            "socket_connect_timeout": self.timeout_s,
            "protocol": 2,
        }
        return wanted | parsed | {"decode_responses": False}

    def censored(self, text: str) -> str:
        """The text without the password, which some servers repeat in their errors."""
        parts = urlsplit(self.url)
        secrets = [parts.password, dict(parse_qsl(parts.query)).get("password")]
        for secret in filter(None, secrets):
            text = text.replace(unquote(secret), "***")
        return text


def parse_address(url: str) -> Address:
    """Read a store's URL.

    Raises:
        InvalidArgument: it is no such URL; the message has no password.
    """
    shown = shown_url(url)
    try:
        parts = urlsplit(url.replace(_CLUSTER, "", 1))
        nodes = _nodes(parts) if url.partition(":")[0].endswith(_CLUSTER) else ()
        readable = bool(nodes or parts.port is None or parts.port)
    except ValueError:
        readable = False
    if not readable or not _well_formed(parts, cluster=bool(nodes)):
        # No part is named: of an unquoted password it could be the rest.
        raise InvalidArgument(
            f"store {shown!r} cannot be read",
            f"a store is {_ACCEPTED}; special characters of a password are quoted, as %2F for /",
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    timeout_s = parse_duration(options.pop("timeout", DEFAULT_TIMEOUT)) / 1e9
    if timeout_s <= 0:
        raise InvalidArgument(f"store {shown!r} has the timeout 0", "a timeout is above 0")
    prefix = options.pop("prefix", "rateproof")
    if not _PREFIX.fullmatch(prefix):
        raise InvalidArgument(
            f"store {shown!r} has the prefix {prefix!r}",
            "a prefix is 1 to 64 of A-Z a-z 0-9 . _ : -",
        )
    # redis-py is told of one node, and of the others beside.
    place = f"{parts.netloc.partition(',')[0]}{parts.path}"
    plain = f"{parts.scheme}://{place}?{urlencode(options)}"
    return Address(shown, plain, nodes, timeout_s, prefix)


def _nodes(parts: SplitResult) -> tuple[tuple[str, int], ...]:
    hosts = parts.netloc.rpartition("@")[2].split(",")
    split = [urlsplit(f"//{host}") for host in hosts]
    return tuple((each.hostname or "localhost", each.port or 6379) for each in split)


def _well_formed(parts: SplitResult, *, cluster: bool) -> bool:
    if parts.fragment:
        return False
    if parts.scheme == "unix":
        return bool(parts.path)
    databases = r"/?0?" if cluster else r"/?\d*"
    return re.fullmatch(databases, parts.path) is not None
