"""The result of a check, told: in words, as data, as evidence, and in reports."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rateproof.answer import answer
from rateproof.checking.named_log import name_of
from rateproof.clock import Tolerance
from rateproof.errors import written
from rateproof.events import EventLog, listed, noted_statuses
from rateproof.output import columns, emit, printable, say
from rateproof.policy import Policy
from rateproof.prove import Verdict
from rateproof.prove.evidence import DRAWING_WIDTH, to_document
from rateproof.prove.terms import CLAIM_SETS
from rateproof.units import format_duration


def claims_of(arguments: argparse.Namespace) -> frozenset[str]:
    """The claims that are judged."""
    return CLAIM_SETS[arguments.claim or "limit"]


def warnings_of(log: EventLog) -> list[str]:
    """The warnings that a log carries in its metadata; it need not be one of ours."""
    told = log.metadata.get("warnings")
    return [printable(str(one)) for one in told] if isinstance(told, list) else []


def tell(arguments: argparse.Namespace, verdict: Verdict, warnings: Sequence[str] = ()) -> None:
    """Write a verdict to stdout: in words, or with `--json` as data."""
    data = {"answer": answer(verdict)[0], **verdict.to_json(), "warnings": warnings}
    text = "\n".join([_text(verdict), *(f"warning: {one}" for one in warnings)])
    emit(json.dumps(data) if arguments.json else text, sentences=not arguments.json)


def _text(verdict: Verdict) -> str:
    """As wide as the terminal; a line a sentence for files and programs."""
    width = columns(sys.stdout)
    _, *rest = verdict.describe(width=min(DRAWING_WIDTH, width or DRAWING_WIDTH)).splitlines()
    return "\n".join(answered(verdict, rest))


def answered(verdict: Verdict, rest: Sequence[str]) -> list[str]:
    """The lines of the answer, and those of the rest that do not say it again."""
    told = answer(verdict)
    return [*told, *(line for line in rest if not told[0].endswith(f": {line}"))]


def report(
    arguments: argparse.Namespace,
    log: EventLog,
    policy: Policy,
    verdict: Verdict,
    tolerance: Tolerance,
) -> None:
    """Write the page, the JUnit file and the summary of a GitHub job that are asked for.

    Raises:
        CannotWrite: one cannot be written.
    """
    from rateproof.hunt.report.github import on_github, tell_github
    from rateproof.hunt.report.junit import write_junit
    from rateproof.hunt.report.page import write_page
    from rateproof.hunt.report.subject import Subject
    from rateproof.hunt.report.totals import Totals

    seed, noted = log.metadata.get("seed"), noted_statuses(log.metadata)
    subject = Subject(
        verb="check",
        target=name_of(arguments.log),
        policy=str(policy),
        key=None if arguments.key is None else str(arguments.key),
        seed=seed if isinstance(seed, int) else None,
        settings={
            "Claims": ", ".join(sorted(claims_of(arguments))),
            "Tolerance": f"{tolerance.ppm} ppm",
            "Granularity": format_duration(tolerance.granularity_ns),
            "Rejected by": "the log's outcomes" if noted is None else listed(noted),
        },
    )
    totals = Totals(claims_of(arguments))
    totals.judge(verdict)
    totals.warnings = warnings_of(log)
    if arguments.report is not None:
        write_page(arguments.report, subject, totals, log)
    if arguments.junit is not None:
        write_junit(arguments.junit, subject, totals)
    if on_github():
        tell_github(subject, totals)


def write_evidence(
    where: Path, verdict: Verdict, tolerance: Tolerance, log: EventLog, *, denied_count: bool
) -> None:
    """Write each piece as a document and as a drawing; only the first where one file is named.

    Raises:
        CannotWrite: a file cannot be written.
    """
    alone = where.suffix == ".json"
    pieces = verdict.evidence[:1] if alone else verdict.evidence
    with written(f"evidence to {printable(str(where))}"):
        for number, piece in enumerate(pieces, 1):
            path = where if alone else where / f"evidence-{number}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            document = to_document(piece, tolerance, log.metadata, denied_count=denied_count)
            path.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")
            path.with_suffix(".svg").write_text(piece.svg(), encoding="utf-8")
            drawing = printable(path.with_suffix(".svg").name)
            say(f"evidence: {printable(str(path))} and {drawing}")
    if not pieces:
        say("no evidence to write: nothing was found to be violated")
    if not alone and (stale := where / f"evidence-{len(pieces) + 1}.json").exists():
        say(f"hint: {printable(str(stale))} is of an earlier check")
