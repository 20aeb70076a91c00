"""Limiters that decide at given instants.

Written apart from the families of the probe, which they are to check: each is a plain
function of the instant, with the state of one key in a closure.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence

__all__ = [
    "LIMITERS",
    "Limiter",
    "blocked",
    "bucket_and_window",
    "closed_after",
    "forgetting_log",
    "from_first",
    "generous",
    "greater_counter",
    "grouped_log",
    "growing",
    "lengthened",
    "of_all_keys",
    "reset_when_idle",
    "rounded_up",
    "several_counters",
    "slow_if_filled",
    "together",
    "uneven_bucket",
    "wavering_log",
    "wavering_window",
]

S = 1_000_000_000

Admits = Callable[[int], bool]
"""One request of one key, at an instant."""
Limiter = Callable[[], Admits]
"""The state that a fresh key gets."""


def sliding_log(
    limit: int, window_ns: int, phase_ns: int = 0, *, counts_denied: bool = False, tick_ns: int = 1
) -> Limiter:
    def fresh() -> Admits:
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

    return fresh


def forgetting_log(limit: int, window_ns: int, _phase_ns: int = 0, *, full: bool) -> Limiter:
    """A log that forgets all at once when the first is old, if it was full, or if it was not."""

    def fresh() -> Admits:
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

    return fresh


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
) -> Limiter:
    """N from the first request on, or the first after a window.

    Only from so many admissions on is a window pushed on; a chain may end when a whole
    window goes by without a request.
    """

    def fresh() -> Admits:
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

    return fresh


def generous(limit: int, window_ns: int, _phase_ns: int = 0, *, every: int) -> Limiter:
    """N from the first request on, one more in every so many windows."""

    def fresh() -> Admits:
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

    return fresh


def lengthened(limit: int, window_ns: int, by_ns: int) -> Limiter:
    """N from the first request on; each denial makes the window longer."""

    def fresh() -> Admits:
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

    return fresh


def growing(limit: int, window_ns: int, _phase_ns: int = 0, *, by_ns: int) -> Limiter:
    """N from the first request on; a window that follows another soon is longer than that."""

    def fresh() -> Admits:
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

    return fresh


def closed_after(limit: int, window_ns: int, _phase_ns: int = 0) -> Limiter:
    """N from the first request on; in the last tenth of the time until the next, nobody is admitted."""

    def fresh() -> Admits:
        since_ns, count = -window_ns, 0

        def admits(now_ns: int) -> bool:
            nonlocal since_ns, count
            if now_ns >= since_ns + window_ns:
                since_ns, count = now_ns, 0
            admitted = count < limit and now_ns < since_ns + window_ns * 9 // 10
            count += admitted
            return admitted

        return admits

    return fresh


def slow_if_filled(limit: int, window_ns: int, _phase_ns: int = 0) -> Limiter:
    """N from the first request on; where a tenth of the time filled it, a fifth longer."""

    def fresh() -> Admits:
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

    return fresh


def reset_when_idle(base: Limiter, idle_ns: int) -> Limiter:
    """A key that was idle for a time is as a fresh one."""

    def fresh() -> Admits:
        admits_of_base, last_ns = base(), 0

        def admits(now_ns: int) -> bool:
            nonlocal admits_of_base, last_ns
            if now_ns >= last_ns + idle_ns:
                admits_of_base = base()
            last_ns = now_ns
            return admits_of_base(now_ns)

        return admits

    return fresh


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


def _until(limit: int, end_ns: Callable[[int], int]) -> Limiter:
    """N from the first request on, until the end that this has at that instant."""

    def fresh() -> Admits:
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

    return fresh


def wavering_window(limit: int, window_ns: int, phase_ns: int = 0, *, percent: int) -> Limiter:
    """N from the first request on, in a window that is another each time, by so much at most."""
    rng = random.Random(phase_ns)

    return _until(
        limit, lambda now_ns: now_ns + int(window_ns * (1 + rng.uniform(-percent, percent) / 100))
    )


def uneven_bucket(limit: int, window_ns: int, _phase_ns: int = 0) -> Limiter:
    """Tokens come back one by one, the last quarter of them more slowly."""

    def fresh() -> Admits:
        tokens, then_ns = float(limit), 0

        def admits(now_ns: int) -> bool:
            nonlocal tokens, then_ns
            fast = max(0.0, min(3 * limit / 4 - tokens, (now_ns - then_ns) * limit / window_ns))
            rest = (now_ns - then_ns) * limit / window_ns - fast
            tokens, then_ns = min(limit, tokens + fast + 0.7 * rest), now_ns
            admitted = tokens >= 1
            tokens -= admitted
            return admitted

        return admits

    return fresh


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


def sliding_counter(
    limit: int, window_ns: int, phase_ns: int = 0, *, halves: int | None = None
) -> Limiter:
    """Rounded down once so many halves were added; not rounded where that is None."""

    def fresh() -> Admits:
        counts: dict[int, int] = {}

        def admits(now_ns: int) -> bool:
            index, elapsed_ns = divmod(now_ns - phase_ns, window_ns)
            earlier = counts.get(index - 1, 0) * (window_ns - elapsed_ns)
            if halves is not None:
                earlier = (earlier + halves * window_ns // 2) // window_ns * window_ns
            admitted = earlier + (counts.get(index, 0) + 1) * window_ns <= limit * window_ns
            counts[index] = counts.get(index, 0) + admitted
            return admitted

        return admits

    return fresh


def token_bucket(
    limit: int,
    window_ns: int,
    phase_ns: int = 0,
    *,
    first: int | None = None,
    tick_ns: int = 1,
    denials: int = 0,
) -> Limiter:
    """`limit` tokens come back in a window, one by one; a fresh key has them all, or `first`.

    So many denials cost a token, if any do.
    """

    def fresh() -> Admits:
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

    return fresh


def spacing(limit: int, window_ns: int, _phase_ns: int = 0) -> Limiter:
    return sliding_log(1, window_ns // limit)


def blocked(base: Limiter, block_ns: int, *, extended: bool, after: int = 1) -> Limiter:
    """A denial, or so many in a row, block for a time; denied while blocked, a request extends it or not."""

    def fresh() -> Admits:
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

    return fresh


def blocks(limit: int, window_ns: int, phase_ns: int = 0, *, number: int) -> Limiter:
    """Blocks of equal length; so many of them, the one that runs among them, count."""
    block_ns = window_ns // number

    def fresh() -> Admits:
        counts: dict[int, int] = {}

        def admits(now_ns: int) -> bool:
            index = (now_ns - phase_ns) // block_ns
            used = sum(counts.get(index - back, 0) for back in range(number))
            counts[index] = counts.get(index, 0) + (used < limit)
            return used < limit

        return admits

    return fresh


def grouped_log(
    limit: int, window_ns: int, _phase_ns: int = 0, *, apart_ns: int, newest: bool
) -> Limiter:
    """A log that counts what is close together as one group, gone with its first or its newest."""

    def fresh() -> Admits:
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

    return fresh


def rounded_up(limit: int, window_ns: int, phase_ns: int = 0, *, tick_ns: int) -> Limiter:
    """N from the first request on, until the first tick of a clock after a window."""

    return _until(
        limit, lambda now_ns: phase_ns - (phase_ns - now_ns - window_ns) // tick_ns * tick_ns
    )


def greater_counter(limit: int, window_ns: int, phase_ns: int = 0) -> Limiter:
    """The greater of a window's count and of that before by the part that overlaps."""

    def fresh() -> Admits:
        counts: dict[int, int] = {}

        def admits(now_ns: int) -> bool:
            index, elapsed_ns = divmod(now_ns - phase_ns, window_ns)
            earlier = counts.get(index - 1, 0) * (window_ns - elapsed_ns)
            here = counts.get(index, 0)
            admitted = max(earlier, here * window_ns) + window_ns <= limit * window_ns
            counts[index] = here + admitted
            return admitted

        return admits

    return fresh


