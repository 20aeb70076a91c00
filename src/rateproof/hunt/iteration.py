"""One iteration: send the drawn traffic, watch the server, judge what was seen."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rateproof.errors import RateproofError
from rateproof.events import EventLog
from rateproof.hunt.child import ChildServer
from rateproof.hunt.explore import Draw
from rateproof.policy import Policy
from rateproof.prove import Verdict, judge
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.summary import Summary
from rateproof.simulate.transports import Transport
from rateproof.units import SECOND_NS

__all__ = ["CRASH_ERRORS", "Crash", "Iteration", "run_iteration"]

CRASH_ERRORS = ("refused", "reset", "timeout", "closed")
"""Error kinds of single requests that count as crashes of the server.

`closed` counts on a fresh connection only: one that was idle may be closed by a
healthy server just as the next request is sent (RFC 9112, section 9.3.1).
"""

_WATCH_S = 0.05


@dataclass(frozen=True, slots=True)
class Crash:
    """The server failed as a whole, `at_s` seconds into the iteration."""

    at_s: float
    what: str

    def __str__(self) -> str:
        return f"{self.what} at {self.at_s:.1f} s"


@dataclass(frozen=True, slots=True)
class Iteration:
    """What one iteration drew, saw and concluded."""

    draw: Draw
    log: EventLog
    summary: Summary
    crashes: tuple[Crash, ...]
    verdict: Verdict
    elapsed_s: float
    stopped: bool

    @property
    def crash_counts(self) -> dict[str, int]:
        """How often each kind of crash was seen, whole-server ones included; no zeros."""
        counts = _crashes_by_kind(self.log)
        counts["server died"] = len(self.crashes)
        return {kind: count for kind, count in counts.items() if count}

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
            "verdict": self.verdict.to_json(),
        }


def _crashes_by_kind(log: EventLog) -> dict[str, int]:
    counts = dict.fromkeys(CRASH_ERRORS, 0)
    used: set[int] = set()
    columns = map(log.column, ("connection", "error"))
    for connection, error in zip(*columns, strict=True):
        if error in counts and (error != "closed" or connection not in used):
            counts[error] += 1
        used.add(connection)
    return counts


def run_iteration(
    draw: Draw,
    scenario: Scenario,
    policy: Policy,
    *,
    claims: frozenset[str],
    tolerance_ppm: int,
    child: ChildServer | None,
    stop: threading.Event,
    transport: Transport,
) -> Iteration:
    """Run one iteration to its end, or until `stop` is set.

    A child that dies meanwhile is recorded and started again at once: its
    limiter's state is in shared memory, so the promise goes on across the crash.
    """
    started_ns = time.monotonic_ns()
    crashes: list[Crash] = []
    summary = Summary()
    with _watching(child, crashes, started_ns):
        log = transport(scenario, control=Control(stop), observe=summary.observe)
    summary.conclude(log.metadata)
    elapsed_s = (time.monotonic_ns() - started_ns) / SECOND_NS
    if child is None and not stop.is_set() and not scenario.target.answers():
        crashes.append(Crash(elapsed_s, "server stopped answering"))
    log.metadata |= {"iteration": draw.iteration, "fresh_keys": True}
    verdict = judge(log, policy, claims=claims, tolerance_ppm=tolerance_ppm)
    return Iteration(draw, log, summary, tuple(crashes), verdict, elapsed_s, stop.is_set())


@contextmanager
def _watching(child: ChildServer | None, crashes: list[Crash], started_ns: int) -> Iterator[None]:
    """Note every death of the child while the body runs, and start it again."""
    if child is None:
        yield
        return
    over = threading.Event()

    def note() -> None:
        what = child.died()
        if what is not None:
            at_s = (time.monotonic_ns() - started_ns) / SECOND_NS
            crashes.append(Crash(at_s, f"server {what}"))
            try:
                child.restart()
            except RateproofError as error:
                crashes.append(Crash(at_s, error.message))

    def watch() -> None:
        while not over.wait(_WATCH_S):
            note()

    watcher = threading.Thread(target=watch, name="watch-server")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        note()
