"""Every error that rateproof raises, in one tree.

    RateproofError                      70  something went wrong inside
    ├── InvalidArgument (ValueError)    64  a value that cannot be accepted
    │   ├── InvalidPolicy                   ... in a policy
    │   └── NeverPossible                   a cost that no wait could ever admit
    ├── StoreError                      73  the limiter's storage failed
    │   ├── StoreMismatch                   ... or belongs to something else
    │   └── StoreUnreachable            69  ... or does not answer
    ├── LogError                        65  an event log that cannot be read
    ├── Unreachable                     69  nothing answers, or a port is taken
    └── CannotWrite                     73  an output that cannot be written

A denial is not an error: it is a `Decision`. The numbers are the exit codes of
the command line (`sysexits.h` where it has one).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

__all__ = [
    "CannotWrite",
    "InvalidArgument",
    "InvalidPolicy",
    "LogError",
    "NeverPossible",
    "RateproofError",
    "StoreError",
    "StoreMismatch",
    "StoreUnreachable",
    "Unreachable",
]


class RateproofError(Exception):
    """The root of the tree.

    Args:
        message: what is wrong, naming the value.
        hint: what would be accepted, or what to do next.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} ({self.hint})"


class InvalidArgument(RateproofError, ValueError):
    """A value that cannot be accepted, wherever it came from."""

    exit_code = 64


class InvalidPolicy(InvalidArgument):
    """A policy that cannot be understood, or that promises nothing."""


class NeverPossible(InvalidArgument):
    """A cost above the limit: no wait would ever let it pass."""


class StoreError(RateproofError):
    """The limiter's storage could not be opened, read or written."""

    exit_code = 73


class StoreMismatch(StoreError):
    """A table of another layout, policy or core than the one asked for."""


class StoreUnreachable(StoreError):
    """A store behind a network does not answer, or not in time."""

    exit_code = 69


class LogError(RateproofError):
    """An event log that is empty, truncated, foreign or contradictory."""

    exit_code = 65


class Unreachable(RateproofError):
    """Nothing answers at the target, or the port to listen on is taken."""

    exit_code = 69


class CannotWrite(RateproofError):
    """An output file or folder that cannot be written."""

    exit_code = 73


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Say in words that a log of this name cannot be read.

    Raises:
        LogError: it cannot.
    """
    try:
        yield
    except OSError as error:
        raise LogError(f"cannot read {name}: {error.strerror or error}") from error


@contextmanager
def written(name: str, hint: str | None = None) -> Iterator[None]:
    """Say in words that what has this name cannot be written.

    Raises:
        CannotWrite: it cannot.
    """
    try:
        yield
    except OSError as error:
        # Those of pyarrow have a number and no words.
        problem = os.strerror(error.errno) if error.errno else error
        raise CannotWrite(f"cannot write {name}: {problem}", hint) from error


@contextmanager
def told_by(source: str) -> Iterator[None]:
    """Let errors on values say where the value stood."""
    try:
        yield
    except (InvalidArgument, LogError) as error:
        raise type(error)(f"{source}: {error.message}", error.hint) from error
