"""`test_report.html`: the page, written as the test goes on. Needs bokeh."""

import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rateproof.errors import InvalidArgument
from rateproof.hunt.report.reporter import Reporter, write_whole
from rateproof.output import say

if TYPE_CHECKING:
    from rateproof.events import EventLog
    from rateproof.hunt.iteration import Iteration
    from rateproof.hunt.report.findings import Findings
    from rateproof.hunt.report.subject import Subject
    from rateproof.hunt.report.totals import Totals
    from rateproof.prove import Verdict

__all__ = ["NAME", "HtmlReport", "require_bokeh", "write_page"]

NAME = "test_report.html"

_HINT = "pip install bokeh, or 'rateproof[report]'"
_EVERY_S = 10.0


class HtmlReport(Reporter):
    """Writes at the begin and at the end, and at most every 10 s between.

    To write takes about 0.3 s, between two iterations. Where bokeh is missing it
    says so once, and writes nothing.

    Args:
        folder: where the page goes.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._findings: Findings | None = None
        self._written_s = 0.0

    def begin(self, subject: "Subject", totals: "Totals") -> None:
        """See `Reporter`."""
        if not _available():
            say(f"bokeh is not installed: no {NAME} (hint: {_HINT})")
            return
        from rateproof.hunt.report.findings import Findings

        self._findings = Findings(subject, totals)
        self._write(self._findings)

    def add(self, iteration: "Iteration", log: Path) -> None:
        """See `Reporter`."""
        if self._findings is not None:
            self._findings.add_iteration(iteration, log)
            if time.monotonic() - self._written_s >= _EVERY_S:
                self._write(self._findings)

    def end(self) -> None:
        """See `Reporter`."""
        if self._findings is not None:
            self._write(self._findings)
            say(f"report    {self._path}")

    def _write(self, findings: "Findings") -> None:
        from rateproof.hunt.report.page import page

        write_whole(self._path, page(findings))
        self._written_s = time.monotonic()


def require_bokeh() -> None:
    """Refuse to promise a page that cannot be made.

    Raises:
        InvalidArgument: bokeh is not installed, and how to install it.
    """
    if not _available():
        raise InvalidArgument("--report needs bokeh, which is not installed", _HINT)


def write_page(path: Path, subject: "Subject", log: "EventLog", verdict: "Verdict") -> None:
    """The page on one log that was judged.

    Raises:
        InvalidArgument: bokeh is not installed.
        CannotWrite: the file cannot be written.
    """
    require_bokeh()
    from rateproof.hunt.report.findings import Findings
    from rateproof.hunt.report.page import page
    from rateproof.hunt.report.totals import Totals

    findings = Findings(subject, Totals())
    findings.add_log(log, verdict)
    write_whole(path, page(findings))


def _available() -> bool:
    try:
        import_module("bokeh")
    except ModuleNotFoundError:
        return False
    return True
