"""`test_report.html`, where bokeh is there to draw it: the rest of the package does without."""

from importlib import import_module
from pathlib import Path

from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.hunt.report.reporter import Reporter, write_whole
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals
from rateproof.output import say
from rateproof.prove import Verdict

__all__ = ["NAME", "html_report", "require_bokeh", "write_page"]

NAME = "test_report.html"

_HINT = "pip install bokeh, or 'rateproof[report]'"


def html_report(folder: Path) -> Reporter:
    """Return the writer of the page of a test; without bokeh it only says so, once."""
    if not _available():
        return _NoReport()
    from rateproof.hunt.report.page import HtmlReport

    return HtmlReport(folder / NAME)


class _NoReport(Reporter):
    def begin(self, subject: Subject, totals: Totals) -> None:  # noqa: ARG002
        say(f"bokeh is not installed: no {NAME} (hint: {_HINT})")


def require_bokeh() -> None:
    """Refuse to promise a page that cannot be made.

    Raises:
        InvalidArgument: bokeh is not installed, and how to install it.
    """
    if not _available():
        raise InvalidArgument("--report needs bokeh, which is not installed", _HINT)


def write_page(path: Path, subject: Subject, log: EventLog, verdict: Verdict) -> None:
    """The page on one log that was judged.

    Raises:
        InvalidArgument: bokeh is not installed.
        CannotWrite: the file cannot be written.
    """
    require_bokeh()
    from rateproof.hunt.report.page import Findings, page

    findings = Findings(subject, Totals())
    findings.add_log(log, verdict)
    write_whole(path, page(findings))


def _available() -> bool:
    try:
        import_module("bokeh")
    except ModuleNotFoundError:
        return False
    return True
