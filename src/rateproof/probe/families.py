"""The limiters that a probe can recognise, each as an automaton over what was seen.

`advance(state, seen, box)` gives every state in which a limiter of `box` may be after a
request, for a state in which it may have been before: decision instants and parameters are
intervals, and what cannot be excluded is kept. No state left: no limiter of the box behaves
as seen. So a box is only ever refuted by what all of its limiters would do otherwise (the
converse does not hold: constraints that several requests put on one parameter together are
seen only as the box gets smaller).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rateproof.probe.seen import Box, History, Seen

__all__ = ["FAMILIES", "Family", "admissions", "explains", "windows_of"]

State: TypeAlias = Any
Advance: TypeAlias = Callable[[State, Seen, Box], list[State]]

_NEVER = -(2**62)
_LOOSE = 2**62
"""The latest window of a limiter whose box is too large to say which a request was in."""
_MOST_STATES = 64


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of limiter.

    Args:
        name: the algorithm of our notation, with what that has no word for.
        algorithm: the algorithm of our notation; empty where none is like it.
        start: the state of a key never seen.
        advance: see the module.
        phased: its windows lie on a clock, with a phase that all keys share.
        counts_denied: what it denies changes what it admits later.
    """

    name: str
    algorithm: str
    start: State
    advance: Advance
    phased: bool = False
    counts_denied: bool = False


def explains(family: Family, box: Box, keys: Iterable[History]) -> bool:
    """Whether some limiter of the box might have answered so, on each key by itself."""
    return all(_possible(family, box, history) for history in keys)


def _possible(family: Family, box: Box, history: History) -> bool:
    advance = family.advance
    states: list[State] = [family.start]
    for seen in history:
        if len(states) == 1:
            states = advance(states[0], seen, box)
        else:
            states = list({after: None for state in states for after in advance(state, seen, box)})
        if not states:
            return False
        if len(states) > _MOST_STATES:
            return True
    return True


