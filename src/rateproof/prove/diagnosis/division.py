"""Division of a limiter: one for each connection, or one for each worker."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rateproof.clock import Interval
from rateproof.events import EventLog
from rateproof.events.judged import is_long
from rateproof.prove.diagnosis.hypotheses import (
    MOST_OF_ANY,
    Diagnosis,
    Hypothesis,
    known_since_ns,
)
from rateproof.prove.evidence.wording import spaced
from rateproof.prove.keys import KeyLog, observe
from rateproof.prove.over_admission.windows import most_nested
from rateproof.prove.power.pressure import Pressure

_LEAST_BURSTS = 2
_PARTS = 4


def divided(log: EventLog, pressure: Sequence[Pressure]) -> list[Hypothesis]:
    """Explain that keys were admitted too often by a limiter that is there several times over."""
    if is_long(log):
        return []
    quota, since_ns = pressure[0], known_since_ns(log, pressure)
    connections = log.column("connection")
    keys = [_Lanes.of(key, connections) for key in observe(log)]
    return list(_per_connection(keys, quota) or _several(keys, quota, since_ns))


@dataclass(frozen=True, slots=True)
class _Lanes:
    """The requests of one key, and which connections they went over."""

    key: KeyLog
    admitted: dict[int, list[Interval]]
    rejected: dict[int, list[Interval]]

    @classmethod
    def of(cls, key: KeyLog, connections: Sequence[int]) -> "_Lanes":
        lanes = cls(key, {}, {})
        for intervals, rows, by in (
            (key.admitted, key.admitted_rows, lanes.admitted),
            (key.rejected, key.rejected_rows, lanes.rejected),
        ):
            for interval, row in zip(intervals, rows, strict=True):
                by.setdefault(connections[row], []).append(interval)
        return lanes


def _per_connection(keys: Sequence[_Lanes], quota: Pressure) -> list[Hypothesis]:
    """Tell whether each connection had a limit of its own."""
    most = [most_nested(lanes.key.admitted, quota.window_ns) for lanes in keys]
    over = [lanes for lanes, times in zip(keys, most, strict=True) if times > quota.allowed]
    # One counter with windows can do as much where two of them meet, on any connections.
    more = max(most) > MOST_OF_ANY * quota.allowed
    telling = more or any(lanes.rejected for lanes in over)
    if not (over and telling and all(_kept_by_connection(lanes, quota) for lanes in over)):
        return []
    sentence = (
        "each connection seems to have a limit of its own, or a worker: no connection of the "
        f"{len(over)} keys that were admitted too often had more than {quota.allowed} in "
        f"{spaced(quota.window_ns)} itself, and none was rejected before it had"
    )
    return [Hypothesis(Diagnosis.OWN_LIMIT_PER_CONNECTION, sentence)]


def _several(keys: Sequence[_Lanes], quota: Pressure, since_ns: int | None) -> list[Hypothesis]:
    bursts = [burst for lanes in keys if (burst := _burst(lanes.key, quota, since_ns))]
    if len(bursts) < _LEAST_BURSTS or _common_phase(bursts, quota.window_ns):
        return []
    size = max(size for size, _ in bursts)
    before = [_before_rejected(lanes.key, since_ns) for lanes in keys]
    rejected = [most for most in before if most is not None]
    limit, least = min([size, *rejected]), "" if rejected else "at least "
    # Several may do the same where a proxy shares out the requests of each client evenly.
    one = f"one counter whose limit is {least}{limit}, or " if size <= _any_could(limit) else ""
    sentence = (
        f"the target looks like {one}{-(-size // quota.allowed)} or more counters that do not "
        f"know of each other, such as worker processes: the first requests of {len(bursts)} keys "
        f"were admitted too often at once, up to {size} times"
    )
    return [Hypothesis(Diagnosis.SEVERAL_COUNTERS, sentence)]


def _kept_by_connection(lanes: _Lanes, quota: Pressure) -> bool:
    """Tell whether every connection of a key kept the limit, and was full when it was rejected."""
    own = lanes.admitted
    if any(most_nested(jobs, quota.window_ns) > quota.allowed for jobs in own.values()):
        return False
    if not any(_together(one, other, quota) for one, other in combinations(own.values(), 2)):
        return False
    for connection, rejected in lanes.rejected.items():
        sent = sorted(sent_ns for sent_ns, _ in own.get(connection, ()))
        received = sorted(received_ns for _, received_ns in own.get(connection, ()))
        for sent_ns, received_ns in rejected:
            before = bisect_right(sent, received_ns)
            expired = bisect_left(received, sent_ns - quota.window_ns)
            if before - expired < quota.allowed:
                return False
    return True


def _together(one: list[Interval], other: list[Interval], quota: Pressure) -> bool:
    """True if two connections were of use at the same time, and had more than the limit together.

    Of one after the other the second may have met a server that has lost its memory.
    """
    latest_begin_ns = max(min(one), min(other))[0]
    first_end_ns = min(max(end for _, end in one), max(end for _, end in other))
    return (
        latest_begin_ns < first_end_ns
        and most_nested([*one, *other], quota.window_ns) > quota.allowed
    )


def _burst(key: KeyLog, quota: Pressure, since_ns: int | None) -> tuple[int, Interval] | None:
    """A key's first requests, in a quarter of the window, if more were admitted than any could.

    Any: a window that the first of them opened, or a bucket that was full.

    Returns:
        How many were admitted, and within what time more than any could.
    """
    first_ns = key.first_sent_ns
    if since_ns is not None and first_ns < since_ns:
        return None
    until_ns = first_ns + quota.window_ns // _PARTS
    ends = sorted(received_ns for _, received_ns in key.admitted if received_ns < until_ns)
    most = _any_could(quota.allowed)
    return (len(ends), (first_ns, ends[most])) if len(ends) > most else None


def _any_could(limit: int) -> int:
    """Return the most that one counter admits of a key's first requests, in a quarter of a window."""
    return limit + limit // _PARTS + 1


def _before_rejected(key: KeyLog, since_ns: int | None) -> int | None:
    """The most that can have been admitted of a key when it was first rejected; None: not known.

    One counter rejects nobody before its limit is used up.
    """
    if not key.rejected or (since_ns is not None and key.first_sent_ns < since_ns):
        return None
    received_ns = min(received_ns for _, received_ns in key.rejected)
    return sum(sent_ns < received_ns for sent_ns, _ in (*key.admitted, *key.unknown))


def _common_phase(bursts: Sequence[tuple[int, Interval]], window_ns: int) -> bool:
    """True if the edges of windows that are common to all keys could divide every burst in two."""
    (_, (first_ns, end_ns)), *others = bursts
    low, high = 0, end_ns - first_ns
    for _, (start_ns, end_ns) in others:
        offset = (start_ns - first_ns + window_ns // 2) % window_ns - window_ns // 2
        low, high = max(low, offset), min(high, offset + end_ns - start_ns)
    return low <= high
