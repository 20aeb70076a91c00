"""The figures of a run: counts, and exact latency percentiles."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, REJECTED, UNKNOWN, Event
from rateproof.units import SECOND_NS

__all__ = ["PERCENTILES", "Summary", "nearest_rank"]

PERCENTILES = (50, 90, 99, 100)
OUTCOMES = (ADMITTED, REJECTED, UNKNOWN)


def nearest_rank(ordered: Sequence[int], percent: float) -> int | None:
    """The smallest value such that at least `percent` % of all are not above it.

    The value at rank ceil(percent/100 * n), an observed value and never an
    interpolation; 100 gives the maximum. Source: Hyndman and Fan, "Sample
    Quantiles in Statistical Packages" (1996), definition 1.

    Args:
        ordered: values in ascending order.
        percent: above 0 and at most 100.

    Returns:
        None where there are no values.

    Raises:
        InvalidArgument: `percent` out of these bounds.
    """
    if not 0 < percent <= 100:
        raise InvalidArgument(f"percentile {percent}", "above 0 and at most 100")
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[int(rank) - 1]


class Summary:
    """Counts of everything that happened, event by event.

    A latency is `done_ns - sent_ns`, from before the first byte of the request
    to the end of the answer; for a request without an answer it is the time
    until that was noticed. Outcomes are kept apart: rejections are quick, and
    would hide how slow the admissions are.

    Not locked: give it one event at a time, as the transports do.

    Args:
        clients: how many there were, where it is known; else those that sent
            a request are counted.
    """

    def __init__(self, clients: int | None = None) -> None:
        self._clients = clients
        self.requests = 0
        self.bytes = 0
        self.outcomes: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.keys: set[bytes] = set()
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self._latencies = {outcome: array("q") for outcome in OUTCOMES}

    @classmethod
    def of(cls, events: Iterable[Event], clients: int | None = None) -> Self:
        """The figures of a whole log."""
        summary = cls(clients)
        for event in events:
            summary.observe(event)
        return summary

    def observe(self, event: Event) -> None:
        """Count one event."""
        self.requests += 1
        self.bytes += event.bytes
        self.outcomes[event.outcome] += 1
        if event.status is not None:
            self.statuses[event.status] += 1
        if event.error is not None:
            self.errors[event.error] += 1
        self.keys.add(event.key)
        end_ns = event.sent_ns
        for known_ns in (event.received_ns, event.done_ns):
            end_ns = end_ns if known_ns is None else known_ns
        if event.received_ns is not None or event.done_ns is not None:
            self._latencies[event.outcome].append(end_ns - event.sent_ns)
        self.first_ns = (
            event.sent_ns if self.first_ns is None else min(self.first_ns, event.sent_ns)
        )
        self.last_ns = end_ns if self.last_ns is None else max(self.last_ns, end_ns)

    @property
    def clients(self) -> int:
        """How many clients there were, or how many sent a request."""
        return len(self.keys) if self._clients is None else self._clients

    @property
    def seconds(self) -> float:
        """From the first request's start to the last one's end."""
        if self.first_ns is None or self.last_ns is None:
            return 0.0
        return (self.last_ns - self.first_ns) / SECOND_NS

    @property
    def rate_per_s(self) -> float:
        """Requests a second over `seconds`; 0 where no time passed."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0

    def latency_ns(self, outcome: str, percent: float) -> int | None:
        """A nearest-rank percentile of the latencies of one outcome, in ns.

        Returns:
            None where there is no latency of that outcome.
        """
        return nearest_rank(sorted(self._latencies[outcome]), percent)

    def latencies_ns(self) -> dict[str, dict[str, int]]:
        """For each outcome that occurred: `count`, `p50`, `p90`, `p99` and `max`, in ns."""
        figures: dict[str, dict[str, int]] = {}
        for outcome, latencies in self._latencies.items():
            if latencies:
                ordered = sorted(latencies)
                ranks = {percent: nearest_rank(ordered, percent) or 0 for percent in PERCENTILES}
                figures[outcome] = {"count": len(ordered)} | {
                    _name(percent): value for percent, value in ranks.items()
                }
        return figures

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, keys in a fixed order."""
        return {
            "requests": self.requests,
            "clients": self.clients,
            "seconds": round(self.seconds, 6),
            "rate_per_s": round(self.rate_per_s, 3),
            "bytes": self.bytes,
            "outcomes": {outcome: self.outcomes[outcome] for outcome in OUTCOMES},
            "statuses": {str(status): self.statuses[status] for status in sorted(self.statuses)},
            "errors": {kind: self.errors[kind] for kind in sorted(self.errors)},
            "latency_ns": self.latencies_ns(),
        }

    def __str__(self) -> str:
        """A small table for people, without a line end."""
        statuses = [f"{status}: {self.statuses[status]}" for status in sorted(self.statuses)]
        errors = [f"{kind}: {self.errors[kind]}" for kind in sorted(self.errors)]
        lines = [
            f"clients   {self.clients}",
            f"requests  {self.requests} in {self.seconds:.1f} s ({self.rate_per_s:.1f} a second)",
            "outcomes  " + ", ".join(f"{name}: {self.outcomes[name]}" for name in OUTCOMES),
            "codes     " + (", ".join(statuses) or "none"),
            "errors    " + (", ".join(errors) or "none"),
        ]
        latencies = self.latencies_ns()
        if latencies:
            names = [_name(percent) for percent in PERCENTILES]
            lines.append("latency   " + "".join(f"{name:>12}" for name in names))
        for outcome, figures in latencies.items():
            values = "".join(f"{figures[name] / 1e6:>9.3f} ms" for name in names)
            lines.append(f"{outcome:<10}{values}")
        return "\n".join(lines)


def _name(percent: int) -> str:
    return "max" if percent == 100 else f"p{percent}"
