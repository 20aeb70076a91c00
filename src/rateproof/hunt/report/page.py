"""Everything that was found, on one page that needs no network.

The page forbids itself every connection and every script but its own (Content
Security Policy, by hash), so that not even a key could make it do anything.
"""

import base64
import hashlib
import time
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from bokeh.resources import Resources
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rateproof import __version__
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.charts import latency_chart, timeline_chart, traffic_chart
from rateproof.hunt.report.findings import Findings
from rateproof.hunt.report.reporter import Reporter, write_whole
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals, of_claim
from rateproof.output import say
from rateproof.prove import CLAIMS, CONSISTENT, INCONCLUSIVE, VIOLATED, Verdict
from rateproof.prove.evidence.wording import readable_key, spaced

__all__ = ["Findings", "HtmlReport", "page"]

_MARKS: Final = {CONSISTENT: "✓", VIOLATED: "✗", INCONCLUSIVE: "?"}
_MEANINGS: Final = {
    CONSISTENT: "Everything that was seen can be explained by a limiter that keeps the policy.",
    VIOLATED: "No limiter that keeps the policy could have answered so.",
    INCONCLUSIVE: "What was seen cannot tell whether the policy was kept.",
}
_HEADERS_ONLY: Final = "What the answers' headers said is not what the limiter did."
_MOST_REASONS: Final = 8
_MOST_REPRODUCTIONS: Final = 8
_EVERY_S: Final = 10.0


class HtmlReport(Reporter):
    """Writes the page at the begin and at the end, and at most every 10 s between.

    To write takes about 0.3 s, between two iterations.

    Args:
        path: where the page goes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, subject: Subject, totals: Totals) -> None:
        """See `Reporter`."""
        self._findings = Findings(subject, totals)
        self._write()

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        self._findings.add_iteration(iteration, log)
        if time.monotonic() - self._written_s >= _EVERY_S:
            self._write()

    def end(self) -> None:
        """See `Reporter`."""
        self._write()
        say(f"report    {self._path}")

    def _write(self) -> None:
        write_whole(self._path, page(self._findings))
        self._written_s = time.monotonic()


def page(findings: Findings) -> str:
    """The whole page as it is to be written."""
    verdict, subject = findings.verdict, findings.subject
    library, program = _library(), _file("page.js")
    return (
        _environment()
        .from_string(_file("page.html"))
        .render(
            content_security=_content_security(library, program),
            style=_file("page.css"),
            library=library,
            program=program,
            charts=_charts(findings),
            subject=subject,
            facts=_facts(findings),
            settings=list(subject.settings.items()),
            verdict=verdict,
            mark=_MARKS[verdict.outcome],
            marks=_MARKS,
            meaning=_meaning(verdict),
            most_reasons=_MOST_REASONS,
            crashes=", ".join(f"{kind}: {n}" for kind, n in findings.totals.crashes.items()),
            failed=findings.totals.failed,
            reproductions=findings.totals.reproductions[-_MOST_REPRODUCTIONS:],
            clips=findings.clips,
            more_evidence=findings.left_out,
            rates=findings.rates,
            totals=findings.rates.totals,
            latencies=findings.summary.latencies_ns(),
            incidents=findings.incidents,
            rows=findings.rows,
            iterations=findings.totals.iterations,
        )
    )


def _meaning(verdict: Verdict) -> str:
    """Say what the outcome means; of lying headers alone, nothing is said of admissions."""
    if verdict.outcome == VIOLATED and not any(of_claim(verdict, claim) for claim in CLAIMS):
        return _HEADERS_ONLY
    return _MEANINGS[verdict.outcome]


def _charts(findings: Findings) -> dict[str, Any]:
    """By the place on the page where each belongs."""
    charts = {}
    for number, clip in enumerate(findings.clips, 1):
        charts[f"client-{number}"] = timeline_chart(clip)
    if findings.rates.totals:
        charts["traffic-chart"] = traffic_chart(findings.rates, findings.incidents)
    if findings.summary.latencies_ns():
        charts["latency-chart"] = latency_chart(findings.summary)
    return charts


def _facts(findings: Findings) -> list[tuple[str, str]]:
    subject, counts = findings.subject, findings.verdict.counts
    whose = ", our own server: nothing listened there" if subject.own else ""
    facts = [("URL" if subject.verb == "test" else "Log", subject.target + whose)]
    facts.append(("Policy", subject.policy))
    facts += [("Identity in", subject.key)] if subject.key else []
    facts += [("Seed", str(subject.seed))] if subject.seed is not None else []
    return [
        *facts,
        ("Seen", counts.sentence()),
        ("When", subject.started),
        ("With", f"rateproof {__version__}, {subject.core} core"),
    ]


def _content_security(*scripts: str) -> str:
    hashes = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"


@cache
def _library() -> str:
    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


@cache
def _file(name: str) -> str:
    return (files("rateproof.hunt.report") / "assets" / name).read_text(encoding="utf-8")


@cache
def _options(command: str) -> Markup:
    """A command whose lines do not break within the name of an option."""
    whole = Markup('<span class="short">{}</span>')
    words = command.split(" ")
    return Markup(" ").join(whole.format(w) if w.startswith("--") else w for w in words)


def _environment() -> Environment:
    """Escapes everything but what is its own; a misspelt name is an error, not nothing."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"spaced": spaced, "key": readable_key, "options": _options}
    # A chart's parts are named before they are referred to: the order of its keys matters.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return environment
