"""Timing in turn, so that a machine that slows down slows everybody down."""

import os
import time
from collections.abc import Callable, Sequence
from statistics import median

Figure = dict[str, object]

_BATCH_NS = 150_000_000


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    peer: str | None = None,
    ratio: float | None = None,
    wanted: str | None = None,
) -> Figure:
    """One line of output."""
    shown = None if ratio is None else round(ratio, 3)
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "peer": peer,
        "ratio": shown,
        "wanted": wanted,
    }


def in_turn(calls: Sequence[Callable[[int], None]], rounds: int) -> list[list[float]]:
    """The processor time in ns of one of the `n` steps of each call, for each round.

    Each call is given so many steps that it takes 0.15 s.
    """
    steps = [_steps(call) for call in calls]
    timed: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, count, times in zip(calls, steps, timed, strict=True):
            times.append(_time(call, count) / count)
    return timed


def ratios(left: Sequence[float], right: Sequence[float]) -> float:
    """The median of left over right, pair by pair."""
    return median(a / b for a, b in zip(left, right, strict=True))


def pin(core: int) -> None:
    """Keep this process, and those that it starts, on one core."""
    os.sched_setaffinity(0, {core})


def _steps(call: Callable[[int], None]) -> int:
    steps = 64
    while (took := _time(call, steps)) < _BATCH_NS / 10:
        steps *= 2
    return max(1, round(steps * _BATCH_NS / took))


def _time(call: Callable[[int], None], steps: int) -> int:
    start = time.process_time_ns()
    call(steps)
    return time.process_time_ns() - start
