"""JUnit XML: what continuous integration shows of a test.

One suite, with a case for each claim and one for the server's health, under names
that stay the same from run to run so that their history can be followed. A claim
that was violated is a failure; what could not be told, or not be finished, is an
error: neither ever passes. The format has no standard; this keeps to what is common
to `junit-10.xsd` of Jenkins' xUnit plugin and to what GitLab reads.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.reporter import Reporter, write_whole
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.text import describe
from rateproof.hunt.report.totals import Conclusion, Totals, of_claim
from rateproof.hunt.shrinking.reproduction import CRASH
from rateproof.prove import CONSISTENT, VIOLATED, Verdict

__all__ = ["Case", "JUnitReport", "junit_xml", "write_junit"]

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_CRASHES = 50
_PIECES = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the result.

    Args:
        name: what was claimed.
        tag: `failure`, `error` or `skipped`; None where it passed.
        kind: what sort of that, in a word.
        message: it in a sentence.
        details: everything that is known of it.
    """

    name: str
    tag: str | None = None
    kind: str = ""
    message: str = ""
    details: str = ""


class JUnitReport(Reporter):
    """A file that says "not finished" until the test is over.

    Args:
        path: the file.
        claims: what is tested.
    """

    def __init__(self, path: Path, claims: Iterable[str]) -> None:
        self._path = path
        self._claims = {claim: Conclusion() for claim in sorted(claims)}
        self._details: dict[str, str] = {}
        self._crashes: list[str] = []
        self._began_s = time.monotonic()

    def begin(self, subject: Subject, totals: Totals) -> None:
        """See `Reporter`."""
        self._subject, self._totals = subject, totals
        self._began_s = time.monotonic()
        self._write([_unfinished(claim, "the test did not finish") for claim in self._claims])

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        for claim, conclusion in self._claims.items():
            verdict = of_claim(iteration.verdict, claim)
            if verdict is not None:
                conclusion.add(verdict, stopped=iteration.stopped)
                if verdict.outcome == VIOLATED:
                    self._details.setdefault(claim, describe(iteration, log))
        if len(self._crashes) < _MOST_CRASHES:
            number = iteration.draw.iteration
            self._crashes += [f"iteration {number}: {crash}" for crash in iteration.crashes]

    def end(self) -> None:
        """See `Reporter`."""
        failed = self._totals.failed
        if failed is not None:
            self._write([_unfinished(claim, failed) for claim in self._claims])
            return
        for reproduction in self._totals.reproductions:
            if reproduction.kind in self._details:
                self._details[reproduction.kind] += "\n" + reproduction.describe()
            elif reproduction.kind == CRASH:
                self._crashes.append(reproduction.describe())
        cases = [
            _case(claim, conclusion.verdict, self._details.get(claim))
            for claim, conclusion in self._claims.items()
        ]
        self._write([*cases, _health(self._totals, self._crashes)])

    def _write(self, cases: Sequence[Case]) -> None:
        elapsed_s = time.monotonic() - self._began_s
        write_whole(self._path, junit_xml(self._subject, cases, elapsed_s))


def write_junit(path: Path, subject: Subject, verdict: Verdict, claims: Iterable[str]) -> None:
    """The same of one log that was judged: a case for each claim.

    Raises:
        CannotWrite: the file cannot be written.
    """
    cases = [_case(claim, of_claim(verdict, claim)) for claim in sorted(claims)]
    write_whole(path, junit_xml(subject, cases, 0.0))


def _case(claim: str, verdict: Verdict | None, details: str | None = None) -> Case:
    if verdict is None:
        return Case(claim, "skipped", message="not judged by itself: another claim was violated")
    if verdict.outcome == CONSISTENT:
        return Case(claim)
    violated = verdict.outcome == VIOLATED
    sentences = [piece.sentence() for piece in verdict.evidence] or list(verdict.reasons)
    return Case(
        claim,
        "failure" if violated else "error",
        verdict.outcome,
        sentences[0] if sentences else verdict.outcome,
        details or verdict.describe(pieces=_PIECES),
    )


def _unfinished(claim: str, why: str) -> Case:
    return Case(claim, "error", "unfinished", why)


def _health(totals: Totals, crashes: Sequence[str]) -> Case:
    if not totals.crashes:
        return Case("server health")
    counts = ", ".join(f"{kind}: {count}" for kind, count in totals.crashes.items())
    return Case("server health", "error", "crash", counts, "\n".join(crashes))


def junit_xml(subject: Subject, cases: Sequence[Case], elapsed_s: float) -> str:
    """The document. Characters that XML cannot have at all are shown as escapes.

    The cases ran together: the first one carries their time, for programs that add it up.
    """
    count = {tag: sum(case.tag == tag for case in cases) for tag in ("failure", "error", "skipped")}
    figures = {
        "tests": str(len(cases)),
        "failures": str(count["failure"]),
        "errors": str(count["error"]),
        "time": f"{elapsed_s:.3f}",
    }
    root = ET.Element("testsuites", figures)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    suite = ET.SubElement(
        root,
        "testsuite",
        {"name": "rateproof", "timestamp": now, "skipped": str(count["skipped"]), **figures},
    )
    properties = ET.SubElement(suite, "properties")
    for name in ("key", "seed", "command"):
        if (value := getattr(subject, name)) is not None:
            ET.SubElement(properties, "property", {"name": name, "value": _legal(str(value))})
    of_what = f"{subject.policy} at {subject.target}"
    for number, case in enumerate(cases):
        element = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": "rateproof",
                "name": _legal(f"{case.name}: {of_what}"),
                "time": f"{0.0 if number else elapsed_s:.3f}",
            },
        )
        if case.tag == "skipped":
            ET.SubElement(element, "skipped", {"message": _legal(case.message)})
        elif case.tag is not None:
            about = {"type": case.kind, "message": _legal(case.message)}
            ET.SubElement(element, case.tag, about).text = _legal(case.details)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _legal(text: str) -> str:
    return _ILLEGAL.sub(lambda match: ascii(match[0])[1:-1], text)
