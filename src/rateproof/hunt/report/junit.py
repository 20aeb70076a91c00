"""JUnit XML: what continuous integration shows of a test.

One suite for each endpoint, with a case for each quota, for each other claim, and for the server's health, under
names that stay the same from run to run so that their history can be followed. What was violated
is a failure; what was not tested, could not be told or not be finished is an error: neither ever
passes. The format has no standard; this keeps to what is common
to `junit-10.xsd` of Jenkins' xUnit plugin and to what GitLab reads.
"""

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from rateproof.answer import answer, of_quota
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.reporter import Reporter, write_whole
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.text import describe
from rateproof.hunt.report.totals import Totals, counted_kinds, of_claim
from rateproof.hunt.shrinking.reproduction import CRASH
from rateproof.policy import Policy
from rateproof.prove import CLAIMS, CONSISTENT, OVER_ADMISSION, UNTESTED, VIOLATED
from rateproof.prove.evidence.wording import plain_quota

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_CRASHES = 50
_PIECES = 3
_HEALTH = "server health"


class Case(NamedTuple):
    """One line of the result: it passed, or a tag says that it did not.

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


class Suite(NamedTuple):
    """The suite of one endpoint, or of a log."""

    subject: Subject
    cases: Sequence[Case]
    elapsed_s: float = 0.0


class JUnitReport(Reporter):
    """A file that says "not finished" until the test is over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._suites: dict[str | None, Suite] = {}

    def plan(self, subjects: Sequence[Subject], /) -> None:
        """See `Reporter`."""
        claims = sorted(CLAIMS)
        for each in subjects:
            cases = _unfinished(each, claims, "the test of this endpoint did not begin")
            self._suites[each.endpoint] = Suite(each, cases)

    def begin(self, subject: Subject, totals: Totals) -> None:
        """See `Reporter`."""
        self._subject, self._totals = subject, totals
        self._details: dict[str, str] = {}
        self._crashes: list[str] = []
        self._began_s = time.monotonic()
        self._write(_unfinished(subject, totals.claims, "the test did not finish"))

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        if iteration.verdict.outcome == VIOLATED:
            for claim in self._totals.claims:
                if of_claim(iteration.verdict, claim) is not None:
                    self._details.setdefault(claim, describe(iteration, log))
        if len(self._crashes) < _MOST_CRASHES:
            number = iteration.draw.iteration
            self._crashes += [f"iteration {number}: {crash}" for crash in iteration.crashes]

    def end(self) -> None:
        """See `Reporter`."""
        totals = self._totals
        if totals.failed is not None:
            self._write(_unfinished(self._subject, totals.claims, totals.failed))
            return
        for reproduction in totals.reproductions:
            if reproduction.kind in self._details:
                self._details[reproduction.kind] += "\n" + reproduction.describe()
            elif reproduction.kind == CRASH:
                self._crashes.append(reproduction.describe())
        if OVER_ADMISSION in self._details:
            self._details[OVER_ADMISSION] += "".join(f"\n{one.describe()}" for one in totals.worst)
        health = Case(_HEALTH)
        if totals.crashes:
            died = counted_kinds(totals.crashes)
            health = Case(_HEALTH, "error", "crash", died, "\n".join(self._crashes))
        self._write([*_cases(self._subject, totals, self._details), health])

    def _write(self, cases: Sequence[Case]) -> None:
        elapsed_s = time.monotonic() - self._began_s
        self._suites[self._subject.endpoint] = Suite(self._subject, cases, elapsed_s)
        write_whole(self._path, junit_xml(*self._suites.values()))


def _unfinished(subject: Subject, claims: Iterable[str], why: str) -> list[Case]:
    names = [name for claim in claims for name in _names(claim, subject)]
    return [Case(name, "error", "unfinished", why) for name in names]


def write_junit(path: Path, subject: Subject, totals: Totals) -> None:
    """The same of one log that was judged.

    Raises:
        CannotWrite: the file cannot be written.
    """
    write_whole(path, junit_xml(Suite(subject, _cases(subject, totals, {}))))


def _names(claim: str, subject: Subject) -> list[str]:
    """The names of a claim's cases: of over-admission one a quota."""
    if claim != OVER_ADMISSION:
        return [claim]
    quotas = map(str, Policy.parse(subject.policy).quotas)
    return [f"{claim}, {plain_quota(quota)}" for quota in quotas]


def _cases(subject: Subject, totals: Totals, details: dict[str, str]) -> list[Case]:
    cases = []
    for claim in totals.claims:
        verdict = totals.of_claim(claim)
        told = details.get(claim, "") or (verdict.describe(pieces=_PIECES) if verdict else "")
        names = _names(claim, subject)
        if verdict is not None and len(verdict.quotas) == len(names) and claim == OVER_ADMISSION:
            cases += [
                _case(
                    name, one.outcome, of_quota(verdict, one), told, may_skip=totals.allow_untested
                )
                for name, one in zip(names, verdict.quotas, strict=True)
            ]
        elif verdict is not None:
            own = verdict.allowing_untested()  # what was not tested has a case of its own
            cases += [_case(name, own.outcome, answer(own)[0], told) for name in names]
        else:
            why = "not judged by itself: another claim was violated"
            cases += [Case(name, "skipped", message=why) for name in names]
    return cases


def _case(name: str, outcome: str, line: str, told: str, *, may_skip: bool = False) -> Case:
    if outcome == CONSISTENT:
        return Case(name)
    if outcome == UNTESTED and may_skip:
        return Case(name, "skipped", message=line)
    return Case(name, "failure" if outcome == VIOLATED else "error", outcome, line, told)


def junit_xml(*suites: Suite) -> str:
    """The document. Characters that XML cannot have at all are shown as escapes."""
    root = ET.Element("testsuites")
    for suite in suites:
        _add(root, suite)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(each.attrib[name]) for each in root)))
    root.set("time", f"{sum(suite.elapsed_s for suite in suites):.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _add(root: ET.Element, told: Suite) -> None:
    """Add a suite; its cases ran together: the first has their time, for those who add it up."""
    subject, cases, elapsed_s = told
    tags = Counter(case.tag for case in cases)
    name = f"rateproof.{subject.endpoint}" if subject.endpoint else "rateproof"
    about = {"name": name, "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")}
    figures = {"skipped": "skipped", "failures": "failure", "errors": "error"}
    about |= {word: str(tags[tag]) for word, tag in figures.items()}
    about |= {"tests": str(len(cases)), "time": f"{elapsed_s:.3f}"}
    suite = ET.SubElement(root, "testsuite", about)
    properties = ET.SubElement(suite, "properties")
    facts = {name: getattr(subject, name) for name in ("key", "seed", "command")}
    facts["server"] = "our own" if subject.own else None
    for fact, value in facts.items():
        if value is not None:
            ET.SubElement(properties, "property", {"name": fact, "value": _legal(str(value))})
    for number, case in enumerate(cases):
        shown = _legal(f"{case.name}: {subject.policy} at {subject.target}")
        took = f"{0.0 if number else elapsed_s:.3f}"
        element = ET.SubElement(suite, "testcase", {"classname": name, "name": shown, "time": took})
        if case.tag is not None:
            kind = {"type": case.kind} if case.kind else {}
            reason = ET.SubElement(element, case.tag, kind | {"message": _legal(case.message)})
            reason.text = _legal(case.details) or None


def _legal(text: str) -> str:
    return _ILLEGAL.sub(lambda match: ascii(match[0])[1:-1], text)
