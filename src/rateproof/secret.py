"""Values that are told by a file or by the environment, so that no command has them."""

import os
from pathlib import Path
from typing import Self

from rateproof.errors import InvalidArgument

MOST_BYTES = 1 << 20
"""Bytes of one value, at most."""

_ENV = "@env:"


class Secret(str):
    """A text that is shown as the form by which it was told: `@FILE` or `@env:NAME`.

    Args:
        text: the value, which is sent.
        form: what is shown of it, and tells it again.
        line: it is part of what `form` tells, which names headers too.
    """

    __slots__ = ("form", "line")
    form: str
    line: bool

    def __new__(cls, text: str, form: str, *, line: bool = False) -> Self:
        """Make it of the value and the form."""
        self = super().__new__(cls, text)
        self.form, self.line = form, line
        return self

    def __repr__(self) -> str:
        return self.form


def bytes_of(form: str) -> bytes:
    """Read what `@FILE` or `@env:NAME` tells; of a file one byte more than a value may have.

    Raises:
        InvalidArgument: the file cannot be read, or the variable is not set.
    """
    if form.startswith(_ENV):
        value = os.environb.get(os.fsencode(form.removeprefix(_ENV)))
        if value is None:
            raise InvalidArgument(f"{form!r}: no such variable in the environment", "export it")
        return value
    name = form.removeprefix("@")
    return content_of(name, MOST_BYTES, repr(name), "TEXT, @FILE or @env:NAME")


def content_of(path: str | Path, most_bytes: int, shown: str, hint: str) -> bytes:
    """Read a file, up to one byte more than it may have.

    Raises:
        InvalidArgument: it cannot be read; it is called `shown`.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidArgument(f"cannot read {shown}: {reason}", hint) from None


def revealed(text: str) -> str:
    """The value that a text tells: itself, or without its last line's end what is behind an @.

    `@@` begins a text that begins with an @.

    Raises:
        InvalidArgument: as `bytes_of`, or what it tells is no text of UTF-8.
    """
    if not text.startswith("@"):
        return text
    if text.startswith("@@"):
        return text[1:]
    return Secret(lines_of(text).removesuffix("\n"), text)


def lines_of(form: str) -> str:
    """The text that `@FILE` or `@env:NAME` tells, each line's end as LF."""
    try:
        text = bytes_of(form).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidArgument(f"{form!r} is not UTF-8", "a text") from None
    return text.replace("\r\n", "\n")
