"""Limiters that are in no list of the probe's, which has to say so."""

import random
from collections import deque
from collections.abc import Callable

from proving.simulated import (
    Admits,
    Limiter,
    blocked,
    blocks,
    first_hit,
    of_each_key,
    several_counters,
    sliding_counter,
    sliding_log,
    together,
    token_bucket,
)

__all__ = [
    "UNKNOWN",
    "VARYING",
    "bucket_and_window",
    "grouped_log",
    "is_of_clock",
    "is_weighing",
    "late_window",
    "rounded_up",
]

_WAVERING = "a window that wavers by 1 %"
_WEIGHING = "a sliding counter whose clock ticks 30 times in a window"


@of_each_key
def forgetting_log(limit: int, window_ns: int, _phase_ns: int = 0, *, full: bool) -> Admits:
    """A log that forgets all at once when the first is old, if it was full, or if it was not."""

    stamps: deque[int] = deque()
    was_full = False

    def admits(now_ns: int) -> bool:
        nonlocal was_full
        if was_full is full and stamps and stamps[0] + window_ns <= now_ns:
            stamps.clear()
        while stamps and stamps[0] + window_ns <= now_ns:
            stamps.popleft()
        admitted = len(stamps) < limit
        if admitted:
            stamps.append(now_ns)
        was_full = len(stamps) == limit or (was_full and len(stamps) > admitted)
        return admitted

    return admits


@of_each_key
def generous(limit: int, window_ns: int, _phase_ns: int = 0, *, every: int) -> Admits:
    """N from the first request on, one more in every so many windows."""

    since_ns = -window_ns
    count = window = 0

    def admits(now_ns: int) -> bool:
        nonlocal since_ns, count, window
        if now_ns >= since_ns + window_ns:
            since_ns, count, window = now_ns, 0, window + 1
        admitted = count < limit + (window % every == 0)
        count += admitted
        return admitted

    return admits


@of_each_key
def lengthened(limit: int, window_ns: int, by_ns: int) -> Admits:
    """N from the first request on; each denial makes the window longer."""

    until_ns, count = -1, 0

    def admits(now_ns: int) -> bool:
        nonlocal until_ns, count
        if now_ns >= until_ns:
            until_ns, count = now_ns + window_ns, 0
        admitted = count < limit
        until_ns += 0 if admitted else by_ns
        count += admitted
        return admitted

    return admits


@of_each_key
def growing(limit: int, window_ns: int, _phase_ns: int = 0, *, by_ns: int) -> Admits:
    """N from the first request on; a window that follows another soon is longer than that."""

    since_ns, length_ns, count = -3 * window_ns, window_ns, 0

    def admits(now_ns: int) -> bool:
        nonlocal since_ns, length_ns, count
        if now_ns >= since_ns + length_ns:
            soon = now_ns < since_ns + 2 * window_ns
            length_ns = length_ns + by_ns if soon else window_ns
            since_ns, count = now_ns, 0
        admitted = count < limit
        count += admitted
        return admitted

    return admits


@of_each_key
def closed_after(limit: int, window_ns: int, _phase_ns: int = 0) -> Admits:
    """N from the first request on; in the last tenth of the time until the next, nobody is admitted."""

    since_ns, count = -window_ns, 0

    def admits(now_ns: int) -> bool:
        nonlocal since_ns, count
        if now_ns >= since_ns + window_ns:
            since_ns, count = now_ns, 0
        admitted = count < limit and now_ns < since_ns + window_ns * 9 // 10
        count += admitted
        return admitted

    return admits


@of_each_key
def slow_if_filled(limit: int, window_ns: int, _phase_ns: int = 0) -> Admits:
    """N from the first request on; where a tenth of the time filled it, a fifth longer."""

    since_ns, length_ns, count = -2 * window_ns, window_ns, 0

    def admits(now_ns: int) -> bool:
        nonlocal since_ns, length_ns, count
        if now_ns >= since_ns + length_ns:
            since_ns, length_ns, count = now_ns, window_ns, 0
        admitted = count < limit
        count += admitted
        if admitted and count == limit and now_ns < since_ns + window_ns // 10:
            length_ns = window_ns * 6 // 5
        return admitted

    return admits


@of_each_key
def reset_when_idle(base: Limiter, idle_ns: int) -> Admits:
    """A key that was idle for a time is as a fresh one."""

    admits_of_base, last_ns = base(), 0

    def admits(now_ns: int) -> bool:
        nonlocal admits_of_base, last_ns
        if now_ns >= last_ns + idle_ns:
            admits_of_base = base()
        last_ns = now_ns
        return admits_of_base(now_ns)

    return admits


