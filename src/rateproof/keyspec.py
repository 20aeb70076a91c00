"""The place of a client's identity in a request: `query:clientId|header:X-Client-Id|ip`.

`a|b` takes the first that is present and not empty, `a+b` joins both. One
notation serves the server, which reads identities, and the load generator,
which writes them. `path:2` is the second segment of the path, and `json:user.id` a
field of the body, which only those read who write it.
"""

import re
from dataclasses import dataclass
from typing import Self

from rateproof.errors import InvalidArgument

__all__ = ["PLACES", "KeySpec", "Part"]

PLACES = "name one: query:NAME, header:NAME, cookie:NAME, path:2 or json:NAME"
"""The places that can hold an identity of the client's own."""

_NAMED = ("query", "header", "cookie", "json")
_OF_LOGS = "field"
_BARE = ("ip", "path", "method")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*.^_`~-]+")  # RFC 9110 token, without our "+" and "|"
_SEGMENT = re.compile(r"[1-9][0-9]?")
_FORM = (
    "ip, path, path:2, method, query:NAME, header:NAME, cookie:NAME or json:NAME, joined by + or |"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One place to look: a kind, and a name where the kind has names."""

    kind: str
    name: str = ""

    def of_path(self, path: str) -> str:
        """The part of a path that is meant: a segment of it, or without a number all of it."""
        if not self.name:
            return path
        return "".join(path.split("/")[int(self.name) :][:1])

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Alternatives in order of preference; each is one or more parts joined.

    >>> KeySpec.parse("query:clientId|ip").alternatives[0]
    (Part(kind='query', name='clientId'),)
    """

    alternatives: tuple[tuple[Part, ...], ...]

    @classmethod
    def parse(cls, text: str, *, of_log: bool = False) -> Self:
        """Read the text form.

        Args:
            text: such as `query:clientId|ip`.
            of_log: it is looked up in a log: `field:NAME` is a field of its lines.

        Raises:
            InvalidArgument: naming the part that could not be read.
        """
        return cls(
            tuple(
                tuple(
                    _parse_part(part.strip(), text, of_log=of_log)
                    for part in alternative.split("+")
                )
                for alternative in text.split("|")
            )
        )

    @classmethod
    def to_read(cls, text: str, *, of_log: bool = False) -> Self:
        """Read the text form of who reads identities and no bodies.

        Raises:
            InvalidArgument: as `parse`, and a field of a body.
        """
        return cls.parse(text, of_log=of_log).readable()

    def readable(self) -> Self:
        """It, unless one of its parts lies in a body, which no limiter here reads."""
        for part in (part for parts in self.alternatives for part in parts):
            if part.kind == "json":
                raise InvalidArgument(
                    f"key {str(part)!r} is for who sends: a limiter reads no bodies",
                    "query:NAME, header:NAME, cookie:NAME or path:2",
                )
        return self

    @property
    def writable(self) -> Part:
        """The first part that a client can set to an identity of its own.

        Raises:
            InvalidArgument: the specification has none.
        """
        for alternative in self.alternatives:
            for part in alternative:
                if part.name:
                    return part
        raise InvalidArgument(
            f"key {str(self)!r} has no place for an identity",
            PLACES,
        )

    def __str__(self) -> str:
        return "|".join("+".join(map(str, parts)) for parts in self.alternatives)


def _parse_part(part: str, text: str, *, of_log: bool) -> Part:
    kind, colon, name = part.partition(":")
    if kind in _BARE and not colon:
        return Part(kind)
    named = kind in _NAMED or (of_log and kind == _OF_LOGS)
    if (named and _NAME.fullmatch(name)) or (kind == "path" and _SEGMENT.fullmatch(name)):
        return Part(kind, name)
    form = f"field:NAME, {_FORM}" if of_log else _FORM
    raise InvalidArgument(f"{part!r} in key {text!r} is not a place in a request", form)
