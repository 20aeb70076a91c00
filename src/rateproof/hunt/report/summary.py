"""`test_summary.txt`: every iteration as it ends, and the totals on stop."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rateproof.errors import CannotWrite
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.conclusion import Conclusion
from rateproof.hunt.report.subject import Subject
from rateproof.output import fold, printable
from rateproof.prove import Verdict, combine
from rateproof.prove.evidence import DRAWING_WIDTH

if TYPE_CHECKING:
    from rateproof.hunt.shrinking.reproduction import Reproduction

__all__ = ["NAME", "SummaryFile", "Totals", "describe"]

NAME = "test_summary.txt"

_INDENT = "  "
_LABEL = " " * 10
_WIDTH = 90


class SummaryFile:
    """The file, appended to and flushed: a kill loses at most the iteration in flight.

    Args:
        folder: where it is, made if it is not there; an older file in it is
            continued, never replaced.

    Raises:
        CannotWrite: at once, not after the first iteration.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        self._name = printable(str(path))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():  # opening a pipe would wait for a reader
                raise CannotWrite(f"cannot write {self._name}: not a regular file")
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise CannotWrite(
                f"cannot write {self._name}: {error.strerror}",
                "name a folder that can be: --out DIR",
            ) from error

    def append(self, text: str) -> None:
        """Add a block of text and an empty line, and hand both to the system.

        Raises:
            CannotWrite: the disk is full, or the like.
        """
        try:
            self._file.write(text + "\n\n")
            self._file.flush()
        except OSError as error:
            raise CannotWrite(f"cannot write {self._name}: {error.strerror}") from error

    def begin(self, subject: Subject, totals: "Totals") -> None:
        """See `Reporter`."""
        self._totals = totals
        self.append(str(subject))

    def add(self, iteration: Iteration, log: Path) -> None:
        """See `Reporter`."""
        self.append(describe(iteration, log))

    def end(self) -> None:
        """See `Reporter`."""
        self.append(self._totals.describe())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # it tries once more to write what append could not
            self._file.close()


def describe(iteration: Iteration, log: Path, width: int | None = None) -> str:
    """What one iteration saw and concluded, as text; its first line is its draw's, and whole.

    Args:
        iteration: the iteration.
        log: where its log is.
        width: characters a line of sentences and drawings; None: 90.
    """
    room = (width or _WIDTH) - len(_INDENT)
    drawing = min(DRAWING_WIDTH, room - len(_LABEL))
    stopped = [f"stopped   after {iteration.elapsed_s:.1f} s"] if iteration.stopped else []
    outcome, *why = iteration.verdict.describe(width=drawing).splitlines()
    lines = [
        f"iteration {iteration.draw.iteration}: {iteration.draw}",
        *stopped,
        *str(iteration.summary).splitlines(),
        f"crashes   {_counts(iteration.crash_counts)}",
        *(f"          {crash}" for crash in iteration.crashes),
        *_labelled("nemesis   ", "; ".join(map(str, iteration.nemesis)), room),
        f"verdict   {outcome}",
        *_wrapped(why, room),
        f"log       {printable(str(log))}",
    ]
    return f"\n{_INDENT}".join(lines)


def _labelled(label: str, text: str, room: int) -> list[str]:
    """A text behind a label, broken as `_wrapped` breaks it; nothing if there is none."""
    lines = _wrapped([text], room)
    return [label + line.lstrip() if place == 0 else line for place, line in enumerate(lines)]


def _wrapped(lines: list[str], room: int) -> list[str]:
    """Sentences broken where a terminal would break them mid-word; drawings fit as they are."""
    return [
        part for line in filter(None, lines) for part in fold(_LABEL + line, room, _LABEL + _INDENT)
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind}: {count}" for kind, count in counts.items()) or "none"


class Totals:
    """All iterations together. `failed`: what ended the test out of order, None if nothing did."""

    def __init__(self) -> None:
        self.failed: str | None = None
        self.iterations = 0
        self.requests = 0
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.reproductions: list[Reproduction] = []
        self._conclusion = Conclusion()

    def add(self, iteration: Iteration) -> None:
        """Count one iteration in."""
        self.iterations += 1
        self.requests += iteration.summary.requests
        self.statuses.update({str(k): v for k, v in iteration.summary.statuses.items()})
        self.errors.update(iteration.summary.errors)
        self.crashes.update(iteration.crash_counts)
        self.outcomes[iteration.verdict.outcome] += 1
        self._conclusion.add(iteration.verdict, stopped=iteration.stopped)

    @property
    def combined(self) -> Verdict:
        """Of all iterations together: see `rateproof.prove.combine`."""
        return self._conclusion.verdict or combine([])

    @property
    def verdict(self) -> str:
        """Violated if any was."""
        return self.combined.outcome

    @property
    def exit_code(self) -> int:
        """0 consistent, 1 violated or the server crashed, 2 inconclusive."""
        if self.verdict == "violated" or self.crashes:
            return 1
        return 0 if self.verdict == "consistent" else 2

    def describe(self) -> str:
        """The totals as text."""
        return f"\n{_INDENT}".join(
            [
                f"total of {self.iterations} iteration{'s' * (self.iterations != 1)}",
                f"requests  {self.requests}",
                f"codes     {_counts(dict(sorted(self.statuses.items())))}",
                f"errors    {_counts(dict(self.errors))}",
                f"crashes   {_counts(dict(self.crashes))}",
                f"verdicts  {_counts(dict(self.outcomes))}",
                f"verdict   {self.verdict}",
                *(line for each in self.reproductions for line in each.describe().splitlines()),
                *([] if self.failed is None else [f"failed    {self.failed}"]),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        return {
            "iterations": self.iterations,
            "requests": self.requests,
            "statuses": dict(sorted(self.statuses.items())),
            "errors": dict(self.errors),
            "crashes": dict(self.crashes),
            "verdicts": dict(self.outcomes),
            "verdict": self.verdict,
            "reproductions": [each.to_json() for each in self.reproductions],
        }
