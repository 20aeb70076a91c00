"""Audit of a generator: how well it kept its own schedule, and what is unreliable for that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from rateproof.simulate.histogram import Histogram
from rateproof.units import SECOND_NS, counted

SATURATED = 0.9
"""A generator on one core has none to spare above this share of it."""

_LAGS: Final = ("lag", "connection_wait", "own_lag")
_GREATEST: Final = frozenset({"overrun", "stall_max_ns", "tolerance_ns"})
_RANKS = ((50, "p50"), (99, "p99"), (100, "max"))
_MS = 1e6
_AFFECTED = "latencies are unreliable, counts and verdicts are not"


@dataclass(slots=True, kw_only=True)
class Audit:
    """Counts what a generator did, request by request, in constant memory.

    `lag` is sent - intended. `own_lag` is the part of it that the generator
    itself caused: it counts from the instant at which nothing else was in the
    way, the latest of the intended instant, the end of the same connection's
    last answer, the slot that `max_rate` granted, and, where `max_connections`
    are shared and all were busy, the end of the answer that freed one.
    `connection_wait` is the time until that last: it is in response times,
    which count from the intended instant, and not in latencies. Percentiles are
    nearest-rank, above the true ones by less than 0.1 %; maxima are exact.

    Not locked.

    Args:
        requests: that were sent.
        paced: those that waited for a slot of `max_rate`.
        lag: of each.
        connection_wait: of each, 0 for most; empty where every lane has its own connection.
        own_lag: of each, and of those that were dropped by the generator's fault.
        late: those with an own lag above the tolerance.
        dropped: requests that were due before the end and never sent.
        stalls: turns of a generator's loop that came later than the tolerance.
        stall_max_ns: by how much at most.
        stalled_ns: and in all.
        waited: those with a `connection_wait` above the tolerance.
        unsent: requests that got no further than this machine.
        overrun: rows came faster than their reader took them.
        reconnects: how often a lane opened a connection after another one of its own.
        cpu_ns: what the generator's threads used, of all cores together.
        wall_ns: how long the run took, for each of them that is watched.
        tolerance_ns: own lag above it is late, a loop's turn above it a stall.
    """

    requests: int = 0
    paced: int = 0
    lag: Histogram = field(default_factory=Histogram)
    connection_wait: Histogram = field(default_factory=Histogram)
    own_lag: Histogram = field(default_factory=Histogram)
    late: int = 0
    dropped: int = 0
    stalls: int = 0
    stall_max_ns: int = 0
    stalled_ns: int = 0
    waited: int = 0
    unsent: int = 0
    overrun: bool = False
    reconnects: int = 0
    cpu_ns: int = 0
    wall_ns: int = 0
    tolerance_ns: int = 0

    @classmethod
    def read(cls, counts: Mapping[str, Any]) -> Self:
        """The audit of the native engine, which counts the same."""
        lags = {name: Histogram(*counts[name]) for name in _LAGS}
        return cls(**{**counts, **lags})

    def add(self, other: Self) -> None:
        """Count what another generator of the same run did."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Histogram):
                mine.merge(theirs)
            else:
                joined = max if each.name in _GREATEST else sum
                setattr(self, each.name, joined((mine, theirs)))

    def sent(self, lag_ns: int, own_lag_ns: int, *, paced: bool) -> None:
        """Count a request; `paced`: it waited for a slot of `max_rate`."""
        self.requests += 1
        self.paced += paced
        self.lag.add(lag_ns)
        self._overdue(own_lag_ns)

    def drop(self, count: int, own_lag_ns: int | None) -> None:
        """Count requests that were due before the end and never sent.

        Args:
            count: how many, of one connection.
            own_lag_ns: how long nothing but the generator was in the way of
                the first: a bound from below of the lag that it would have
                had. None where the server was.
        """
        self.dropped += count
        if own_lag_ns is not None:
            self._overdue(own_lag_ns)

    def _overdue(self, own_lag_ns: int) -> None:
        self.own_lag.add(own_lag_ns)
        self.late += own_lag_ns > self.tolerance_ns

    def turn(self, late_ns: int) -> None:
        """Count a turn of the generator's loop that came so much later than it was to."""
        if late_ns > self.tolerance_ns:
            self.stalls += 1
            self.stalled_ns += late_ns
            self.stall_max_ns = max(self.stall_max_ns, late_ns)

    def figures(self) -> dict[str, Any]:
        """Everything that was counted, as the log's `metadata["audit"]`."""
        counts = {each.name: getattr(self, each.name) for each in fields(self)}
        figures: dict[str, Any] = {}
        for name, value in counts.items():
            if isinstance(value, Histogram):
                of = {f"{name}_{suffix}_ns": value.percentile(rank) for rank, suffix in _RANKS}
                figures |= of
            elif name not in {"cpu_ns", "tolerance_ns"}:
                figures[name] = value
        share = self.cpu_ns / self.wall_ns if self.wall_ns > 0 else 0.0
        return figures | {"cpu_share": round(share, 4)}