def from_first(limiter: Limiter) -> Limiter:
    """A limiter whose clock begins with the first request of a key."""

    def fresh() -> Admits:
        since_ns: int | None = None
        admits_of_base = limiter()

        def admits(now_ns: int) -> bool:
            nonlocal since_ns
            since_ns = now_ns if since_ns is None else since_ns
            return admits_of_base(now_ns - since_ns)

        return admits

    return fresh


def together(*limiters: Limiter) -> Limiter:
    """Several limits, each of which must have room; a later one sees what the earlier admit."""

    def fresh() -> Admits:
        admitting = [limiter() for limiter in limiters]
        return lambda now_ns: all(admits(now_ns) for admits in admitting)

    return fresh


def of_all_keys(limiter: Limiter, shared: Limiter) -> Limiter:
    """A limit of each key, and one that all of them share, which counts what those admit."""
    admits_any = shared()

    def fresh() -> Admits:
        admits_one = limiter()
        return lambda now_ns: admits_one(now_ns) and admits_any(now_ns)

    return fresh


def bucket_and_window(limit: int, window_ns: int, _phase_ns: int = 0) -> Limiter:
    """A bucket, and a log of twice as many in three windows: what one denies costs nothing of the other."""

    def fresh() -> Admits:
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

    return fresh


def leaky(limiter: Limiter, share: float, seed: int = 0) -> Limiter:
    """Of what it should deny, it lets a share through."""
    rng = random.Random(seed)

    def fresh() -> Admits:
        admits = limiter()
        return lambda now_ns: admits(now_ns) or rng.random() < share

    return fresh


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
}
"""Each family of the probe, from a limit, a window and a phase, all in ns."""


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