def admissions(family: Family, point: Box, steps: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """How many requests of each step the limiter `point` admits on a fresh key."""
    state, counts = family.start, []
    for at_ns, requests in steps:
        admitted = 0
        for _ in range(requests):
            after = family.advance(state, Seen(at_ns, at_ns, admitted=True), point)
            if after:
                admitted += 1
            else:
                after = family.advance(state, Seen(at_ns, at_ns, admitted=False), point)
                if after and after[0] == state:
                    break  # it denies the rest as well
            if not after:
                return ()
            state = after[0]
        counts.append(admitted)
    return tuple(counts)


def _log(*, counts_denied: bool) -> Advance:
    """At most N counted requests in any window: of the last N the first must be W ago."""

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        sent_ns, received_ns, admitted = seen
        full = len(state) == box.limit
        if admitted:
            if full and state[0][0] + box.low_ns > received_ns:
                return []
        elif not full or state[0][1] + box.high_ns < sent_ns:
            return []
        if not admitted and not counts_denied:
            return [state]
        return [(*(state[1:] if full else state), (sent_ns, received_ns))]

    return advance


def _opened(*, pushed: bool, by_denied: bool = False) -> Advance:
    """N in a window that the first request opens, and each later one may push on."""

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        low_ns, high_ns, count = state
        sent_ns, received_ns, admitted = seen
        after: list[State] = []
        if count and sent_ns < high_ns + box.high_ns and admitted == (count < box.limit):
            if pushed and (admitted or by_denied):
                after.append((sent_ns, received_ns, count + admitted))
            else:
                after.append((max(low_ns, sent_ns - box.high_ns), high_ns, count + admitted))
        if admitted and (not count or received_ns >= low_ns + box.low_ns):
            opened_ns = max(sent_ns, low_ns + box.low_ns) if count else sent_ns
            after.append((opened_ns, received_ns, 1))
        return after

    return advance


def windows_of(seen: Seen, box: Box) -> range:
    """The windows in which a request may have been decided, counted from the phase."""
    early_ns, late_ns = seen.sent_ns - box.phase_high_ns, seen.received_ns - box.phase_low_ns
    first = early_ns // (box.high_ns if early_ns >= 0 else box.low_ns)
    last = late_ns // (box.low_ns if late_ns >= 0 else box.high_ns)
    return range(first, last + 1)


def _epoch(state: State, seen: Seen, box: Box) -> list[State]:
    """N in each window of a clock."""
    latest, counted, last_ns = state
    if not seen.admitted and seen.sent_ns > last_ns + box.high_ns:
        return []  # in no window of the last admission
    last_ns = seen.received_ns if seen.admitted else last_ns
    windows = windows_of(seen, box)
    if latest == _LOOSE or len(windows) > 2:
        return [(_LOOSE, 0, last_ns)]
    after: list[State] = []
    for index in windows:
        if index >= latest:
            count = counted if index == latest else 0
            if seen.admitted == (count < box.limit):
                after.append((index, count + seen.admitted, last_ns))
    return after


def _counter(*, floor: bool) -> Advance:
    """The count of a clock's window, and that of the one before weighted by what overlaps."""

    def advance(state: State, seen: Seen, box: Box) -> list[State]:
        latest, counted, counted_before, last_ns = state
        if not seen.admitted and seen.sent_ns > last_ns + 2 * box.high_ns:
            return []  # two windows after the last admission
        last_ns = seen.received_ns if seen.admitted else last_ns
        windows = windows_of(seen, box)
        if latest == _LOOSE or len(windows) > 2:
            return [(_LOOSE, 0, 0, last_ns)]
        after: list[State] = []
        for index in windows:
            if index < latest:
                continue
            count = counted if index == latest else 0
            before = (counted_before, counted)[index - latest] if index - latest <= 1 else 0
            used = before * _weight(index, seen, box) if before else 0.0
            if floor:
                used = int(used + 1e-9)
            if seen.admitted == (used + count + 1 <= box.limit):
                after.append((index, count + seen.admitted, before, last_ns))
        return after

    return advance


def _weight(index: int, seen: Seen, box: Box) -> float:
    """The share of the window before `index` that overlaps: the least for an admission, or most."""
    if seen.admitted:
        offset_ns = index * (box.low_ns if index >= 0 else box.high_ns)
        weight = 1 - (seen.received_ns - box.phase_low_ns - offset_ns) / box.low_ns
    else:
        offset_ns = index * (box.high_ns if index >= 0 else box.low_ns)
        weight = 1 - (seen.sent_ns - box.phase_high_ns - offset_ns) / box.high_ns
    return 0.0 if weight < 0 else min(weight, 1.0)


def _bucket(state: State, seen: Seen, box: Box) -> list[State]:
    """Tokens come back one in a time, as the instant at which the bucket is full again."""
    full_low_ns, full_high_ns = state
    sent_ns, received_ns, admitted = seen
    spare = box.limit - 1
    if admitted:
        if full_low_ns > received_ns + spare * box.high_ns:
            return []
        low_ns = max(full_low_ns, sent_ns) + box.low_ns
        high_ns = max(full_high_ns, received_ns) + box.high_ns
        return [(low_ns, max(low_ns, min(high_ns, received_ns + box.limit * box.high_ns)))]
    if full_high_ns < sent_ns + spare * box.low_ns:
        return []
    return [(max(full_low_ns, sent_ns + spare * box.low_ns), full_high_ns)]


_EMPTY = (_NEVER, 0, 0, _NEVER)
"""A counter's: no window, nothing counted, nothing before, no admission."""

FAMILIES = (
    Family("sliding-log", "sliding-log", (), _log(counts_denied=False)),
    Family("first-hit-window", "first-hit-window", (0, 0, 0), _opened(pushed=False)),
    Family("token-bucket", "token-bucket", (_NEVER, _NEVER), _bucket),
    Family("fixed-window", "fixed-window", (_NEVER, 0, _NEVER), _epoch, phased=True),
    Family("sliding-counter", "sliding-counter", _EMPTY, _counter(floor=False), phased=True),
    Family(
        "sliding-counter, its weight rounded down",
        "sliding-counter",
        _EMPTY,
        _counter(floor=True),
        phased=True,
    ),
    Family(
        "sliding-log that counts denied requests",
        "",
        (),
        _log(counts_denied=True),
        counts_denied=True,
    ),
    Family(
        "window that each request pushes on",
        "",
        (0, 0, 0),
        _opened(pushed=True, by_denied=True),
        counts_denied=True,
    ),
    Family("window that each admission pushes on", "", (0, 0, 0), _opened(pushed=True)),
)
"""Every family, the likelier first where nothing tells two of them apart."""
