"""The figures that a person watches while a run goes on."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from statistics import median_low

from rateproof.events import ADMITTED, REJECTED, EventLog
from rateproof.events.columns import NULL
from rateproof.simulate.summary import Summary
from rateproof.units import SECOND_NS

_RECENT = 1_000
_RATE_SPAN_NS = 2 * SECOND_NS
_SECONDS = 60
_LANES = 8
_MARKS = 40
_SAMPLES = 16
"""At most so many events of a table are looked at one by one: the view must not slow the run."""

_TAIL = 256
"""The marks of a table come from at most so many of its last events."""

MARK_OF = {ADMITTED: "✓", REJECTED: "\N{MULTIPLICATION SIGN}"}
FAILED = "!"
LEGEND = ((MARK_OF[ADMITTED], "admitted"), (MARK_OF[REJECTED], "rejected"), (FAILED, "errors"))
"""Every mark with the word for it."""

_LAG_SPAN_NS = 10 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The figures at one instant.

    Args:
        clients: how many there are.
        elapsed_s: since the run's start.
        requests: that have ended.
        rate_per_s: of the last 2 s.
        admitted: of all requests.
        rejected: of all requests.
        errors: requests with an error.
        p50_ns: the median of the last 1,000 latencies.
        lag_p99_ns: sent - intended, of the last 10 s.
        seconds: of the last 60 that are over how many requests ended in each, and the median of
            their latencies in ns; the latest last.
        lanes: of the 8 clients whose first answers came first, the key and a mark of `LEGEND` for
            each of the last requests; the latest last.
    """

    clients: int
    elapsed_s: float
    requests: int
    rate_per_s: float
    admitted: int
    rejected: int
    errors: int
    p50_ns: int | None
    lag_p99_ns: int | None
    seconds: tuple[tuple[int, int | None], ...]
    lanes: tuple[tuple[str, str], ...]


