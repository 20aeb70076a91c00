"""A file of keys: identities or tokens that a server knows, one a line."""

import re
from dataclasses import dataclass, field
from typing import Self

from rateproof.errors import InvalidArgument
from rateproof.secret import content_of
from rateproof.units import counted

MOST_KEYS = 1_000_000
"""Keys in one file, at most."""

_MOST_BYTES = 1 << 28
_LONGEST = 4_096
_FORM = "a text file with one identity or token a line"
_BOM = b"\xef\xbb\xbf"
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_CONTROLS = bytes({*range(32), 127} - {ord("\n"), ord("\t")})


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The keys of a file; none of them is ever shown, not even by `repr`.

    Args:
        file: its name.
        keys: in order, each once, in UTF-8, without control characters.
    """

    file: str
    keys: tuple[bytes, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{counted(len(self.keys), 'key')} of {self.file!r}"

    @classmethod
    def read(cls, name: str) -> Self:
        """Read a file; empty lines, blanks around a key, CR before LF and a BOM do not count.

        Raises:
            InvalidArgument: it cannot be read, has no key or more than 1,000,000, or a line
                that is no key, or one that was there before: named by its number, never shown.
        """
        data = content_of(name, _MOST_BYTES, repr(name), _FORM)
        if len(data) > _MOST_BYTES:
            raise InvalidArgument(f"{name!r} has more than 256 MiB", _FORM)
        text = data.removeprefix(_BOM).replace(b"\r\n", b"\n").removesuffix(b"\r")
        lines = text.split(b"\n")
        if any(blank in text for blank in (b" \n", b"\n ", b"\t")) or text != text.strip(b" "):
            lines = [line.strip(b" \t") for line in lines]
        keys = tuple(filter(None, lines))
        if not keys:
            raise InvalidArgument(f"{name!r} has no key in it", _FORM)
        if len(keys) > MOST_KEYS:
            raise InvalidArgument(f"{name!r} has {len(keys):,} keys", f"at most {MOST_KEYS:,}")
        strange = len(text.translate(None, _CONTROLS)) < len(text) or not _is_utf8(text)
        strange = strange or (b"\t" in text and any(b"\t" in key for key in keys))
        if strange or max(map(len, keys)) > _LONGEST or len(set(keys)) < len(keys):
            raise _wrong(name, lines)
        return cls(name, keys)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _wrong(name: str, lines: list[bytes]) -> InvalidArgument:
    seen: dict[bytes, int] = {}
    for number, line in enumerate(lines, 1):
        if _CONTROL.search(line):
            what, hint = "has a control character", _FORM
        elif not _is_utf8(line):
            what, hint = "is not UTF-8", _FORM
        elif len(line) > _LONGEST:
            what, hint = f"has {len(line):,} bytes", f"a key has at most {_LONGEST:,}"
        elif line and seen.setdefault(line, number) != number:
            what, hint = f"has the key of line {seen[line]} again", "each key once"
        else:
            continue
        break
    return InvalidArgument(f"line {number} of {name!r} {what}", hint)
