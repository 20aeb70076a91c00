"""The pictures of the page as numbers that the page's template draws: percent of width and height."""

from collections import Counter
from dataclasses import dataclass
from math import log10
from typing import Final

from rateproof.events import OUTCOMES, EventLog
from rateproof.prove import Evidence
from rateproof.prove.evidence.drawing import Frame, shown
from rateproof.prove.evidence.wording import brief
from rateproof.simulate.summary import Summary
from rateproof.units import SECOND_NS

BINS: Final = 120
"""Bins over time at most; when time runs out of them, they merge by twos."""

_FIRST_WIDTH_NS: Final = 10_000_000
_MOST_BARS: Final = 24


class Timeline:
    """The requests of a piece of evidence, and the window that they are too many for.

    `left` and `width` are percent; `bars` has each request with its own, and the end that is drawn.
    Of more than 24 requests those in the midst are left out.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.frame = frame = Frame.of(evidence)
        first, self.left_out, last = shown(evidence.events, _MOST_BARS)
        self.left, self.width = self._span(frame.opens_ns, frame.closes_ns)
        self.bars = []
        for event in (*first, *last):
            ends_ns = frame.last_ns if event.received_ns is None else event.received_ns
            self.bars.append((event, *self._span(event.sent_ns, ends_ns), ends_ns))

    def _span(self, from_ns: int, to_ns: int) -> tuple[float, float]:
        left, right = (self.frame.place(ns, 100_000) / 1_000 for ns in (from_ns, to_ns))
        return left, right - left


class Rates:
    """Requests by the time at which they were sent, and by outcome, in memory that does not grow."""

    def __init__(self) -> None:
        self.origin_ns: int | None = None
        self.width_ns = _FIRST_WIDTH_NS
        self.counts: Counter[tuple[str, int]] = Counter()

    def add(self, log: EventLog) -> None:
        """Count a log in. What was sent before the first log began counts as sent then."""
        if not len(log):
            return
        sent = log.ints("sent_ns")
        codes, outcomes = log.codes("outcome")
        origin_ns = self.origin_ns = min(sent) if self.origin_ns is None else self.origin_ns
        while max(sent) - origin_ns >= BINS * self.width_ns:
            self.width_ns *= 2
            merged: Counter[tuple[str, int]] = Counter()
            for (outcome, place), count in self.counts.items():
                merged[outcome, place // 2] += count
            self.counts = merged
        width_ns = self.width_ns
        places = [max(0, at_ns - origin_ns) // width_ns for at_ns in sent]
        for (code, place), count in Counter(zip(codes, places, strict=True)).items():
            self.counts[outcomes[code], place] += count

    @property
    def used(self) -> int:
        """The number of bins up to the last that has a request."""
        return max((place for _, place in self.counts), default=-1) + 1

    @property
    def span_ns(self) -> int:
        """The time that the bins used cover."""
        return self.used * self.width_ns

    @property
    def per_s(self) -> float:
        """The most requests a second of any bin: the height of the picture."""
        return max(map(sum, self._columns()), default=0) * SECOND_NS / self.width_ns

    def _columns(self) -> list[list[int]]:
        return [[self.counts[name, place] for name in OUTCOMES] for place in range(self.used)]

    def bars(self) -> list[tuple[str, int, float, float]]:
        """Outcome, number of the bin, bottom and height in percent; the admitted at the bottom."""
        columns = self._columns()
        most = max(map(sum, columns), default=0)
        return [
            (name, place, 100 * sum(column[:at]) / most, 100 * column[at] / most)
            for place, column in enumerate(columns)
            for at, name in enumerate(OUTCOMES)
            if column[at]
        ]


@dataclass(frozen=True, slots=True)
class Curve:
    """The share of one outcome's requests answered by a time: points in percent, for SVG."""

    outcome: str
    points: str


def latency_curves(summary: Summary) -> tuple[str, str, list[Curve]]:
    """The curves of all outcomes on one logarithmic axis, behind the names of its ends."""
    times = {outcome: summary.latencies(outcome) for outcome in OUTCOMES}
    seen = {outcome: each for outcome, each in times.items() if each.count}
    low = log10(max(1_000, min((each.min or 0 for each in seen.values()), default=0)))
    high = max(low + 1, log10(max([1, *(each.max or 0 for each in seen.values())])))
    curves = []
    for outcome, each in seen.items():
        below, count, points = 0, each.count, dict[float, float]()
        for bucket in sorted(each.buckets):
            below += each.buckets[bucket]
            across = (log10(max(1, bucket)) - low) / (high - low)
            points[round(100 * min(1, max(0, across)), 1)] = 100 - 100 * below / count
        line = " ".join(f"{x:g},{y:.1f}" for x, y in points.items())
        curves.append(Curve(outcome, f"0,100 {line}"))
    return brief(round(10**low)), brief(round(10**high)), curves
