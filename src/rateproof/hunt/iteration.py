"""One iteration: send the drawn traffic, watch the server, judge what was seen."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Self

from rateproof.events import ADMITTED, REJECTED, EventLog
from rateproof.hunt.exploration.pace import SOUNDING, SOUNDING_NS
from rateproof.hunt.exploration.traffic import Draw
from rateproof.hunt.recipe import Phase
from rateproof.hunt.rig import Rig
from rateproof.hunt.server.nemesis import Deed
from rateproof.hunt.server.watch import Crash, Watch
from rateproof.prove import Cause, Verdict
from rateproof.simulate.summary import Summary
from rateproof.units import SECOND_NS, counted, format_seconds

CRASH_ERRORS = ("refused", "reset", "closed")
"""Error kinds of single requests that count as crashes of the server.

`closed` and `reset` count on a fresh connection only: one that was idle may be
closed by a healthy server just as the next request is sent (RFC 9112, section
9.3.1), and not where the server lives on and answers others: it drops connections.
Where nothing was ever answered, only `refused` counts: what listens there
may be no HTTP server, and the verdict says what it does.
"""

_LATE = "timeout"
"""The kind of a request that had no answer in time: the server may live. It is no crash."""

_MAY_BE_IDLENESS = frozenset({"closed", "reset"})

# A deed may still show this long after the server has recovered from it.
_AFTER_NS = SECOND_NS // 2


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration: its traffic, its log, its figures and the verdict.

    Args:
        crashes: what the server, or a worker of it, died of, but for what was done to it.
        stopped: whether it was cut short.
        nemesis: what was done to the server on purpose, in order.
        known: whether the target had answered requests before.
        lives: whether it answered, or accepted connections, afterwards.
    """

    draw: Draw
    log: EventLog
    summary: Summary
    crashes: tuple[Crash, ...]
    verdict: Verdict
    elapsed_s: float
    stopped: bool
    nemesis: tuple[Deed, ...] = ()
    known: bool = False
    lives: bool = False

    @property
    def answered(self) -> bool:
        """True if the target has ever answered a request."""
        return self.known or has_answer(self.log)

    @property
    def crash_counts(self) -> dict[str, int]:
        """Count each kind of crash, whole-server ones included; no zeros.

        What the nemesis caused is none of the server's.
        """
        counts: Counter[str] = Counter(_failures(self.log, self.nemesis, known=self.known))
        del counts[_LATE]
        counts -= self.dropped
        counts.update(f"{crash.whose} died" for crash in self.crashes)
        return {kind: count for kind, count in counts.items() if count}

    @property
    def dropped(self) -> Counter[str]:
        """The connections that a server which lives broke before it went on to answer others."""
        counts = _failures(self.log, self.nemesis, known=self.known)
        if self.crashes or counts["refused"]:
            return Counter()
        broken = Counter({kind: counts.get(kind, 0) for kind in _MAY_BE_IDLENESS})
        if self.lives:
            return broken
        columns = zip(*map(self.log.column, ("status", "sent_ns")), strict=True)
        last_ns = max((sent_ns for status, sent_ns in columns if status is not None), default=0)
        ends = _failures(self.log, self.nemesis, known=self.known, since_ns=last_ns)
        lives = any(count > ends.get(kind, 0) for kind, count in broken.items())
        return broken if lives else Counter()

    @property
    def late(self) -> int:
        """The number of requests that had no answer in time, but for what the nemesis explains."""
        return _failures(self.log, self.nemesis, known=self.known)[_LATE]

    @property
    def answer_ns(self) -> int:
        """The time that an admission or a rejection takes which hardly waits behind others."""
        quick = (self.summary.latencies(kind).percentile(10) for kind in (ADMITTED, REJECTED))
        return max(ns or 0 for ns in quick)

    def doubted(self, why: str, cause: str) -> Self:
        """It with an inconclusive verdict, unless it is violated; what a diagnosis says comes first."""
        found = self.verdict.doubted(why, cause, first=not self.summary.statuses)
        return replace(self, verdict=found)

    def to_json(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        return {
            "iteration": self.draw.iteration,
            "seed": self.draw.seed,
            "shape": self.draw.shape,
            "clients": self.draw.clients,
            "rate_per_s": self.draw.rate_per_s,
            "duration_ns": self.draw.duration_ns,
            "elapsed_s": round(self.elapsed_s, 3),
            "stopped": self.stopped,
            **self.summary.as_dict(),
            "crashes": self.crash_counts,
            "nemesis": [deed.to_json() for deed in self.nemesis],
            "verdict": self.verdict.to_json(),
        }


def has_answer(log: EventLog) -> bool:
    """Tell if any request of a log has an answer."""
    return any(status is not None for status in log.column("status"))


def _failures(
    log: EventLog, deeds: Sequence[Deed], *, known: bool = False, since_ns: int = 0
) -> dict[str, int]:
    """Errors that a healthy server does not show, by kind, but for those that a deed explains.

    None that were seen before `since_ns` are counted.
    """
    kinds = CRASH_ERRORS if known or has_answer(log) else ("refused",)
    counts = dict.fromkeys((*kinds, _LATE), 0)
    spans = [(deed.at_ns, deed.until_ns and deed.until_ns + _AFTER_NS) for deed in deeds]
    healthy: dict[int, int] = {}
    columns = map(log.column, ("connection", "error", "sent_ns", "done_ns"))
    for connection, error, sent_ns, done_ns in zip(*columns, strict=True):
        if error in counts and not (error in _MAY_BE_IDLENESS and connection in healthy):
            # An idle connection may have been broken at any time since its last answer.
            idle_ns = healthy.get(connection, sent_ns)
            counts[error] += done_ns >= since_ns and not any(
                at_ns <= done_ns and (until_ns is None or idle_ns <= until_ns)
                for at_ns, until_ns in spans
            )
        healthy[connection] = done_ns
    return counts


def _lives(rig: Rig, log: EventLog) -> bool:
    """Ask once more with fresh clients.

    Where nothing may be sent, who answered before the end lives if it accepts a connection.
    """
    if rig.stop.is_set() or rig.keyring is not None:
        return has_answer(log) and rig.settings.target.accepts() is True
    return has_answer(rig.send(rig.scenario((SOUNDING,), SOUNDING_NS)))


def run_iteration(
    rig: Rig,
    draw: Draw,
    phase: Phase | None = None,
    *,
    watch: Watch | None,
    known: bool = False,
    up: bool = True,
) -> Iteration:
    """Run one iteration to its end, or until the rig is stopped.

    A child that dies meanwhile is recorded and started again at once: its
    limiter's state is in shared memory, so the promise goes on across the crash.

    Args:
        rig: what is tested.
        draw: the traffic.
        phase: where it begins in windows from the epoch; None: anywhere.
        watch: over the server, where it is ours to look after; not used before.
        known: whether the target has answered requests before.
        up: whether a server listens as it begins: else none can stop doing so.
    """
    started_ns = time.monotonic_ns()
    summary = Summary()
    scenario = rig.scenario(draw.groups, draw.duration_ns, seed=draw.scenario_seed, phase=phase)
    with nullcontext() if watch is None else watch:
        log = rig.send(scenario, summary.observe)
    crashes = [] if watch is None else watch.crashes
    deeds = [] if watch is None else watch.deeds
    summary.conclude(log.metadata)
    elapsed_s = (time.monotonic_ns() - started_ns) / SECOND_NS
    stopped = rig.stop.is_set()
    accepts = True if stopped else scenario.target.accepts()
    if accepts is False and watch is None and up:
        crashes.append(Crash(elapsed_s, "server stopped answering"))
    log.metadata["iteration"] = draw.iteration
    if deeds:
        log.metadata["nemesis"] = [deed.to_json() for deed in deeds]
    verdict = rig.judge(log)
    iteration = Iteration(
        draw, log, summary, tuple(crashes), verdict, elapsed_s, stopped, tuple(deeds), known
    )
    broken = not _MAY_BE_IDLENESS.isdisjoint(iteration.crash_counts)
    if broken and iteration.answered and not crashes:
        iteration = replace(iteration, lives=_lives(rig, log))
    if dropped := iteration.dropped.total():
        why = f"the server broke {dropped:,} of {counted(summary.connections, 'connection')} without an answer"
        iteration = iteration.doubted(f"{why}, and answered others", Cause.UNKNOWN_OUTCOMES)
    if not iteration.late:
        return iteration
    within = format_seconds(rig.settings.timeout_ns)
    why = f"{iteration.late:,} of {counted(len(log), 'request')} had no answer within {within}"
    if not stopped:
        why += "; the server accepts connections" if accepts else "; nor does it accept connections"
    return iteration.doubted(why, Cause.UNKNOWN_OUTCOMES)
