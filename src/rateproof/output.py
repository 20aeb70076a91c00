"""Writing for whoever started the program: data to stdout, everything else to stderr."""

import contextlib
import os
import sys
from typing import TextIO

from rateproof.errors import CannotWrite

__all__ = ["emit", "say"]


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
        plain = text.replace("\N{HORIZONTAL ELLIPSIS}", "...")
        stream.write(plain.encode("ascii", "backslashreplace").decode("ascii"))


def _discard() -> None:
    """Give stdout a place that takes everything: what it still holds must not fail at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
