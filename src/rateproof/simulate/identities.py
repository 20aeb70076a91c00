"""Identities of clients, and their places in a request."""

from hashlib import blake2b
from urllib.parse import parse_qsl, quote, urlsplit

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part
from rateproof.options.forms import FRAMING
from rateproof.simulate.target import Target

__all__ = ["IDENTITY_BYTES", "check_place", "identity_of", "place_identity"]

IDENTITY_BYTES = 18
"""Length of every identity."""


def identity_of(namespace: str, number: int, alias: int = 0) -> bytes:
    """An identity of the client with this number: `c-` and 16 hexadecimal digits.

    A digest of the run's random namespace, the number and the alias: it looks
    random, is the same for every connection of the client, and a new
    namespace gives identities that no server has seen. Two of n identities
    collide with probability n**2 / 2**65, below 3 * 10**-8 for a million.

    Args:
        namespace: what makes the run's identities unique.
        number: of the client in its scenario.
        alias: 0 for the identity that is its own, 1, 2, ... for those that a
            client who rotates them takes on.
    """
    text = f"{namespace}/{number}/{alias}" if alias else f"{namespace}/{number}"
    return b"c-" + blake2b(text.encode(), digest_size=8).hexdigest().encode("ascii")


def check_place(target: Target, part: Part) -> None:
    """Accept a part of a request that can hold an identity of the client's own.

    Raises:
        InvalidArgument: the address, path or method; a header that frames the
            message; a query parameter that the target has already.
    """
    if part.kind not in {"query", "header", "cookie"} or not part.name:
        raise InvalidArgument(
            f"key {str(part)!r} has no place for an identity",
            "name one: query:NAME, header:NAME or cookie:NAME",
        )
    if part.kind == "header" and part.name.lower() in FRAMING:
        raise InvalidArgument(f"key {str(part)!r} would break the request", "use another header")
    query = urlsplit(target.url).query
    if part.kind == "query" and part.name in {
        name for name, _ in parse_qsl(query, keep_blank_values=True)
    }:
        raise InvalidArgument(
            f"the URL {target.url!r} has {part.name!r} already",
            "leave it out: each client puts its own identity there",
        )


def place_identity(target: Target, part: Part, identity: bytes) -> tuple[str, dict[str, str]]:
    """The URL and the headers of a request that carries an identity of `identity_of` at `part`."""
    text = identity.decode("ascii")
    if part.kind == "query":
        separator = "&" if "?" in target.path else "?"
        return f"{target.url}{separator}{quote(part.name, safe='')}={text}", {}
    if part.kind == "header":
        return target.url, {part.name: text}
    return target.url, {"Cookie": f"{part.name}={text}"}
