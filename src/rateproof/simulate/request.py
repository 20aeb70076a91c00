"""One request as bytes: everything but the identity is fixed before the run."""

import re
import secrets
from dataclasses import dataclass
from typing import Self

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part
from rateproof.options.forms import FRAMING
from rateproof.secret import Secret
from rateproof.simulate.identities import IDENTITY_BYTES, place_identity
from rateproof.simulate.target import Target

MAX_HEADERS = 100
_MAX_HEADER_BYTES = 8_192

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")  # RFC 9110 section 5.6.2, a token
_HEADER_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")  # section 5.5
_LENGTH_EXPECTED = frozenset({"PATCH", "POST", "PUT"})  # RFC 9110 section 8.6: even without a body
_STANDARD = (("User-Agent", "rateproof"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
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
    if isinstance(value, Secret):
        return value.form
    return value if name.strip().lower() in _HARMLESS else "[not shown]"


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A request of HTTP/1.1 (RFC 9112) around the place of its identity.

    `before + identity + after` is all of it. Invented identities are as long as
    `IDENTITY_BYTES` and need no escaping anywhere; in a body all are equally
    long: so nothing else in the request depends on them.

    Args:
        before: what stands before the identity.
        after: what stands after it, the body included.
        head_bytes: how many bytes of the whole belong to the header section,
            its empty line included, with an invented identity; the rest is the body.
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
        longest: int | None = None,
    ) -> Self:
        """The template of requests that carry an identity at `key`.

        The `longest` key of a file, where there is one, has its closing quote with it in JSON.

        Host comes first (RFC 9110 section 7.2), then what every client sends,
        then the headers that are given, which replace those by name, then the
        identity's, then Content-Length. The target's path is sent as it is.
        """
        mark = "c-" + secrets.token_hex(IDENTITY_BYTES // 2 - 1)  # no header or body has it
        url, identifying, body = place_identity(target, key, mark, body)
        quoted = key.kind == "json" and longest is not None
        spread = longest - IDENTITY_BYTES - 1 if quoted and longest is not None else 0
        origin = target.url.removesuffix(target.path)
        own = {name.lower() for name, _ in headers}
        lines = [
            ("Host", origin.removeprefix(f"{target.scheme}://")),
            *((name, value) for name, value in _STANDARD if name.lower() not in own),
            *headers,
            *((name, value) for name, value in identifying.items() if name.lower() not in own),
        ]
        if body or method in _LENGTH_EXPECTED:
            lines.append(("Content-Length", str(len(body) + spread)))
        text = f"{method} {url.removeprefix(origin)} HTTP/1.1\r\n"
        text += "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n"
        head = text.encode("latin-1")
        before, after = (head + body).split(mark.encode())
        return cls(before, after[quoted:], len(head))

    def fill(self, identity: bytes) -> bytes:
        """The whole request of one identity."""
        return self.before + identity + self.after

    def split(self, identity: bytes) -> tuple[bytes, bytes]:
        """The header section and the body of one identity's request."""
        whole, end = self.fill(identity), self.head_bytes
        if len(self.before) < end:
            end += len(identity) - IDENTITY_BYTES
        return whole[:end], whole[end:]
