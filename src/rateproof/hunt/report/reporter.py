"""Reporters hear of a test while it goes on, and tell people or programs."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from rateproof.errors import CannotWrite
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.shrinking.reproduction import Reproduction
from rateproof.hunt.worst.search import Worst
from rateproof.output import printable


class Reporter:
    """Called in this order, whatever ends the test. Each call may raise `CannotWrite`.

    Of several endpoints `plan` comes first, and then the rest for each of them that is tested.
    """

    def plan(self, subjects: Sequence[Subject], /) -> None:
        """Endpoints that are to be tested, one after the other."""

    def begin(self, subject: Subject, totals: Totals) -> None:
        """The target answers; nothing has been sent yet. The totals will be kept up to date."""

    def add(self, iteration: Iteration, log: Path) -> None:
        """An iteration ended and is in the totals; its log is about to be written there."""

    def found(self, finding: Reproduction | Worst, iteration: int, /) -> None:
        """A schedule: the one that was run, the shortest, or the worst; it is in the totals."""

    def end(self) -> None:
        """The test is over, in order or out of it: see `Totals.failed`."""


def write_whole(path: Path, text: str) -> None:
    """Put a text in a file at once: whoever reads it meanwhile has all of the old one or the new.

    Its folder is made if it is not there.

    Raises:
        CannotWrite: there is no room, no right to, or something that is no regular file.
    """
    name = printable(str(path))
    try:
        if path.exists() and not path.is_file():  # a device must not be replaced by a file
            raise CannotWrite(f"cannot write {name}: not a regular file")
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text)
    except (OSError, RuntimeError) as error:  # the latter: a loop of links
        reason = error.strerror if isinstance(error, OSError) else error
        raise CannotWrite(f"cannot write {name}: {reason}") from error


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # A name that is not UTF-8 may be part of the text: it is shown escaped.
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