def judgement(audit: dict[str, Any], tolerance_ns: int) -> dict[str, Any]:
    """The entries of a log's metadata that say what its generator did.

    A verdict rests on what was sent and seen, at the instants at which it was, and how hard a
    limiter was pressed is measured by that too: a generator that is late or stands still spoils
    latencies, and no verdict. So a run counts unless what was planned is missing from it, or
    it was ended. What the server or `max_rate` held up is no fault of the generator's.

    Args:
        audit: as `Audit.figures` gives it. Figures of an older log may be missing: they are
            taken for 0.
        tolerance_ns: the scenario's `lag_tolerance_ns`.

    Returns:
        `audit`; `valid` and `invalid_because`; `warnings`, sentences that say what is
        unreliable; `remarks`, sentences on what else is worth knowing.
    """
    reasons, warnings, remarks = [], [], []
    unsent = audit.get("unsent", 0)
    if unsent * 100 > audit["requests"]:
        reasons.append(
            f"{unsent} of {audit['requests']} requests were never sent: "
            "this machine had no descriptor or port left"
        )
    if audit.get("overrun", False):
        reasons.append("events came faster than their reader took them: the run was ended")
    warnings += [
        *_late(audit, tolerance_ns),
        *_waited(audit, tolerance_ns),
        *_stood_still(audit),
    ]
    if audit["dropped"]:
        dropped = counted(audit["dropped"], "request")
        were = "was" if audit["dropped"] == 1 else "were"
        remarks.append(f"{dropped} {were} due before the end and never sent")
    if audit["cpu_share"] > SATURATED:
        told = f"the generator used {audit['cpu_share'] * 100:.0f} % of a core"
        (reasons or warnings or remarks).append(told)
    return {
        "audit": audit,
        "valid": not reasons,
        "invalid_because": reasons,
        "warnings": warnings,
        "remarks": remarks,
    }


def _late(audit: dict[str, Any], tolerance_ns: int) -> list[str]:
    """A warning where more than 1 of 100 requests were late by the generator's own fault, and at least two."""
    told = _slowest(audit, "own_lag", audit["late"], tolerance_ns)
    return [f"this machine sent {told[0]} late ({told[1]}): {_AFFECTED}"] if told else []


def _waited(audit: dict[str, Any], tolerance_ns: int) -> list[str]:
    """The same where they waited for a connection: the target was slow, or has too few for the plan."""
    told = _slowest(audit, "connection_wait", audit.get("waited", 0), tolerance_ns)
    if told is None:
        return []
    waited = f"{told[0]} waited for a connection, all that max_connections allows were busy"
    return [f"{waited} ({told[1]}): latencies leave that wait out, response times count it"]


def _slowest(
    audit: dict[str, Any], name: str, count: int, tolerance_ns: int
) -> tuple[str, str] | None:
    """The number of requests above the tolerance, and by how much, where they are not few."""
    slow_ns = audit.get(f"{name}_p99_ns")
    if slow_ns is None or slow_ns <= tolerance_ns or count < 2:
        return None
    due = audit["requests"] + audit["dropped"]
    slowest = f"slowest 1 %: {_time(slow_ns)} or more"
    return f"{count} of {due} requests", f"more than {tolerance_ns / _MS:g} ms; {slowest}"


def _time(ns: int) -> str:
    return f"{ns / _MS:.1f} ms" if ns < SECOND_NS else f"{ns / SECOND_NS:.1f} s"


def _stood_still(audit: dict[str, Any]) -> list[str]:
    """A warning where its loops did for more than a hundredth of the run, and at least twice."""
    stalls, stalled_ns = audit["stalls"], audit.get("stalled_ns", 0)
    if stalls < 2 or stalled_ns * 100 <= audit.get("wall_ns", 0):
        return []
    most_ns = audit["stall_max_ns"]
    told = f"{stalls} times, {_time(stalled_ns)} in all, up to {_time(most_ns)}"
    return [f"this machine stood still ({told}) and read answers late: {_AFFECTED}"]
