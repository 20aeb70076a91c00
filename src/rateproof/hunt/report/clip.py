"""The requests of a client around the evidence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rateproof.events import ADMITTED, Event, EventLog
from rateproof.hunt.report.rates import plain
from rateproof.prove import WRONG_REJECTION, Evidence

__all__ = ["MOST_REQUESTS", "Clip", "Request", "clip"]

MOST_REQUESTS = 300
"""In one clip: the evidence, then what was admitted, then what was sent nearest to it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the client; times as of `rateproof.events.Event`.

    Args:
        number: as in the evidence.
        sent_ns: when it was sent.
        received_ns: when its answer came; None if none did.
        answer: its status, or how it failed.
        outcome: `admitted`, `rejected` or `unknown`.
        named: whether it is part of the evidence.
    """

    number: int
    sent_ns: int
    received_ns: int | None
    answer: str
    outcome: str
    named: bool


@dataclass(frozen=True, slots=True)
class Clip:
    """The evidence, and what its client sent within half a window of it.

    Args:
        evidence: what it is about.
        iteration: in which iteration; None for a log of its own.
        opens_ns: when the window of the evidence begins.
        requests: by the time of sending.
        left_out: requests of that time that are not shown, beyond `MOST_REQUESTS`.
    """

    evidence: Evidence
    iteration: int | None
    opens_ns: int
    requests: tuple[Request, ...]
    left_out: int

    @property
    def close_ns(self) -> int | None:
        """The time from `opens_ns` on to look at, where the window is far longer."""
        last_ns = max(event.received_ns or event.sent_ns for event in self.evidence.events)
        span_ns = (last_ns - self.opens_ns) * 5 // 4
        return span_ns if 0 < 4 * span_ns < self.evidence.window_ns else None


def clip(log: EventLog, evidence: Evidence, iteration: int | None = None) -> Clip:
    """Cut what the client of the evidence did out of the log in which it was found."""
    rows = _rows(log, evidence)
    sent = np.frombuffer(log.ints("sent_ns"), np.int64)[rows]
    times = [event.sent_ns for event in evidence.events]
    opens_ns, last_ns = min(times), max(times)
    if evidence.claim == WRONG_REJECTION:
        opens_ns = evidence.events[-1].sent_ns - evidence.window_ns
    away = np.maximum(np.maximum(opens_ns - sent, sent - last_ns), 0)
    outcomes, words = log.codes("outcome")
    other = np.frombuffer(outcomes, np.int32)[rows] != words.index(ADMITTED)
    numbers = np.frombuffer(log.ints("sequence"), np.int64)[rows] if _numbered(log) else rows
    named = np.isin(numbers, [event.number for event in evidence.events])
    near = np.flatnonzero((away <= evidence.window_ns // 2) | named)
    order = near[np.lexsort((away[near], other[near], ~named[near]))][:MOST_REQUESTS]
    kept = [_request(log[int(rows[i])], int(numbers[i]), named=bool(named[i])) for i in order]
    kept.sort(key=lambda request: (request.sent_ns, request.number))
    return Clip(evidence, iteration, opens_ns, tuple(kept), len(near) - len(kept))


def _rows(log: EventLog, evidence: Evidence) -> NDArray[np.intp]:
    codes, words = log.codes("key")
    mine = np.frombuffer(codes, np.int32) == words.index(evidence.key)
    if evidence.run is not None:
        mine &= np.frombuffer(log.ints("run"), np.int64) == evidence.run
    return np.flatnonzero(mine)


def _numbered(log: EventLog) -> bool:
    """Tell if the evidence names rows by their sequence numbers: see `Witness`."""
    return log.same("sequence") is None


def _request(event: Event, number: int, *, named: bool) -> Request:
    answer = event.error or "no answer" if event.status is None else str(event.status)
    return Request(number, event.sent_ns, event.received_ns, plain(answer), event.outcome, named)
