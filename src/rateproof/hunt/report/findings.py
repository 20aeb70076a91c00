"""Everything that the page shows, gathered log by log, in memory that does not grow with a test."""

from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rateproof.events import EventLog
from rateproof.hunt.exploration.attacks import FAMILIES
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.report.pictures import Rates
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals
from rateproof.prove import CONSISTENT, Evidence, Verdict
from rateproof.simulate.summary import Summary
from rateproof.units import SECOND_NS

_MOST_INCIDENTS = 200
_LAST_ROWS, _TELLING_ROWS = 50, 50


class Incident(NamedTuple):
    """The server crashed, or something was done to it, `at_s` seconds after the first request."""

    iteration: int
    at_s: float
    what: str


class Row(NamedTuple):
    """One iteration in the table of them."""

    number: int
    traffic: str
    requests: int
    crashes: int
    outcome: str
    log: str


class Findings:
    """Everything that is known so far.

    Of the evidence the first piece of each claim is kept, of incidents and iterations the last,
    and the first iterations that were not consistent; of everything else, counts.
    """

    def __init__(self, subject: Subject, totals: Totals) -> None:
        self.subject = subject
        self.totals = totals
        self.rates = Rates()
        self.evidence: dict[str, tuple[Evidence, int | None]] = {}
        self.pieces = 0
        self.tried: Counter[str] = Counter()
        """Clients of each kind of attack, in plain words."""
        self.incidents: deque[Incident] = deque(maxlen=_MOST_INCIDENTS)
        self.summary = Summary(clients=0)  # identities are fresh each time: not to be kept
        self._last: deque[Row] = deque(maxlen=_LAST_ROWS)
        self._telling: list[Row] = []

    @property
    def rows(self) -> Iterable[Row]:
        """The iterations that are kept, in order."""
        return sorted({*self._telling, *self._last})

    def add_iteration(self, iteration: Iteration, log: Path) -> None:
        """An iteration of a test, and where its log is."""
        number = iteration.draw.iteration
        self.observe(iteration.log, iteration.verdict, number)
        origin_ns = self.rates.origin_ns or 0
        began_s = (iteration.log.metadata.get("start_ns", origin_ns) - origin_ns) / SECOND_NS
        told = [(began_s + crash.at_s, f"crash: {crash.what}") for crash in iteration.crashes]
        told += [((deed.at_ns - origin_ns) / SECOND_NS, str(deed)) for deed in iteration.nemesis]
        self.incidents.extend(Incident(number, at_s, what) for at_s, what in sorted(told))
        row = Row(
            number,
            str(iteration.draw),
            iteration.summary.requests,
            sum(iteration.crash_counts.values()),
            iteration.verdict.allowing_untested().outcome,  # the totals say what none tested
            log.name,
        )
        self._last.append(row)
        for attack in iteration.draw.attacks:
            self.tried[FAMILIES[attack.family].words] += len(attack.starts)
        if (row.outcome != CONSISTENT or row.crashes) and len(self._telling) < _TELLING_ROWS:
            self._telling.append(row)

    def observe(self, log: EventLog, verdict: Verdict, iteration: int | None = None) -> None:
        """Show a log and the evidence in it; None: a log of no iteration."""
        self.rates.add(log)
        self.summary.observe(log)
        self.pieces += len(verdict.evidence)
        for piece in verdict.evidence:
            self.evidence.setdefault(piece.claim, (piece, iteration))
