"""What hears of a test while it goes on, and makes something of it for people or programs."""

from pathlib import Path
from typing import Protocol

from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.summary import Totals

__all__ = ["Reporter"]


class Reporter(Protocol):
    """Called in this order, whatever ends the test. Each call may raise `CannotWrite`."""

    def begin(self, subject: Subject, totals: Totals) -> None:
        """The target answers; nothing has been sent yet. The totals will be kept up to date."""
        ...

    def add(self, iteration: Iteration, log: Path) -> None:
        """An iteration ended and is in the totals; its log is about to be written there."""
        ...

    def end(self) -> None:
        """The test is over, in order or out of it: see `Totals.failed`."""
        ...
