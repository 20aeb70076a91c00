"""The place of a client's identity in a request: `query:clientId|header:X-Client-Id|ip`.

`a|b` takes the first that is present and not empty, `a+b` joins both. One
notation serves the server, which reads identities, and the load generator,
which writes them.
"""

import re
from dataclasses import dataclass
from typing import Self

from rateproof.errors import InvalidArgument

__all__ = ["KeySpec", "Part"]

_NAMED = ("query", "header", "cookie")
_OF_LOGS = "field"
_BARE = ("ip", "path", "method")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*.^_`~-]+")  # RFC 9110 token, without our "+" and "|"
_FORM = "ip, path, method, query:NAME, header:NAME or cookie:NAME, joined by + or |"


@dataclass(frozen=True, slots=True)
class Part:
    """One place to look: a kind, and a name where the kind has names."""

    kind: str
    name: str = ""

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
                tuple(_parse_part(part.strip(), text, of_log) for part in alternative.split("+"))
                for alternative in text.split("|")
            )
        )

    @property
    def writable(self) -> Part:
        """The first part that a client can set to an identity of its own.

        Raises:
            InvalidArgument: the specification has none.
        """
        for alternative in self.alternatives:
            for part in alternative:
                if part.kind in _NAMED:
                    return part
        raise InvalidArgument(
            f"key {str(self)!r} has no place for an identity",
            "name one: query:NAME, header:NAME or cookie:NAME",
        )

    def __str__(self) -> str:
        return "|".join("+".join(map(str, parts)) for parts in self.alternatives)


def _parse_part(part: str, text: str, of_log: bool) -> Part:  # noqa: FBT001 - as it was told
    kind, colon, name = part.partition(":")
    if kind in _BARE and not colon:
        return Part(kind)
    if kind in (*_NAMED, *([_OF_LOGS] if of_log else [])) and _NAME.fullmatch(name):
        return Part(kind, name)
    form = f"field:NAME, {_FORM}" if of_log else _FORM
    raise InvalidArgument(f"{part!r} in key {text!r} is not a place in a request", form)
