"""Text for people as the test goes on: on the terminal, and in `test_summary.txt`."""

import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from rateproof.answer import answer
from rateproof.errors import CannotWrite, written
from rateproof.events import parquet
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals, counted_kinds, without_counts
from rateproof.hunt.shrinking.reproduction import Reproduction
from rateproof.hunt.worst.search import Worst
from rateproof.output import columns, emit, fold, printable, say
from rateproof.prove import ALL_CLAIMS, CONSISTENT
from rateproof.prove.evidence import DRAWING_WIDTH

NAME = "test_summary.txt"

KEPT_LOGS = 3
"""Logs of iterations that hold, the last ones; those of others are all kept."""

_INDENT = "  "
_LABEL = " " * 10
_WIDTH = 90


class Console(Reporter):
    """On stderr what comes, on stdout the totals and last the answer, or with `--json` data.

    Args:
        json: all of it as JSON on stdout.
        verbose: everything of iterations that hold, too; else a line each.
    """

    def __init__(self, *, json: bool, verbose: bool = False) -> None:
        self._json = json
        self._verbose = verbose
        self._told: dict[str, int] = {}

    def begin(self, subject: Subject, totals: Totals) -> None:
        """See `Reporter`."""
        self._totals, self._subject = totals, subject
        say(str(subject))
        if not parquet.available():
            say("pyarrow is not installed: logs are JSON lines (hint: pip install pyarrow)")

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        width = columns(sys.stderr)
        held = iteration.verdict.allowing_untested().outcome == CONSISTENT
        if held and not iteration.crash_counts and not self._verbose:
            say(_in_a_line(iteration))
        else:
            say(describe(iteration, log, width, self._told))
        self._emit("iteration", iteration.to_json())

    def found(self, finding: Reproduction | Worst, iteration: int, /) -> None:
        """See `Reporter`."""
        say(finding.describe())
        self._emit(type(finding).__name__.lower(), {"iteration": iteration} | finding.to_json())

    def end(self) -> None:
        """See `Reporter`."""
        if self._totals.failed is None:
            self._emit("totals", self._totals.to_json() | {"own_server": self._subject.own})
            if not self._json:
                seen = self._totals.iterations == 1 and columns(sys.stdout) and columns(sys.stderr)
                totals = self._totals.describe(found=not seen)
                if self._subject.endpoint:
                    totals = f"endpoint {self._subject.endpoint}\n{totals}"
                emit("\n".join([totals, *reversed(self._totals.answer)]), sentences=True)

    def _emit(self, what: str, data: dict[str, Any]) -> None:
        if self._json:
            name = self._subject.endpoint
            emit(json.dumps({"type": what} | ({"endpoint": name} if name else {}) | data))


class SummaryFile(Reporter):
    """The file, appended to and flushed: a kill loses at most the iteration in flight.

    Args:
        folder: where it is, made if it is not there; an older file in it is
            continued, never replaced.

    Raises:
        CannotWrite: at once, not after the first iteration.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        self._told: dict[str, int] = {}
        self._name = printable(str(path))
        with written(self._name, "name a folder that can be: --out DIR"):
            folder.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():  # opening a pipe would wait for a reader
                raise CannotWrite(f"cannot write {self._name}: not a regular file")
            self._file = path.open("a", encoding="utf-8")

    def append(self, text: str) -> None:
        """Add a block of text and an empty line, and hand both to the system.

        Raises:
            CannotWrite: the disk is full, or the like.
        """
        with written(self._name):
            self._file.write(text + "\n\n")
            self._file.flush()

    def begin(self, subject: Subject, totals: Totals) -> None:
        """See `Reporter`."""
        self._totals = totals
        self.append(str(subject))

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        self.append(describe(iteration, log, told=self._told))

    def found(self, finding: Reproduction | Worst, _iteration: int, /) -> None:
        """See `Reporter`."""
        self.append(finding.describe())

    def end(self) -> None:
        """See `Reporter`."""
        totals = self._totals.describe(found=self._totals.iterations != 1)
        self.append("\n".join([*self._totals.answer, totals]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # it tries once more to write what append could not
            self._file.close()


def describe(
    iteration: Iteration, log: Path, width: int | None = None, told: dict[str, int] | None = None
) -> str:
    """Describe one iteration: its answer's line, what was sent, what came of it, and why.

    Args:
        iteration: the iteration.
        log: where its log is.
        width: characters a line of sentences and drawings; None: 90.
        told: how reasons began that were told before, each with its iteration; those of this
            one are added. What was told is told in few words; None: all of it anew.
    """
    room = (width or _WIDTH) - len(_INDENT)
    drawing = min(DRAWING_WIDTH, room - len(_LABEL))
    stopped = [f"stopped   after {iteration.elapsed_s:.1f} s"] if iteration.stopped else []
    verdict = iteration.verdict.allowing_untested()  # the totals say what no iteration tested
    kept = f" (kept until {KEPT_LOGS} more hold)" if verdict.outcome == CONSISTENT else ""
    number, line = iteration.draw.iteration, answer(verdict)[0]
    outcome, *why = verdict.describe(width=drawing).splitlines()
    for reason in verdict.reasons:
        brief = _told_before(reason, number, {} if told is None else told)
        if brief and line == f"INCONCLUSIVE: {reason}":
            line = f"INCONCLUSIVE: {brief}"
        why = [brief if brief and one == reason else one for one in why]
    why = [one for one in why if not line.endswith(f": {one}")]
    lines = [
        *fold(f"iteration {number}: {line}", room, ""),
        *_labelled("sent      ", str(iteration.draw), room),
        *stopped,
        *(part for line in str(iteration.summary).splitlines() for part in fold(line, room)),
        f"crashes   {counted_kinds(iteration.crash_counts)}",
        *(f"          {crash}" for crash in iteration.crashes),
        *_labelled("nemesis   ", "; ".join(map(str, iteration.nemesis)), room),
        f"verdict   {outcome}",
        *_wrapped(why, room),
        f"log       {printable(str(log))}{kept}",
    ]
    return f"\n{_INDENT}".join(lines)


def _told_before(reason: str, iteration: int, told: dict[str, int]) -> str:
    """A reason in few words, if one that begins so was told of an iteration before; else nothing."""
    what = re.split("[:;,] ", without_counts(reason), maxsplit=1)[0]
    first = told.setdefault(what, iteration)
    return "" if first == iteration or what in ALL_CLAIMS else f"{what}, as in iteration {first}"


def _in_a_line(iteration: Iteration) -> str:
    summary = iteration.summary
    return (
        f"iteration {iteration.draw.iteration}: consistent, {summary.requests} requests in "
        f"{summary.seconds:.1f} s; {iteration.draw.brief}"
    )


def _labelled(label: str, text: str, room: int) -> list[str]:
    """A text behind a label, broken as `_wrapped` breaks it; nothing if there is none."""
    lines = _wrapped([text], room)
    return [label + line.lstrip() if place == 0 else line for place, line in enumerate(lines)]


def _wrapped(lines: list[str], room: int) -> list[str]:
    """Sentences broken where a terminal would break them mid-word; drawings fit as they are."""
    return [
        part for line in filter(None, lines) for part in fold(_LABEL + line, room, _LABEL + _INDENT)
    ]
