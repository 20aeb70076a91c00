"""Everything that the page shows, gathered log by log, in memory that does not grow with a test."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rateproof.events import EventLog
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.clip import Clip, clip
from rateproof.hunt.report.rates import Rates
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals
from rateproof.prove import CONSISTENT, Verdict
from rateproof.simulate.summary import Summary
from rateproof.units import SECOND_NS

__all__ = ["Findings", "Incident", "Row"]

_MOST_CLIPS = 4
_MOST_INCIDENTS = 200
_LAST_ROWS, _TELLING_ROWS = 50, 50


@dataclass(frozen=True, slots=True)
class Incident:
    """The server crashed, or something was done to it, `at_s` seconds after the first request."""

    iteration: int
    at_s: float
    what: str


@dataclass(frozen=True, slots=True)
class Row:
    """One iteration in the table of them."""

    number: int
    traffic: str
    requests: int
    crashes: int
    outcome: str
    log: str


class Findings:
    """Everything that is known so far.

    The first four pieces of evidence, the last incidents, the last iterations and
    the first that were not consistent are kept; of everything else, counts.

    Args:
        subject: what is tested or judged.
        totals: of the test; none of a log that is judged.
    """

    def __init__(self, subject: Subject, totals: Totals) -> None:
        self.subject = subject
        self.totals = totals
        self.rates = Rates()
        self.clips: list[Clip] = []
        self.left_out = 0
        self.incidents: deque[Incident] = deque(maxlen=_MOST_INCIDENTS)
        self.summary = Summary(clients=0)  # identities are fresh each time: not to be kept
        self._judged: Verdict | None = None
        self._last: deque[Row] = deque(maxlen=_LAST_ROWS)
        self._telling: list[Row] = []

    @property
    def verdict(self) -> Verdict:
        """On everything together."""
        return self.totals.combined if self._judged is None else self._judged

    @property
    def rows(self) -> Iterable[Row]:
        """The iterations that are kept, in order."""
        return sorted({*self._telling, *self._last}, key=lambda row: row.number)

    def add_log(self, log: EventLog, verdict: Verdict) -> None:
        """A log that was judged on its own."""
        self._judged = verdict
        self._observe(log, verdict, None)

    def add_iteration(self, iteration: Iteration, log: Path) -> None:
        """An iteration of a test, and where its log is."""
        number = iteration.draw.iteration
        self._observe(iteration.log, iteration.verdict, number)
        began_ns = iteration.log.metadata.get("start_ns", self.rates.origin_ns)
        began_s = (began_ns - self.rates.origin_ns) / SECOND_NS
        crashes = [(began_s + crash.at_s, f"crash: {crash.what}") for crash in iteration.crashes]
        deeds = [
            ((deed.at_ns - self.rates.origin_ns) / SECOND_NS, str(deed))
            for deed in iteration.nemesis
        ]
        self.incidents.extend(
            Incident(number, at_s, what) for at_s, what in sorted([*crashes, *deeds])
        )
        row = Row(
            number,
            str(iteration.draw),
            iteration.summary.requests,
            sum(iteration.crash_counts.values()),
            iteration.verdict.outcome,
            log.name,
        )
        self._last.append(row)
        if (row.outcome != CONSISTENT or row.crashes) and len(self._telling) < _TELLING_ROWS:
            self._telling.append(row)

    def _observe(self, log: EventLog, verdict: Verdict, iteration: int | None) -> None:
        self.rates.add(log)
        self.summary.observe(log)
        room = _MOST_CLIPS - len(self.clips)
        self.clips += [clip(log, piece, iteration) for piece in verdict.evidence[:room]]
        self.left_out += len(verdict.evidence[room:])
