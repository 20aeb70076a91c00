"""A test as GitHub Actions shows it: a summary of the job, and annotations.

The summary is appended to the file that the runner names in GITHUB_STEP_SUMMARY. Annotations are
workflow commands, lines on stderr that the runner takes out of the log. Both are written where
GITHUB_ACTIONS is `true`, as the runner sets it, and nowhere else.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.text import describe
from rateproof.hunt.report.totals import Totals
from rateproof.output import printable, say
from rateproof.prove import VIOLATED

_MOST_WARNINGS = 10
_PIECES = 3
_TICKS = re.compile("`+")


def on_github() -> bool:
    """Tell if this runs in a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


class GitHubReport(Reporter):
    """The summary and the annotations of a test, once it is over."""

    def begin(self, subject: Subject, totals: Totals) -> None:
        """See `Reporter`."""
        self._subject, self._totals, self._violated = subject, totals, ""

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        if not self._violated and iteration.verdict.outcome == VIOLATED:
            self._violated = describe(iteration, log)

    def end(self) -> None:
        """See `Reporter`."""
        tell_github(self._subject, self._totals, self._violated)


def tell_github(subject: Subject, totals: Totals, violated: str = "") -> None:
    """Write both.

    Args:
        subject: what was tested or judged.
        totals: what came of it.
        violated: everything on the first violation; empty: what the verdict says.
    """
    passed = totals.exit_code == 0 and totals.failed is None
    about = {"title": f"rateproof, {subject.policy} at {subject.target}"}
    if not passed:
        repeats = [line for each in totals.reproductions for line in each.describe().splitlines()]
        say(_command("error", about, "\n".join([*totals.answer, *repeats])))
    for warning in totals.warnings[:_MOST_WARNINGS]:
        say(_command("warning", about, warning))
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        details = violated or totals.combined.describe(pieces=_PIECES)
        text = _summary(subject, totals, details if not passed else "")
        try:
            with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError as error:  # the verdict is more than its summary
            say(f"warning: cannot write the job's summary to {path}: {error.strerror}")


def _command(name: str, properties: Mapping[str, str], message: str) -> str:
    """A workflow command, escaped as the runner reads it."""
    told = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{name} {told}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    # The percent sign first: it begins every escape.
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text


def _summary(subject: Subject, totals: Totals, details: str) -> str:
    first, *more = totals.answer
    facts = {
        "endpoint": subject.endpoint or "",
        "target": subject.target,
        "policy": subject.policy,
        "key": str(subject.key),
        "requests": f"{totals.requests:,}" if totals.iterations else "",
        "seed": "" if subject.seed is None else str(subject.seed),
    }
    rows = [f"| {name} | {_code(value)} |" for name, value in facts.items() if value]
    parts = [f"### rateproof: {_plain(first)}", *map(_plain, more)]
    parts.append("\n".join(["| | |", "|---|---|", *rows]))
    parts += [_block(each.describe()) for each in totals.reproductions]
    parts += [_block(each.describe()) for each in totals.worst]
    if details:
        parts.append(f"<details><summary>Evidence</summary>\n\n{_block(details)}\n\n</details>")
    return "\n\n".join(parts) + "\n\n"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|!~&])", r"\\\1", text)


def _fence(text: str, least: int) -> str:
    """More backticks than stand together in a text."""
    return "`" * max(least, 1 + max(map(len, _TICKS.findall(text)), default=0))


def _code(text: str) -> str:
    text = printable(text)
    ticks = _fence(text, 1)
    edge = " " if "`" in text else ""
    return f"{ticks}{edge}{text.replace('|', chr(92) + '|')}{edge}{ticks}"


def _block(text: str) -> str:
    ticks = _fence(text, 3)
    return f"{ticks}text\n{text}\n{ticks}"
