"""`test_report.html`: everything that was found, on one page that needs no network.

The page forbids itself every connection and every script but its own (Content
Security Policy, by hash), so that not even a key could make it do anything.
"""

import base64
import hashlib
import re
import time
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rateproof import __version__
from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.advice import advice
from rateproof.hunt.report.findings import Findings
from rateproof.hunt.report.pictures import Timeline, latency_curves
from rateproof.hunt.report.reporter import Reporter, write_whole
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals, of_claim
from rateproof.output import printable, say
from rateproof.prove import CLAIMS, CONSISTENT, INCONCLUSIVE, VIOLATED, Verdict
from rateproof.prove.evidence.wording import brief, readable_key, spaced

if TYPE_CHECKING:
    from jinja2 import Environment

NAME = "test_report.html"

_HINT = "pip install jinja2"
_MARKS: Final = {CONSISTENT: "✓", VIOLATED: "✗", INCONCLUSIVE: "?"}
_MEANINGS: Final = {
    CONSISTENT: "Everything that was seen can be explained by a limiter that keeps the policy.",
    VIOLATED: "No limiter that keeps the policy could have answered so.",
    INCONCLUSIVE: "What was seen cannot tell whether the policy was kept.",
}
_HEADERS_ONLY: Final = "What the answers' headers said is not what the limiter did."
_MOST_REPRODUCTIONS: Final = 8
_EVERY_S: Final = 10.0


class HtmlReport(Reporter):
    """Writes the page at the begin and at the end, and at most every 10 s between.

    Where jinja2 is not installed it says so once and writes nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._can_write = _has_jinja()
        self._begun: list[Findings] = []
        self._planned: list[str] = []

    def plan(self, subjects: Sequence[Subject], /) -> None:
        """See `Reporter`."""
        self._planned = [str(each.endpoint) for each in subjects]

    def begin(self, subject: Subject, totals: Totals) -> None:
        """See `Reporter`."""
        self._findings = Findings(subject, totals)
        self._begun.append(self._findings)
        self._write()
        if not self._can_write and len(self._begun) == 1:
            say(f"jinja2 is not installed: no {NAME} (hint: {_HINT})")

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        self._findings.add_iteration(iteration, log)
        if time.monotonic() - self._written_s >= _EVERY_S:
            self._write()

    def end(self) -> None:
        """See `Reporter`."""
        self._write()
        last = len(self._begun) >= len(self._planned)
        if (
            self._can_write and last and self._findings.totals.failed is None
        ):  # the error comes first
            say(f"report    {printable(str(self._path))}")

    def _write(self) -> None:
        if self._can_write:
            write_whole(self._path, page(*self._begun, planned=self._planned))
        self._written_s = time.monotonic()


def require_jinja() -> None:
    """Refuse to promise a page that cannot be made.

    Raises:
        InvalidArgument: jinja2 is not installed, and how to install it.
    """
    if not _has_jinja():
        raise InvalidArgument("--report needs jinja2, which is not installed", _HINT)


def _has_jinja() -> bool:
    try:
        import_module("jinja2")
    except ModuleNotFoundError:
        return False
    return True


def write_page(path: Path, subject: Subject, totals: Totals, log: EventLog) -> None:
    """The page on one log that was judged.

    Raises:
        CannotWrite: the file cannot be written.
    """
    findings = Findings(subject, totals)
    findings.observe(log, totals.combined)
    write_whole(path, page(findings))


def page(*parts: Findings, planned: Sequence[str] = ()) -> str:
    """The whole page as it is to be written.

    Args:
        parts: of each endpoint, or of a log, what was found.
        planned: the names of all endpoints, those too that are still to come.
    """
    return rendered(
        _file("page.html"),
        parts=[_part(each) for each in parts],
        waiting=planned[len(parts) :],
        marks=_MARKS,
    )


def rendered(template: str, **told: Any) -> str:
    """Return a page from a template, with our style and script.

    Args:
        template: uses `content_security`, `style`, `program` and `version` beside what is told.
        told: by name.
    """
    program = _file("page.js")
    return (
        _environment()
        .from_string(template)
        .render(
            content_security=_content_security(program),
            style=_file("page.css"),
            program=program,
            version=__version__,
            **told,
        )
    )


def _part(findings: Findings) -> dict[str, Any]:
    totals, verdict = findings.totals, findings.totals.combined
    fastest, slowest, curves = latency_curves(findings.summary)
    return {
        "findings": findings,
        "subject": findings.subject,
        "verdict": verdict,
        "totals": totals,
        "mark": "✗" if totals.crashes else _MARKS[verdict.outcome],
        "look": VIOLATED if totals.crashes else verdict.outcome,
        "meaning": _meaning(verdict),
        "reproductions": totals.reproductions[-_MOST_REPRODUCTIONS:],
        "advice": advice(totals),
        "curves": curves,
        "fastest": fastest,
        "slowest": slowest,
    }


def _meaning(verdict: Verdict) -> str:
    """Say what the outcome means; of lying headers alone, nothing is said of admissions."""
    if verdict.outcome == VIOLATED and not any(of_claim(verdict, claim) for claim in CLAIMS):
        return _HEADERS_ONLY
    return _MEANINGS[verdict.outcome]


def _headline(answer: str) -> tuple[str, str]:
    """The answer's line in two: that of a doubt goes on after its first clause in smaller letters."""
    found = re.match("(?:INCONCLUSIVE|NOT TESTED): (?:[^:;(]|[(][^)]*[)])*[:;]", answer)
    end = len(answer) if found is None else found.end()
    return answer[:end], answer[end:]


def _apart(text: str) -> list[tuple[str, str]]:
    """The text in pairs: what comes before an option, and the option, which browsers would break."""
    return [
        (plain, option) for plain, option in re.findall("(.*?)(--[a-z][a-z-]*|$)", text, re.DOTALL)
    ]


def _content_security(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'"
    )


@cache
def _file(name: str) -> str:
    return (files("rateproof.hunt.report") / "assets" / name).read_text(encoding="utf-8")


@cache
def _environment() -> "Environment":
    """Escapes everything but what is its own; a misspelt name is an error, not nothing."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "brief": brief,
        "spaced": spaced,
        "key": readable_key,
        "timeline": Timeline,
        "apart": _apart,
        "headline": _headline,
        "zip": zip,
    }
    return environment
