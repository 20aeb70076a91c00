"""Deeds done to a server on purpose while it is tested: it is killed, paused, restarted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.policy import Quota
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.scenario import Group
from rateproof.units import SECOND_NS

DEEDS = ("kill", "pause", "restart")
"""kill -9 of a worker; a worker stopped and resumed; kill -9 of all, and a new start."""

_MOST = 3
_EDGE = 0.1
_PAUSE_NS = (SECOND_NS // 10, 5 * SECOND_NS)
_WITNESSES, _ASKED_FOR, _LEAST_NS = 3, 4, 5_000_000


def parse_deeds(text: str) -> tuple[str, ...]:
    """Read `kill,pause`; `all` is every one of them, `none` not one.

    Raises:
        InvalidArgument: naming the word that is none of them.
    """
    if text == "none":
        return ()
    words = DEEDS if text == "all" else tuple(map(str.strip, text.split(",")))
    for word in words:
        if word not in DEEDS:
            raise InvalidArgument(
                f"nemesis {word!r}", f"none, all, or some of {', '.join(DEEDS)}, such as kill,pause"
            )
    return tuple(deed for deed in DEEDS if deed in words)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A deed that is planned, `at_ns` from the beginning of the iteration.

    `for_ns` is how long a pause lasts; `choice`, from 0 to below 1, picks the worker.
    """

    what: str
    at_ns: int
    for_ns: int
    choice: float


def witnesses(quota: Quota) -> Group:
    """Clients who ask for four times what they may have, all the time.

    Whatever a limiter forgets or adds when something is done to it shows in what they get.
    """
    interval_ns = max(quota.window_ns // (_ASKED_FOR * quota.limit), _LEAST_NS)
    return Group(Constant(interval_ns), _WITNESSES)


def aftermath_ns(quota: Quota) -> int:
    """The time for which the traffic goes on after the last deed, so that consequences show."""
    return min(quota.window_ns, _PAUSE_NS[1])


def plan(
    seed: int, iteration: int, duration_ns: int, window_ns: int, deeds: Iterable[str]
) -> tuple[Stroke, ...]:
    """One to three strokes, in order of time; equal arguments give equal plans.

    Args:
        seed: of the whole test.
        iteration: its number.
        duration_ns: how long there is for it; nothing is done in its first and last tenth.
        window_ns: a pause lasts up to this long, at least 0.1 s and at most 5 s.
        deeds: what may be done, from `DEEDS`.
    """
    rng = Random(f"{seed}/{iteration}/nemesis")
    low, high = _PAUSE_NS
    longest_ns = min(max(window_ns, low), high)
    choices = sorted(deeds)
    strokes = []
    for _ in range(rng.randint(1, _MOST)):
        what = rng.choice(choices)
        at_ns = round(rng.uniform(_EDGE, 1 - _EDGE) * duration_ns)
        for_ns = rng.randint(low, longest_ns)
        strokes.append(Stroke(what, at_ns, for_ns if what == "pause" else 0, rng.random()))
    return tuple(sorted(strokes, key=lambda stroke: stroke.at_ns))


@dataclass(slots=True)
class Deed:
    """A deed that was done, and its consequences.

    Args:
        what: one of `DEEDS`.
        at_ns: when, a reading of the monotonic clock.
        start_ns: when the iteration began, on the same clock.
        worker: number of the worker, None where it was the whole server.
        pid: its process id, or that of a server of one process; None for a restart.
        until_ns: when the server had recovered: the worker was resumed, or
            connections were accepted again; None as long as it has not.
        then: consequences, in words.
    """

    what: str
    at_ns: int
    start_ns: int
    worker: int | None = None
    pid: int | None = None
    until_ns: int | None = None
    then: list[str] = field(default_factory=list)

    def since_start_s(self, instant_ns: int) -> float:
        """Seconds of the iteration at an instant."""
        return (instant_ns - self.start_ns) / SECOND_NS

    def __str__(self) -> str:
        whom = "the server" if self.worker is None else f"worker {self.worker}"
        when = f"at {self.since_start_s(self.at_ns):.2f} s"
        if self.until_ns is None:
            when += ", since when nothing accepts connections"
        elif self.what != "kill":
            until_s = self.since_start_s(self.until_ns)
            when = f"from {self.since_start_s(self.at_ns):.2f} to {until_s:.2f} s"
        return ", ".join([f"{_PAST[self.what]} {whom} {when}", *self.then])

    def to_json(self) -> dict[str, Any]:
        """Plain data; the instants are readings of the log's clock."""
        return {
            "what": self.what,
            "worker": self.worker,
            "pid": self.pid,
            "at_ns": self.at_ns,
            "until_ns": self.until_ns,
            "then": list(self.then),
        }


_PAST = {"kill": "killed", "pause": "paused", "restart": "restarted"}
