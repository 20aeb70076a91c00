"""Writing for whoever started the program: data to stdout, everything else to stderr."""

import contextlib
import os
import sys
from textwrap import wrap
from typing import Final, TextIO

from rateproof.errors import CannotWrite

__all__ = ["columns", "emit", "fold", "printable", "say"]

_LEAST_COLUMNS: Final = 40
_USUAL_COLUMNS: Final = 80


def columns(stream: TextIO | None) -> int | None:
    """Characters a line of the terminal behind a stream, at least 40; None if it is none.

    80 where the terminal does not know.
    """
    if stream is None:
        return None
    try:
        if not stream.isatty():
            return None
        known = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    return max(_LEAST_COLUMNS, known or _USUAL_COLUMNS)


def fold(line: str, width: int | None, hanging: str = "  ") -> list[str]:
    """A line broken at words where it is wider than that; a longer word stays whole.

    Args:
        line: kept as it is where it fits.
        width: characters a line; None: as many as there are.
        hanging: what the further lines begin with.
    """
    if width is None or len(line) <= width:
        return [line]
    return wrap(
        line, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def printable(text: str) -> str:
    r"""A name from outside as one line of text: what no terminal should get is shown escaped.

    Bytes of a file's name that are no UTF-8 are shown as they are, `\xff`.
    """
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a name, as Python holds it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def say(text: str = "", end: str = "\n") -> None:
    """Write to stderr at once: progress, hints and questions.

    Nobody there to read them is no reason to stop.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        _write(sys.stderr, text + end)
        sys.stderr.flush()


def emit(text: str) -> None:
    """Write a line of data to stdout at once.

    A reader who has gone has had enough (`rateproof check LOG | head -1`): what
    is left is dropped, and the exit code stays what it was to be.

    Raises:
        CannotWrite: the disk is full, or stdout is closed.
    """
    if sys.stdout is None:
        raise CannotWrite("cannot write the result: standard output is closed")
    try:
        _write(sys.stdout, text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except OSError as error:
        _discard()
        raise CannotWrite(f"cannot write the result: {error.strerror}") from error


def _write(stream: TextIO, text: str) -> None:
    """Write what the stream's encoding has; the rest in ASCII."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        plain = text.replace("\N{HORIZONTAL ELLIPSIS}", "...").replace(
            "\N{MULTIPLICATION SIGN}", "x"
        )
        stream.write(plain.encode("ascii", "backslashreplace").decode("ascii"))


def _discard() -> None:
    """Give stdout a place that takes everything: what it still holds must not fail at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
