"""Limiters that decide at given instants.

Written apart from the families of the probe, which they are to check: each is a plain
function of the instant, with the state of one key in a closure.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import ParamSpec

__all__ = [
    "LIMITERS",
    "Admits",
    "Limiter",
    "blocked",
    "blocks",
    "first_hit",
    "fixed_window",
    "greater_counter",
    "of_each_key",
    "several_counters",
    "sliding_log",
    "together",
    "token_bucket",
]

S = 1_000_000_000

Admits = Callable[[int], bool]
"""One request of one key, at an instant."""
Limiter = Callable[[], Admits]
"""The state that a fresh key gets."""
_Given = ParamSpec("_Given")


def of_each_key(fresh: Callable[_Given, Admits]) -> Callable[_Given, Limiter]:
    """Make a limiter of what decides for a fresh key."""
    return lambda *given, **named: partial(fresh, *given, **named)


@of_each_key
def sliding_log(
    limit: int, window_ns: int, phase_ns: int = 0, *, counts_denied: bool = False, tick_ns: int = 1
) -> Admits:
    stamps: deque[int] = deque()

    def admits(now_ns: int) -> bool:
        now_ns = (now_ns - phase_ns) // tick_ns * tick_ns
        while stamps and stamps[0] + window_ns <= now_ns:
            stamps.popleft()
        admitted = len(stamps) < limit
        if admitted or counts_denied:
            stamps.append(now_ns)
        return admitted

    return admits


@of_each_key
def first_hit(
    limit: int,
    window_ns: int,
    phase_ns: int = 0,
    *,
    pushed_by: Sequence[bool] = (),
    pushed_from: int = 1,
    chained: bool = False,
    ends: bool = False,
    tick_ns: int = 1,
) -> Admits:
    """N from the first request on, or the first after a window.

    Only from so many admissions on is a window pushed on; a chain may end when a whole
    window goes by without a request.
    """

    since_ns: int | None = None
    count = 0

    def admits(now_ns: int) -> bool:
        nonlocal since_ns, count
        now_ns = (now_ns - phase_ns) // tick_ns * tick_ns
        if since_ns is None:
            since_ns = now_ns
        elif now_ns >= since_ns + window_ns:
            on = chained and not (ends and now_ns >= since_ns + 2 * window_ns)
            since_ns = now_ns - (now_ns - since_ns) % window_ns if on else now_ns
            count = 0
        admitted = count < limit
        if admitted in pushed_by and count + admitted >= pushed_from:
            since_ns = now_ns
        count += admitted
        return admitted

    return admits


def fixed_window(
    limit: int, window_ns: int, phase_ns: int = 0, *, per_key: bool = False
) -> Limiter:
    rng = random.Random(phase_ns)

    def fresh() -> Admits:
        phase = rng.randrange(window_ns) if per_key else phase_ns
        index: int | None = None
        count = 0

        def admits(now_ns: int) -> bool:
            nonlocal index, count
            now = (now_ns - phase) // window_ns
            if now != index:
                index, count = now, 0
            admitted = count < limit
            count += admitted
            return admitted

        return admits

    return fresh


@of_each_key
def sliding_counter(
    limit: int, window_ns: int, phase_ns: int = 0, *, halves: int | None = None, tick_ns: int = 1
) -> Admits:
    """Rounded down once so many halves were added; not rounded where that is None."""

    counts: dict[int, int] = {}

    def admits(now_ns: int) -> bool:
        index, elapsed_ns = divmod(now_ns - phase_ns, window_ns)
        earlier = counts.get(index - 1, 0) * (window_ns - elapsed_ns // tick_ns * tick_ns)
        if halves is not None:
            earlier = (earlier + halves * window_ns // 2) // window_ns * window_ns
        admitted = earlier + (counts.get(index, 0) + 1) * window_ns <= limit * window_ns
        counts[index] = counts.get(index, 0) + admitted
        return admitted

    return admits


@of_each_key
def greater_counter(limit: int, window_ns: int, phase_ns: int = 0) -> Admits:
    """The greater of a window's count and of that before by the part that overlaps."""

    counts: dict[int, int] = {}

    def admits(now_ns: int) -> bool:
        index, elapsed_ns = divmod(now_ns - phase_ns, window_ns)
        earlier = counts.get(index - 1, 0) * (window_ns - elapsed_ns)
        here = counts.get(index, 0)
        admitted = max(earlier, here * window_ns) + window_ns <= limit * window_ns
        counts[index] = here + admitted
        return admitted

    return admits


@of_each_key
def token_bucket(
    limit: int,
    window_ns: int,
    phase_ns: int = 0,
    *,
    first: int | None = None,
    tick_ns: int = 1,
    denials: int = 0,
) -> Admits:
    """`limit` tokens come back in a window, one by one; a fresh key has them all, or `first`.

    So many denials cost a token, if any do.
    """

    filled, then_ns = (limit if first is None else first) * window_ns, -1

    def admits(now_ns: int) -> bool:
        nonlocal filled, then_ns
        now_ns = (now_ns - phase_ns) // tick_ns * tick_ns
        if then_ns >= 0:
            filled = min(limit * window_ns, filled + (now_ns - then_ns) * limit)
        then_ns = now_ns
        admitted = filled >= window_ns
        filled -= window_ns * admitted
        if denials and not admitted:
            filled -= window_ns // denials
        return admitted

    return admits