def wavering_log(limit: int, window_ns: int, phase_ns: int = 0, *, percent: int) -> Limiter:
    """A log whose window is another for each request, by so much at most."""
    rng = random.Random(phase_ns)

    def fresh() -> Admits:
        ends: list[int] = []

        def admits(now_ns: int) -> bool:
            ends[:] = [end_ns for end_ns in ends if end_ns > now_ns]
            admitted = len(ends) < limit
            if admitted:
                ends.append(now_ns + window_ns * rng.randint(-percent, percent) // 100 + window_ns)
            return admitted

        return admits

    return fresh


@of_each_key
def _until(limit: int, end_ns: Callable[[int], int]) -> Admits:
    """N from the first request on, until the end that this has at that instant."""

    until_ns, count = -1, 0

    def admits(now_ns: int) -> bool:
        nonlocal until_ns, count
        if now_ns >= until_ns:
            until_ns = end_ns(now_ns)
            count = 0
        admitted = count < limit
        count += admitted
        return admitted

    return admits


def is_of_clock(name: str, phase_ns: int) -> bool:
    """True if it is a window that wavers, and at this phase of a clock."""
    return name == _WAVERING and phase_ns % 2 == 1


def is_weighing(name: str) -> bool:
    """True if the window before counts by the part of it that overlaps."""
    return name == _WEIGHING


def late_window(limit: int, window_ns: int, phase_ns: int = 0, *, percent: float) -> Limiter:
    """N in each window of a clock, which begins late, each by another time, by so much at most."""

    def end_ns(now_ns: int) -> int:
        window = (now_ns - phase_ns) // window_ns
        return next(each for each in (begins_ns(window), begins_ns(window + 1)) if each > now_ns)

    def begins_ns(window: int) -> int:
        late = random.Random(f"{phase_ns} {window}").random() * percent / 100
        return phase_ns + int((window + late) * window_ns)

    return _until(limit, end_ns)


def wavering_window(limit: int, window_ns: int, phase_ns: int = 0, *, percent: int) -> Limiter:
    """N in a window that is another each time, by so much at most: from the first request on, or of a clock."""
    if is_of_clock(_WAVERING, phase_ns):
        return late_window(limit, window_ns, phase_ns, percent=2 * percent)
    rng = random.Random(phase_ns)

    return _until(
        limit, lambda now_ns: now_ns + int(window_ns * (1 + rng.uniform(-percent, percent) / 100))
    )


@of_each_key
def uneven_bucket(limit: int, window_ns: int, _phase_ns: int = 0, *, first: bool) -> Admits:
    """Tokens come back one by one, the first quarter of them more slowly, or the last."""

    tokens, then_ns = float(limit), 0
    speeds = (limit / 4, 0.7 if first else 1), (3 * limit / 4, 1), (limit, 1 if first else 0.7)

    def admits(now_ns: int) -> bool:
        nonlocal tokens, then_ns
        left = (now_ns - then_ns) * limit / window_ns
        for end, speed in speeds:
            more = max(0.0, min(end - tokens, speed * left))
            tokens, left = tokens + more, left - more / speed
        then_ns = now_ns
        admitted = tokens >= 1
        tokens -= admitted
        return admitted

    return admits


@of_each_key
def grouped_log(
    limit: int, window_ns: int, _phase_ns: int = 0, *, apart_ns: int, newest: bool
) -> Admits:
    """A log that counts what is close together as one group, gone with its first or its newest."""

    groups: deque[tuple[int, int, int]] = deque()

    def admits(now_ns: int) -> bool:
        while groups and groups[0][newest] + window_ns <= now_ns:
            groups.popleft()
        if sum(count for *_, count in groups) >= limit:
            return False
        first_ns, count = now_ns, 0
        if groups and now_ns - groups[-1][0] < apart_ns:
            first_ns, _, count = groups.pop()
        groups.append((first_ns, now_ns, count + 1))
        return True

    return admits


def rounded_up(limit: int, window_ns: int, phase_ns: int = 0, *, tick_ns: int) -> Limiter:
    """N from the first request on, until the first tick of a clock after a window."""

    return _until(
        limit, lambda now_ns: phase_ns - (phase_ns - now_ns - window_ns) // tick_ns * tick_ns
    )


@of_each_key
def from_first(limiter: Limiter) -> Admits:
    """A limiter whose clock begins with the first request of a key."""

    since_ns: int | None = None
    admits_of_base = limiter()

    def admits(now_ns: int) -> bool:
        nonlocal since_ns
        since_ns = now_ns if since_ns is None else since_ns
        return admits_of_base(now_ns - since_ns)

    return admits


def of_all_keys(limiter: Limiter, shared: Limiter) -> Limiter:
    """A limit of each key, and one that all of them share, which counts what those admit."""
    admits_any = shared()

    def fresh() -> Admits:
        admits_one = limiter()
        return lambda now_ns: admits_one(now_ns) and admits_any(now_ns)

    return fresh


@of_each_key
def bucket_and_window(limit: int, window_ns: int, _phase_ns: int = 0) -> Admits:
    """A bucket, and a log of twice as many in three windows: what one denies costs nothing of the other."""

    tokens, then_ns = limit * window_ns, 0
    stamps: deque[int] = deque()

    def admits(now_ns: int) -> bool:
        nonlocal tokens, then_ns
        tokens = min(limit * window_ns, tokens + (now_ns - then_ns) * limit)
        then_ns = now_ns
        while stamps and stamps[0] + 3 * window_ns <= now_ns:
            stamps.popleft()
        admitted = tokens >= window_ns and len(stamps) < 2 * limit
        if admitted:
            tokens -= window_ns
            stamps.append(now_ns)
        return admitted

    return admits


def leaky(limiter: Limiter, share: float, seed: int = 0) -> Limiter:
    """Of what it should deny, it lets a share through."""
    rng = random.Random(seed)

    def fresh() -> Admits:
        admits = limiter()
        return lambda now_ns: admits(now_ns) or rng.random() < share

    return fresh


UNKNOWN: dict[str, Callable[[int, int, int], Limiter]] = {
    "blocks of 1/5": lambda *of: blocks(*of, number=5),
    "blocks of 1/10": lambda *of: blocks(*of, number=10),
    "a bucket and a window": lambda limit, window_ns, _: together(
        token_bucket(limit, window_ns), sliding_log(2 * limit, 6 * window_ns)
    ),
    "a log that lets 1 in 10 through": lambda *of: leaky(sliding_log(*of), 0.1),
    "two logs": lambda limit, window_ns, _: together(
        sliding_log(limit, window_ns), sliding_log(limit + (limit + 1) // 2, 2 * window_ns)
    ),
    "4 counters, sticky": lambda limit, window_ns, phase_ns: several_counters(
        sliding_log(limit, window_ns), 4, phase_ns, sticky=True
    ),
    "2 counters, roaming": lambda limit, window_ns, phase_ns: several_counters(
        sliding_log(limit, window_ns), 2, phase_ns, sticky=False
    ),
    "a window that the last admission starts anew": lambda limit, window_ns, _: first_hit(
        limit, window_ns, pushed_by=(True,), pushed_from=limit
    ),
    "a window that admissions push on once half is used": lambda limit, window_ns, _: first_hit(
        limit, window_ns, pushed_by=(True,), pushed_from=limit // 2 + 1
    ),
    "a log that forgets all once it was full": lambda *of: forgetting_log(*of, full=True),
    "a log that forgets all unless it was full": lambda *of: forgetting_log(*of, full=False),
    "a window that each denial makes a little longer": lambda limit, window_ns, _: lengthened(
        limit, window_ns, window_ns // 200
    ),
    "a chain of windows that ends when idle": lambda *of: first_hit(*of, chained=True, ends=True),
    "blocks of 1/10 from a key's first request": lambda *of: from_first(blocks(*of, number=10)),
    "a log of groups that are gone with their first": lambda *of: grouped_log(
        *of, apart_ns=of[1] // 8, newest=False
    ),
    "a log of groups that are gone with their newest": lambda *of: grouped_log(
        *of, apart_ns=of[1] // 8, newest=True
    ),
    "a window that ends at the tick of a clock": lambda *of: rounded_up(*of, tick_ns=of[1] // 8),
    "a window every third of which admits one more": lambda *of: generous(*of, every=3),
    "windows that grow while a key is busy": lambda *of: growing(*of, by_ns=of[1] // 20),
    "a window that is longer if it was filled at once": slow_if_filled,
    "a window in whose last tenth nobody is admitted": closed_after,
    "a log that idle keys reset": lambda *of: reset_when_idle(sliding_log(*of), of[1] // 2),
    "a log that blocks after 5 denials": lambda *of: blocked(
        sliding_log(*of), of[1] // 2, extended=False, after=5
    ),
    "a log whose window wavers by 2 %": lambda *of: wavering_log(*of, percent=2),
    _WEIGHING: lambda *of: sliding_counter(*of, tick_ns=of[1] // 30),
    _WAVERING: lambda *of: wavering_window(*of, percent=1),
    "a window that each denial makes a thousandth longer": lambda limit, window_ns, _: lengthened(
        limit, window_ns, window_ns // 1000
    ),
    "a log, and 20 times as many of all keys together": lambda limit, window_ns, _: of_all_keys(
        sliding_log(limit, window_ns), sliding_log(20 * limit, window_ns)
    ),
    "a log, and 7 times as many in ten windows": lambda limit, window_ns, _: together(
        sliding_log(limit, window_ns), sliding_log(7 * limit, 10 * window_ns)
    ),
    "a bucket a quarter of which is slower": lambda limit, window_ns, phase_ns: uneven_bucket(
        limit, window_ns, first=phase_ns % 2 == 0
    ),
    "a bucket in which 20 denials cost a token": lambda *of: token_bucket(*of, denials=20),
}
"""Limiters that are in no list, and those that are no policy."""
VARYING = {
    _WEIGHING: (59 / 60, 61 / 60),
    "a log whose window wavers by 2 %": (0.98, 1.02),
    _WAVERING: (0.99, 1.01),
    "a window that each denial makes a thousandth longer": (1, 1.03),
}
"""The shortest and the longest of their windows, by no more denials than a key gets; as far apart as ticks where a clock ticks."""