class Figures:
    """The live figures of a run, given table by table.

    Totals are exact. The medians, the lag and the marks are of at most 16
    events of each table, evenly spread: for the eye, not for the record.

    Args:
        clients: how many the scenario has.
        summary: what to count in; read it only when the run is over.
        extra: how many clients more there are by now.
        now_ns: the clock.
    """

    def __init__(
        self,
        clients: int,
        summary: Summary,
        *,
        extra: Callable[[], int] = lambda: 0,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.finished = False
        """To be set when the run is over: nothing more will come."""
        self._clients = clients
        self._summary = summary
        self._extra = extra
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._totals: deque[tuple[int, int]] = deque()
        self.begin()
        self._recent_ns: deque[int] = deque(maxlen=_RECENT)
        self._lags: deque[tuple[int, int]] = deque(maxlen=2 * _RECENT)
        self._seconds: deque[tuple[int, int | None]] = deque(maxlen=_SECONDS)
        self._second = 0
        self._second_count = 0
        self._second_ns: list[int] = []
        self._marks: dict[bytes, deque[str]] = {}
        self.most_clients = clients
        """The most that there have been at once."""

    @property
    def clients(self) -> int:
        """Number of clients now."""
        return self._clients + self._extra()

    def begin(self) -> None:
        """The run starts now, not when the figures were made; before the first event."""
        self._start_ns = self._now_ns()
        self._totals.clear()
        self._totals.append((self._start_ns, 0))

    def observe(self, events: EventLog) -> None:
        """Count a table of events, in the summary too."""
        with self._lock:
            now_ns = self._now_ns()
            self._turn(now_ns)
            self._summary.observe(events)
            self._second_count += len(events)
            self._mark_total(now_ns)
            self._sample(events, now_ns)
            self._mark_lanes(events)

    def glimpse(self) -> Glimpse:
        """The figures now."""
        with self._lock:
            now_ns = self._now_ns()
            self._turn(now_ns)
            self._mark_total(now_ns)
            since_ns, before = self._totals[0]
            summary = self._summary
            span_ns = now_ns - since_ns
            requests, outcomes = summary.requests, summary.outcomes
            return Glimpse(
                clients=self.clients,
                elapsed_s=(now_ns - self._start_ns) / SECOND_NS,
                requests=requests,
                rate_per_s=(requests - before) * SECOND_NS / span_ns if span_ns > 0 else 0.0,
                admitted=outcomes[ADMITTED],
                rejected=outcomes[REJECTED],
                errors=summary.errors.total(),
                p50_ns=_rank(self._recent_ns, 50),
                lag_p99_ns=_rank([lag_ns for _, lag_ns in self._lags], 99),
                seconds=tuple(self._seconds),
                lanes=tuple(
                    (_printable(key), "".join(marks)) for key, marks in self._marks.items()
                ),
            )

    def text(self) -> str:
        """The figures now, on one line."""
        now = self.glimpse()
        p50 = "-" if now.p50_ns is None else f"{now.p50_ns / 1e6:.1f} ms"
        return (
            f"{now.clients} clients {now.elapsed_s:.0f} s: {now.requests} sent "
            f"{now.rate_per_s:.0f}/s, {now.admitted} admitted {now.rejected} rejected "
            f"{now.errors} errors, p50 {p50}"
        )

    def _turn(self, now_ns: int) -> None:
        """Close the seconds that are over."""
        self.most_clients = max(self.most_clients, self.clients)
        while self._lags and now_ns - self._lags[0][0] > _LAG_SPAN_NS:
            self._lags.popleft()
        second = (now_ns - self._start_ns) // SECOND_NS
        if second <= self._second:
            return
        p50_ns = median_low(self._second_ns) if self._second_ns else None
        self._seconds.append((self._second_count, p50_ns))
        idle = min(second - self._second - 1, _SECONDS)
        self._seconds.extend([(0, None)] * idle)
        self._second, self._second_count = second, 0
        self._second_ns.clear()

    def _mark_total(self, now_ns: int) -> None:
        self._totals.append((now_ns, self._summary.requests))
        while len(self._totals) > 1 and now_ns - self._totals[1][0] >= _RATE_SPAN_NS:
            self._totals.popleft()

    def _sample(self, events: EventLog, now_ns: int) -> None:
        names = ("sent_ns", "done_ns", "status", "intended_ns")
        step = -(-len(events) // _SAMPLES) or 1
        columns = (events.ints(name)[::step] for name in names)
        for sent_ns, done_ns, status, intended_ns in zip(*columns, strict=True):
            if NULL not in {status, done_ns}:
                self._recent_ns.append(done_ns - sent_ns)
                self._second_ns.append(done_ns - sent_ns)
            if intended_ns != NULL:
                self._lags.append((now_ns, sent_ns - intended_ns))

    def _mark_lanes(self, events: EventLog) -> None:
        keys, words = events.codes("key")
        first = max(0, len(events) - _TAIL)
        tail = keys[first:]
        if len(self._marks) < _LANES:
            for code in dict.fromkeys(tail):
                if len(self._marks) < _LANES:
                    self._marks.setdefault(words[code], deque(maxlen=_MARKS))
        lanes = {code: self._marks[words[code]] for code in set(tail) if words[code] in self._marks}
        outcomes, kinds = events.codes("outcome")
        errors, failures = events.codes("error")
        for at, code in [(at, code) for at, code in enumerate(tail, first) if code in lanes]:
            failed = failures[errors[at]] is not None
            lanes[code].append(FAILED if failed else MARK_OF.get(kinds[outcomes[at]], FAILED))


def _rank(values: Collection[int], percent: int) -> int | None:
    """The least value with so many percent of all at or below it; None of no values."""
    return sorted(values)[-(-len(values) * percent // 100) - 1] if values else None


def _printable(key: bytes) -> str:
    """A key as text that does nothing to a terminal."""
    text = key.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
