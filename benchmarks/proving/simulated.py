"""Limiters that decide at given instants, and a sender to them with a simulated clock.

Written apart from the families of the probe, which they are to check: each is a plain
function of the instant, with the state of one key in a closure.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rateproof.probe.seen import Seen, Steps, volleys, widened

__all__ = [
    "LIMITERS",
    "Limiter",
    "SimulatedSender",
    "blocked",
    "bucket_and_window",
    "forgetting_log",
    "from_first",
    "generous",
    "greater_counter",
    "grouped_log",
    "growing",
    "lengthened",
    "reset_when_idle",
    "rounded_up",
    "several_counters",
    "slow_if_filled",
    "together",
    "uneven_bucket",
    "wavering_log",
]

S = 1_000_000_000

Admits = Callable[[int], bool]
"""One request of one key, at an instant."""
Limiter = Callable[[], Admits]
"""The state that a fresh key gets."""
_Sent = tuple[int, int, int, Any, int]
_SLOW_NS = 100_000_000


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

    def fresh() -> Admits:
        until_ns, count = -1, 0

        def admits(now_ns: int) -> bool:
            nonlocal until_ns, count
            if now_ns >= until_ns:
                until_ns = phase_ns - (phase_ns - now_ns - window_ns) // tick_ns * tick_ns
                count = 0
            admitted = count < limit
            count += admitted
            return admitted

        return admits

    return fresh


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


class SimulatedSender:
    """Sends to a simulated limiter, all of whose keys are fresh, or the same for everybody.

    Args:
        limiter: what decides.
        seed: of the answer times.
        took_ns: of answers, at least and at most.
        slow: the share of answers that take up to `slow_ns` longer.
    """

    def __init__(
        self,
        limiter: Callable[[], Any],
        seed: int,
        *,
        begin_ns: int = 10**15,
        took_ns: tuple[int, int] = (200_000, 1_000_000),
        slow: float = 0.002,
        shared: bool = False,
        closing: bool = False,
    ) -> None:
        self.random = random.Random(seed)
        self.clock_ns = begin_ns
        self.requests = 0
        self.delaying = False
        self.reconnecting = closing

        self._took_ns, self._slow = took_ns, slow
        self._connected = isinstance(limiter, several_counters)
        self._limiter = limiter
        self._keys: list[Any] = []
        self._shared = limiter() if shared else None
        self._connections = 0

    def now_ns(self) -> int:
        return self.clock_ns

    def search(self, most: int, delays_ns: Sequence[int]) -> list[Seen]:
        """Fill one key on one connection until it denies, then poll until it admits."""
        key, connection = self._fresh(), self._connect()
        history: list[Seen] = []
        for number in range(most):
            if number:
                self.clock_ns += self.random.randint(20_000, 100_000)
            history += self._carry([(self.clock_ns, key, connection)])
            if not history[-1].admitted:
                break
        for delay_ns in delays_ns:
            if len(history) >= most or history[-1].admitted:
                break
            self.clock_ns += delay_ns
            history += self._carry([(self.clock_ns, key, connection)])
        return history

    def hitter(self, *, fresh: bool) -> Callable[[int, int, int], list[Seen]]:
        """Return a sender to one key, each time on new connections."""
        key = self._fresh() if fresh else self._keys[-1]

        def hit(requests: int, at_ns: int, connections: int) -> list[Seen]:
            self.clock_ns = max(self.clock_ns, at_ns)
            return self._on(key, ((0, requests),), self.clock_ns, connections)

        return hit

    def send(self, schedules: Sequence[Steps], start_ns: int) -> list[list[Seen]]:
        """Send each schedule on a fresh key, all at the same time."""
        keys = [self._fresh() for _ in schedules]
        asked: list[_Sent] = []
        for key, steps in zip(keys, schedules, strict=True):
            asked += self._planned(key, steps, start_ns)
        return self._told(asked, keys)

    def waits(self, requests: int) -> tuple[list[int], int]:
        """None of them is a queue."""
        raise NotImplementedError(requests)

    def _on(self, key: Any, steps: Steps, start_ns: int, connections: int) -> list[Seen]:
        asked = self._planned(key, steps, start_ns, connections)
        return [seen for _, seen in self._sent(asked)]

    def _told(self, asked: list[_Sent], keys: Sequence[Any]) -> list[list[Seen]]:
        found: dict[int, list[Seen]] = {id(key): [] for key in keys}
        for key, seen in self._sent(asked):
            found[id(key)].append(seen)
        return [volleys(found[id(key)]) for key in keys]

    def _planned(
        self, key: Any, steps: Steps, start_ns: int, connections: int | None = None
    ) -> list[_Sent]:
        """(sent, took, decided, key, connection) of each request, connections shared evenly."""
        width = min(64, connections or max(count for _, count in steps))
        lines = [[start_ns, self._connect()] for _ in range(width)]
        planned: list[_Sent] = []
        for at_ns, count in steps:
            for number in range(count):
                line = lines[number % width]
                line[0] = max(line[0], start_ns + at_ns) + self.random.randint(20_000, 300_000)
                sent_ns, took_ns = line[0], self._takes()
                line[0] += took_ns
                decided_ns = sent_ns + self.random.randint(0, took_ns)
                planned.append((decided_ns, sent_ns, sent_ns + took_ns, key, line[1]))
        return planned

    def _sent(self, planned: list[_Sent]) -> Iterator[tuple[Any, Seen]]:
        for decided_ns, sent_ns, received_ns, key, connection in sorted(
            planned, key=lambda each: each[0]
        ):
            self.requests += 1
            self.clock_ns = max(self.clock_ns, received_ns)
            admitted = key(decided_ns, connection) if self._connected else key(decided_ns)
            yield key, widened(sent_ns, received_ns, admitted=admitted)

    def _carry(self, asked: Sequence[tuple[int, Any, int]]) -> list[Seen]:
        planned: list[_Sent] = []
        for sent_ns, key, connection in asked:
            took_ns = self._takes()
            decided_ns = sent_ns + self.random.randint(0, took_ns)
            planned.append((decided_ns, sent_ns, sent_ns + took_ns, key, connection))
        return [seen for _, seen in self._sent(planned)]

    def _takes(self) -> int:
        took_ns = self.random.randint(*self._took_ns)
        if self.random.random() < self._slow:
            took_ns += self.random.randint(0, _SLOW_NS)
        return took_ns

    def _fresh(self) -> Any:
        self._keys.append(self._shared or self._limiter())
        return self._keys[-1]

    def _connect(self) -> int:
        self._connections += 1
        return self._connections
