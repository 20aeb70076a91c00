"""One request as bytes: everything but the identity is fixed before the run."""

import re
from dataclasses import dataclass
from typing import Self

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part
from rateproof.options.forms import FRAMING
from rateproof.simulate.identities import IDENTITY_BYTES, place_identity
from rateproof.simulate.target import Target

__all__ = [
    "RequestTemplate",
    "check_headers",
    "shown_header",
]

MAX_HEADERS = 100
_MAX_HEADER_BYTES = 8_192

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")  # RFC 9110 section 5.6.2, a token
_HEADER_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")  # section 5.5
_LENGTH_EXPECTED = frozenset({"PATCH", "POST", "PUT"})  # RFC 9110 section 8.6: even without a body
_STANDARD = (("User-Agent", "rateproof"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
_MARK = b"c-" + b"0" * (IDENTITY_BYTES - 2)
# What is written down of a request is handed around: no other header is shown.
_HARMLESS = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-type",
        "pragma",
        "range",
        "user-agent",
    }
)


def check_headers(headers: tuple[tuple[str, str], ...], key: Part) -> None:
    """Accept up to 100 headers of a request, each name once and none that has a writer already.

    Raises:
        InvalidArgument: a name or a value that RFC 9110 does not allow, a
            header that frames the message, or one that the key writes.
    """
    if not isinstance(headers, tuple) or len(headers) > MAX_HEADERS:
        raise InvalidArgument(f"headers {headers!r:.80}", f"up to {MAX_HEADERS} names and values")
    written = {"header": key.name.lower(), "cookie": "cookie"}.get(key.kind)
    seen: set[str] = set()
    for name, value in headers:
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidArgument(
                f"header name {name!r:.80}", "letters, digits and !#$%&'*+-.^_`|~"
            )
        lower = name.lower()
        if lower in FRAMING:
            raise InvalidArgument(
                f"header {name!r} is not free", "what frames the message is written by the client"
            )
        if lower == written:
            raise InvalidArgument(
                f"header {name!r} carries the identity", f"leave it out, or use another key: {key}"
            )
        if lower in seen:
            raise InvalidArgument(f"header {name!r} twice", "join its values with a comma")
        seen.add(lower)
        if (
            not isinstance(value, str)
            or len(value) > _MAX_HEADER_BYTES
            or not _HEADER_VALUE.fullmatch(value)
        ):
            shown = shown_header(name, value) if isinstance(value, str) else value
            raise InvalidArgument(
                f"header {name!r} has the value {shown!r:.80}",
                "up to 8192 characters of Latin-1 on one line, no blank at either end",
            )


def shown_header(name: str, value: str) -> str:
    """The value as it may be written, `[not shown]` unless its header never holds a secret.

    Any name may be that of a token: only a few that cannot be are shown.

    >>> shown_header("Accept", "text/*"), shown_header("X-Token", "s3cret")
    ('text/*', '[not shown]')
    """
    return value if name.strip().lower() in _HARMLESS else "[not shown]"


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A request of HTTP/1.1 (RFC 9112) around the place of its identity.

    `before + identity + after` is all of it. Identities are as long as
    `IDENTITY_BYTES` and need no escaping anywhere, so that nothing else in
    the request depends on them.

    Args:
        before: what stands before the identity.
        after: what stands after it, the body included.
        head_bytes: how many bytes of the whole belong to the header section,
            its empty line included; the rest is the body.
    """

    before: bytes
    after: bytes
    head_bytes: int

    @classmethod
    def of(
        cls,
        target: Target,
        key: Part,
        *,
        method: str = "GET",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Self:
        """The template of requests that carry an identity at `key`.

        Host comes first (RFC 9110 section 7.2), then what every client sends,
        then the headers that are given, which replace those by name, then the
        identity's, then Content-Length. The target's path is sent as it is.
        """
        url, identifying = place_identity(target, key, _MARK)
        origin = target.url.removesuffix(target.path)
        own = {name.lower() for name, _ in headers}
        lines = [
            ("Host", origin.removeprefix(f"{target.scheme}://")),
            *((name, value) for name, value in _STANDARD if name.lower() not in own),
            *headers,
            *identifying.items(),
        ]
        if body or method in _LENGTH_EXPECTED:
            lines.append(("Content-Length", str(len(body))))
        text = f"{method} {url.removeprefix(origin)} HTTP/1.1\r\n"
        text += "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n"
        head = text.encode("latin-1")
        # A path or a header of the user's own may hold the mark's text, and stands before it:
        # in the query the mark is the last on its line, in a header the last of all.
        at = head.rindex(_MARK, 0, head.index(b"\r\n") if key.kind == "query" else len(head))
        return cls(head[:at], head[at + IDENTITY_BYTES :] + body, len(head))

    def fill(self, identity: bytes) -> bytes:
        """The whole request of one identity, `IDENTITY_BYTES` long."""
        return self.before + identity + self.after