def spacing(limit: int, window_ns: int, _phase_ns: int = 0) -> Limiter:
    return sliding_log(1, window_ns // limit)


@of_each_key
def blocked(base: Limiter, block_ns: int, *, extended: bool, after: int = 1) -> Admits:
    """A denial, or so many in a row, block for a time; denied while blocked, a request extends it or not."""

    until_ns: int | None = None
    denials = 0
    admits_of_base = base()

    def admits(now_ns: int) -> bool:
        nonlocal until_ns, denials
        if until_ns is not None and now_ns < until_ns:
            if extended:
                until_ns = now_ns + block_ns
            return False
        admitted = admits_of_base(now_ns)
        denials = 0 if admitted else denials + 1
        if denials == after:
            until_ns, denials = now_ns + block_ns, 0
        return admitted

    return admits


@of_each_key
def blocks(limit: int, window_ns: int, phase_ns: int = 0, *, number: int) -> Admits:
    """Blocks of equal length; so many of them, the one that runs among them, count."""
    block_ns = window_ns // number
    counts: dict[int, int] = {}

    def admits(now_ns: int) -> bool:
        index = (now_ns - phase_ns) // block_ns
        used = sum(counts.get(index - back, 0) for back in range(number))
        counts[index] = counts.get(index, 0) + (used < limit)
        return used < limit

    return admits


LIMITERS: dict[str, Callable[[int, int, int], Limiter]] = {
    "sliding-log": sliding_log,
    "first-hit-window": first_hit,
    "token-bucket": token_bucket,
    "fixed-window": fixed_window,
    "sliding-counter": sliding_counter,
    "sliding-counter, its weight rounded down": lambda *of: sliding_counter(*of, halves=0),
    "sliding-counter, its weight rounded to the nearest": (
        lambda *of: sliding_counter(*of, halves=1)
    ),
    "sliding-log that counts denied requests": lambda *of: sliding_log(*of, counts_denied=True),
    "window that each request pushes on": lambda *of: first_hit(*of, pushed_by=(True, False)),
    "window that each admission pushes on": lambda *of: first_hit(*of, pushed_by=(True,)),
    "window that each denial pushes on": lambda *of: first_hit(*of, pushed_by=(False,)),
    "windows that follow each other from the first request": (
        lambda *of: first_hit(*of, chained=True)
    ),
    "sliding-log, its clock in whole seconds": lambda *of: sliding_log(*of, tick_ns=S),
    "first-hit-window, its clock in whole seconds": lambda *of: first_hit(*of, tick_ns=S),
    "token-bucket, its clock in whole seconds": lambda *of: token_bucket(*of, tick_ns=S),
    "token-bucket, of which a fresh key has one": lambda *of: token_bucket(*of, first=1),
    "spacing": spacing,
    "sliding-log, a denial blocks, and more of them extend that": lambda limit, window_ns, _: (
        blocked(sliding_log(limit, window_ns), window_ns * 4 // 3, extended=True)
    ),
    "sliding-log, a denial blocks": lambda limit, window_ns, _: blocked(
        sliding_log(limit, window_ns), window_ns * 4 // 3, extended=False
    ),
    "blocks of 1/2": lambda *of: blocks(*of, number=2),
    "blocks of 1/3": lambda *of: blocks(*of, number=3),
    "blocks of 1/4": lambda *of: blocks(*of, number=4),
    "fixed-window, each key at a phase of its own": lambda *of: fixed_window(*of, per_key=True),
    "fixed-window, a full one puts off the next": greater_counter,
}
"""Each family of the probe, from a limit, a window and a phase, all in ns."""


def together(*limiters: Limiter) -> Limiter:
    """Several limits, each of which must have room; a later one sees what the earlier admit."""

    def fresh() -> Admits:
        admitting = [limiter() for limiter in limiters]
        return lambda now_ns: all(admits(now_ns) for admits in admitting)

    return fresh


class several_counters:  # noqa: N801  used as the functions above
    """Limiters that know nothing of each other; a connection stays with one of them, or roams."""

    def __init__(self, limiter: Limiter, number: int, seed: int, *, sticky: bool) -> None:
        self.limiter, self.number, self.sticky = limiter, number, sticky
        self.random = random.Random(seed)
        self.stuck: dict[int, int] = {}

    def __call__(self) -> Callable[..., bool]:
        counters = [self.limiter() for _ in range(self.number)]

        def admits(now_ns: int, connection: int = 0) -> bool:
            worker = self.random.randrange(self.number)
            if self.sticky:
                worker = self.stuck.setdefault(connection, worker)
            return counters[worker](now_ns)

        return admits
