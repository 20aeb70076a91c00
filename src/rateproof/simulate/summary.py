"""The figures of a run: counts, and latency percentiles within 0.1 %."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self

from rateproof.events import OUTCOMES, Event, EventLog
from rateproof.simulate.histogram import Histogram
from rateproof.simulate.tally import COLUMNS, LATENCY, RESPONSE, new_tally
from rateproof.units import SECOND_NS, counted

PERCENTILES = (50, 90, 99, 100)

_KINDS = {outcome: kind for kind, outcome in enumerate(OUTCOMES)}
_NO_KIND = 255  # a word that no event has
_WAIT_NS = 1_000_000


class Summary:
    """Counts of everything that happened, table by table, in constant memory.

    A latency is `done_ns - sent_ns`, from before the first byte of the request
    to the end of the answer; for a request without an answer it is the time
    until that was noticed. A response time is `done_ns - intended_ns`: what a
    user waits who wanted to send at the planned instant, when the generator or
    a busy connection held the request back. To leave that out is coordinated
    omission (Tene, "How NOT to Measure Latency", 2015). Outcomes are kept
    apart: rejections are quick, and would hide how slow the admissions are.

    Counts are exact, and so are the least and the greatest time. A percentile
    is never below the true nearest-rank one, and above it by less than 0.1 %:
    see `Histogram`. Only the keys are kept, each once, where the number of
    clients is not known.

    Not locked: give it one table at a time, as the transports do.

    Args:
        clients: how many there were, where it is known; else the keys that
            sent a request are counted.
    """

    def __init__(self, clients: int | None = None) -> None:
        self._clients = clients
        self._tally = new_tally()
        self.errors: Counter[str] = Counter()
        self.keys: set[bytes] = set()
        self.valid: bool | None = None
        self.invalid_because: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.remarks: tuple[str, ...] = ()
        self.reconnects: int | None = None
        """Number of connections that a lane opened after another one of its own; None: not known."""

    @classmethod
    def of(cls, events: EventLog | Iterable[Event], clients: int | None = None) -> Self:
        """The figures of a whole log, and whether its run was valid."""
        if not isinstance(events, EventLog):
            log = EventLog()
            log.extend(events)
            events = log
        summary = cls(clients)
        summary.observe(events)
        summary.conclude(events.metadata)
        return summary

    def observe(self, events: EventLog) -> None:
        """Count a table of events."""
        if not len(events):
            return
        outcomes, outcome_words = events.codes("outcome")
        errors, error_words = events.codes("error")
        seen = self._tally.observe(
            [events.ints(name) for name in COLUMNS],
            outcomes,
            bytes(_KINDS.get(word, _NO_KIND) for word in outcome_words),
            errors,
            len(error_words),
        )
        for word, count in zip(error_words, seen, strict=True):
            if word is not None and count:
                self.errors[word] += count
        if self._clients is None:
            keys, key_words = events.codes("key")
            self.keys.update(key_words[code] for code in set(keys))

    def expect(self, clients: int) -> None:
        """Clients came in while the run went on: how many there have been."""
        self._clients = clients

    def conclude(self, metadata: Mapping[str, Any]) -> None:
        """Take from a log's metadata what only the generator knows.

        That is whether the run was valid, why not, what is unreliable in it, what else to
        remark, and the reconnects.
        """
        self.valid = metadata.get("valid")
        self.invalid_because = tuple(metadata.get("invalid_because") or ())
        self.warnings = tuple(metadata.get("warnings") or ())
        self.remarks = tuple(metadata.get("remarks") or ())
        self.reconnects = (metadata.get("audit") or {}).get("reconnects")

    @property
    def requests(self) -> int:
        """Number of requests."""
        return self._tally.requests

    @property
    def bytes(self) -> int:
        """Length of all bodies together."""
        return self._tally.bytes

    @property
    def outcomes(self) -> Counter[str]:
        """Number of each outcome."""
        return Counter(dict(zip(OUTCOMES, self._tally.outcomes(), strict=True)))

    @property
    def statuses(self) -> Counter[int]:
        """Number of each status code."""
        return Counter(self._tally.statuses())

    @property
    def clients(self) -> int:
        """Number of clients, or of the keys that sent a request."""
        return len(self.keys) if self._clients is None else self._clients

    @property
    def connections(self) -> int:
        """Number of connections opened."""
        return self._tally.connections

    @property
    def seconds(self) -> float:
        """From the first request's start to the last one's end."""
        span = self._tally.span()
        return 0.0 if span is None else (span[1] - span[0]) / SECOND_NS

    @property
    def rate_per_s(self) -> float:
        """Requests a second over `seconds`; 0 where no time passed."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0

    def latencies(self, outcome: str) -> Histogram:
        """The latencies of one outcome, in ns."""
        return self._times(LATENCY, outcome)

    def latencies_ns(self) -> dict[str, dict[str, int]]:
        """For each outcome that occurred: `count`, `p50`, `p90`, `p99` and `max`, in ns."""
        return self._figures(LATENCY)

    def responses_ns(self) -> dict[str, dict[str, int]]:
        """The same of the response times."""
        return self._figures(RESPONSE)

    def _times(self, which: int, outcome: str) -> Histogram:
        buckets = self._tally.buckets(which, OUTCOMES.index(outcome))
        return Histogram() if buckets is None else Histogram(*buckets)

    def _figures(self, which: int) -> dict[str, dict[str, int]]:
        figures: dict[str, dict[str, int]] = {}
        for outcome in OUTCOMES:
            times = self._times(which, outcome)
            if times.count:
                figures[outcome] = {"count": times.count} | {
                    _name(percent): times.percentile(percent) or 0 for percent in PERCENTILES
                }
        return figures

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, keys in a fixed order."""
        outcomes, statuses = self.outcomes, self.statuses
        return {
            "valid": self.valid,
            "invalid_because": list(self.invalid_because),
            "warnings": list(self.warnings),
            "remarks": list(self.remarks),
            "requests": self.requests,
            "clients": self.clients,
            "connections": self.connections,
            "reconnects": self.reconnects,
            "seconds": round(self.seconds, 6),
            "rate_per_s": round(self.rate_per_s, 3),
            "bytes": self.bytes,
            "outcomes": {outcome: outcomes[outcome] for outcome in OUTCOMES},
            "statuses": {str(status): statuses[status] for status in sorted(statuses)},
            "errors": {kind: self.errors[kind] for kind in sorted(self.errors)},
            "latency_ns": self.latencies_ns(),
            "response_ns": self.responses_ns(),
        }

    def __str__(self) -> str:
        """A small table for people, without a line end; what is not valid or unreliable says so first."""
        outcomes, statuses = self.outcomes, self.statuses
        codes = [f"{status}: {statuses[status]}" for status in sorted(statuses)]
        errors = [f"{kind}: {self.errors[kind]}" for kind in sorted(self.errors)]
        lines = [
            f"clients   {self.clients}",
            f"requests  {self.requests} in {self.seconds:.1f} s ({self.rate_per_s:.1f} a second)",
            "outcomes  " + ", ".join(f"{name}: {outcomes[name]}" for name in OUTCOMES),
            "codes     " + (", ".join(codes) or "none"),
            "errors    " + (", ".join(errors) or "none"),
        ]
        lines[:0] = [f"warning: {sentence}" for sentence in self.warnings]
        if self.valid is False:
            why = "; ".join(self.invalid_because) or "the run was not valid"
            told = "nothing is called consistent by this run; a violation stands"
            lines.insert(0, f"warning: {why}; {told}")
        if self.reconnects:
            opened, again = (self.connections, "connection"), (self.reconnects, "reconnect")
            lines.append(f"opened    {counted(*opened)} ({counted(*again)})")
        lines += [f"remark    {sentence}" for sentence in self.remarks]
        latencies, responses = self.latencies_ns(), self.responses_ns()
        lines += _table("latency", latencies)
        if _differ(latencies, responses):
            lines += _table("response", responses)
        return "\n".join(lines)


def _table(title: str, times: Mapping[str, Mapping[str, int]]) -> list[str]:
    if not times:
        return []
    names = [_name(percent) for percent in PERCENTILES]
    lines = [f"{title:<10}" + "".join(f"{name:>14}" for name in names)]
    for outcome, figures in times.items():
        values = "".join(f"{figures[name] / 1e6:>11.3f} ms" for name in names)
        lines.append(f"{outcome:<10}{values}")
    return lines


def _differ(
    latencies: Mapping[str, Mapping[str, int]], responses: Mapping[str, Mapping[str, int]]
) -> bool:
    """True if waiting for the turn to be sent shows: by more than a tenth, and 1 ms."""
    return any(
        figures[name] - latencies[outcome][name] > max(_WAIT_NS, latencies[outcome][name] // 10)
        for outcome, figures in responses.items()
        for name in figures
        if name != "count"
    )


def _name(percent: int) -> str:
    return "max" if percent == 100 else f"p{percent}"
