"""Identities of clients, and their places in a request."""

import json
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from rateproof.errors import InvalidArgument
from rateproof.keyspec import PLACES, Part
from rateproof.options.forms import FRAMING
from rateproof.simulate.target import Target

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


class Placed(NamedTuple):
    """The parts of a request that depend on where its identity stands.

    Args:
        url: its URL, secret parameters included.
        headers: beside those of every request, which go before them.
        body: its body.
    """

    url: str
    headers: dict[str, str]
    body: bytes


def check_place(target: Target, part: Part, body: bytes = b"") -> None:
    """Accept a part of a request that can hold an identity of the client's own.

    Raises:
        InvalidArgument: the address, whole path or method; a header that frames the
            message; a query parameter that the target has already; a segment far
            behind its path; a field where the body is not a JSON object.
    """
    if not part.name:
        raise InvalidArgument(f"key {str(part)!r} has no place for an identity", PLACES)
    if part.kind in {"path", "json"}:
        place_identity(target, part, "", body)
    if part.kind == "header" and part.name.lower() in FRAMING:
        raise InvalidArgument(f"key {str(part)!r} would break the request", "use another header")
    query = urlsplit(target.secret_url).query
    if part.kind == "query" and part.name in {
        name for name, _ in parse_qsl(query, keep_blank_values=True)
    }:
        raise InvalidArgument(
            f"the URL {target.url!r} has {part.name!r} already",
            "leave it out: each client puts its own identity there",
        )


def place_identity(target: Target, part: Part, identity: str, body: bytes = b"") -> Placed:
    """Put an identity, written as it has to be there, at `part` of a request.

    Raises:
        InvalidArgument: see `check_place`.
    """
    url, headers = target.secret_url, {}
    if part.kind == "query":
        url = f"{url}{'&' if '?' in url else '?'}{quote(part.name, safe='')}={identity}"
    elif part.kind == "header":
        headers = {part.name: identity}
    elif part.kind == "cookie":
        headers = {"Cookie": f"{part.name}={identity}"}
    elif part.kind == "path":
        url = url.removesuffix(target.secret_path) + _in_path(target, int(part.name), identity)
    else:
        headers = {"Content-Type": "application/json"}
        body = _in_json(body, part, identity)
    return Placed(url, headers, body)


def _in_path(target: Target, number: int, identity: str) -> str:
    """The path with an identity as its segment of this number, or behind the last."""
    path, mark, query = target.secret_path.partition("?")
    segments = path.split("/")
    if not segments[-1]:
        segments.pop()
    if number > len(segments):
        raise InvalidArgument(
            f"key path:{number}, and the path {path!r} has {len(segments) - 1} segments",
            "the URL of one client: its segment of that number is replaced",
        )
    return "/".join([*segments[:number], identity, *path.split("/")[number + 1 :]]) + mark + query


def _in_json(body: bytes, part: Part, identity: str) -> bytes:
    """The object of JSON with an identity in a field; dots lead to fields within."""
    try:
        document: Any = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        document = None
    *outer, last = part.name.split(".")
    inner = document
    for name in outer:
        inner = inner.setdefault(name, {}) if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        raise InvalidArgument(
            f"key {str(part)!r}, and the body is not a JSON object that can hold it",
            """such as --data '{"user": "", "password": "..."}'""",
        )
    inner[last] = identity
    return json.dumps(document).encode()
