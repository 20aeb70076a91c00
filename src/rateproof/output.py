"""Writing for whoever started the program: data to stdout, everything else to stderr."""

import contextlib
import os
import sys

from rateproof.errors import CannotWrite

__all__ = ["emit", "say"]


def say(text: str = "", end: str = "\n") -> None:
    """Write to stderr at once: progress, hints and questions.

    Nobody there to read them is no reason to stop.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text + end)
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
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except OSError as error:
        _discard()
        raise CannotWrite(f"cannot write the result: {error.strerror}") from error


def _discard() -> None:
    """Give stdout a place that takes everything: what it still holds must not fail at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
