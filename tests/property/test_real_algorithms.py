"""Logs made by running each algorithm are never called violated under its own policy.

Soundness by construction: requests are sent at random, decided by a limiter
whose clock drifts and counts in steps, and answered, on simulated clocks. The
limiters are written out here once more, or are this package's own and those of
the `limits` library, as black boxes.
"""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from limits import parse
from limits.storage import MemoryStorage, memory
from limits.strategies import STRATEGIES

from rateproof.clock import ManualClock
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.events import Event, EventLog
from rateproof.policy import Policy
from rateproof.prove import OVER_ADMISSION, VIOLATED, Verdict, judge
from tests.samples import quick_first

MS = 1_000_000
S = 1_000 * MS
W = 5 * S
PPM = 500

Decide = Callable[[bytes, int], int | None]
"""A limiter's decision on a request of a key at an instant of its clock: how long it holds it
back in ns, or None if it is denied."""


def sliding_log(limit: int, _: random.Random) -> Decide:
    admitted: dict[bytes, deque[int]] = defaultdict(deque)

    def decide(key: bytes, now: int) -> int | None:
        log = admitted[key]
        while log and log[0] <= now - W:
            log.popleft()
        if len(log) >= limit:
            return None
        log.append(now)
        return 0

    return decide


def token_bucket(limit: int, _: random.Random) -> Decide:
    """Of 2N; tokens and time scaled by the limit, so that all is whole."""
    full = 2 * limit * W
    state: dict[bytes, tuple[int, int]] = {}

    def decide(key: bytes, now: int) -> int | None:
        level, before = state.get(key, (full, now))
        level = min(full, level + (now - before) * limit)
        state[key] = (level - W if level >= W else level, now)
        return 0 if level >= W else None

    return decide


def fixed_window(limit: int, rng: random.Random) -> Decide:
    counts: dict[tuple[bytes, int], int] = defaultdict(int)
    phases: dict[bytes, int] = defaultdict(lambda: rng.randrange(W))

    def decide(key: bytes, now: int) -> int | None:
        cell = (key, (now + phases[key]) // W)
        counts[cell] += 1
        return 0 if counts[cell] <= limit else None

    return decide


def first_hit_window(limit: int, _: random.Random) -> Decide:
    opened: dict[bytes, tuple[int, int]] = {}

    def decide(key: bytes, now: int) -> int | None:
        start, count = opened.get(key, (now, 0))
        if now >= start + W:
            start, count = now, 0
        opened[key] = (start, count + 1)
        return 0 if count < limit else None

    return decide


def rounded_counter(limit: int, rng: random.Random) -> Decide:
    counts: dict[tuple[bytes, int], int] = defaultdict(int)
    phase = rng.randrange(W)

    def decide(key: bytes, now: int) -> int | None:
        cell, into = divmod(now + phase, W)
        if counts[key, cell - 1] * (W - into) // W + counts[key, cell] >= limit:
            return None
        counts[key, cell] += 1
        return 0

    return decide


def renewing_counter(limit: int, _: random.Random) -> Decide:
    """As the script of `limits` for Redis has it: counters that expire, renamed as they do."""
    counters: dict[bytes, tuple[tuple[int, int], tuple[int, int]]] = {}

    def decide(key: bytes, now: int) -> int | None:
        previous, current = counters.get(key, ((0, now), (0, now)))
        if now < current[1] < now + W:
            previous, current = current, (0, current[1] + W)
        weight = previous[0] * max(0, previous[1] - now) // W
        count = current[0] if current[1] > now else 0
        admitted = weight + count < limit
        if admitted:
            current = (count + 1, current[1] if current[1] > now else now + 2 * W)
        counters[key] = previous, current
        return 0 if admitted else None

    return decide


def blocks(limit: int, _: random.Random) -> Decide:
    """Of a fifth of a window; a block forgets all that it counted at once."""
    counts: dict[tuple[bytes, int], int] = defaultdict(int)

    def decide(key: bytes, now: int) -> int | None:
        block = now // (W // 5)
        if sum(counts[key, block - behind] for behind in range(6)) >= limit:
            return None
        counts[key, block] += 1
        return 0

    return decide


def leaky_queue(limit: int, _: random.Random) -> Decide:
    """Of 4 that wait; what leaves it does so W/N apart."""
    gap = -(-W // limit)
    free: dict[bytes, int] = {}

    def decide(key: bytes, now: int) -> int | None:
        leaves = max(now, free.get(key, now))
        if leaves - now > 4 * gap:
            return None
        free[key] = leaves + gap
        return leaves - now

    return decide


SIMULATED: dict[str, tuple[str, Callable[[int, random.Random], Decide]]] = {
    "sliding log": ("{n} per 5s", sliding_log),
    "token bucket": ("token-bucket {n} per 5s burst {twice}", token_bucket),
    "fixed window": ("fixed-window {n} per 5s", fixed_window),
    "first-hit window": ("first-hit-window {n} per 5s", first_hit_window),
    "rounded counter": ("sliding-counter {n} per 5s", rounded_counter),
    "renewing counter": ("sliding-counter {n} per 5s", renewing_counter),
    "blocks": ("sliding-blocks {n} per 5s blocks 5", blocks),
    "leaky queue": ("leaky-queue {n} per 5s burst 4", leaky_queue),
}


class Drifting:
    """The limiter's clock: its rate changes now and then, within the tolerance."""

    def __init__(self, rng: random.Random, step: int) -> None:
        self._rng, self._step = rng, step
        self._begun, self._reading, self._rate = 0, float(rng.randrange(9 * W)), 1.0
        self._until = 0

    def read(self, instant: int) -> int:
        """For instants that never decrease."""
        while instant >= self._until:
            self._reading += (self._until - self._begun) * self._rate
            self._begun = self._until
            self._until += self._rng.randrange(1, 40 * W)
            least, most = 1 - PPM / 1e6, 1 / (1 - PPM / 1e6)
            self._rate = self._rng.choice([least, most, self._rng.uniform(least, most)])
        now = int(self._reading + (instant - self._begun) * self._rate)
        return now // self._step * self._step


@dataclass(frozen=True)
class Traffic:
    """Requests of some keys: steady, in bursts, or around the edges of windows."""

    requests: int
    keys: int
    pace: float
    shape: str
    delay: int
    step: int

    @classmethod
    def drawn(cls, rng: random.Random, most: int) -> "Traffic":
        return cls(
            rng.randrange(most // 4, most), rng.choice([1, 1, 3, 20]), rng.choice([0.7, 2, 8]),
            rng.choice(["steady", "bursts", "edges"]), rng.choice([1, MS // 10, 5 * MS, 400 * MS]),
            rng.choice([1, 1, MS]),
        )  # fmt: skip

    def sent(self, rng: random.Random, limit: int) -> Iterator[tuple[int, bytes]]:
        now, edge = 0, rng.randrange(W)
        for _ in range(self.requests):
            if self.shape == "steady":
                now += int(rng.expovariate(1) * W / (self.pace * limit * self.keys))
            elif rng.random() < 1 / (self.pace * limit * self.keys):
                rest = rng.randrange(W) if self.shape == "bursts" else W - (now - edge) % W
                now += max(0, rest + rng.randint(-20 * MS, 20 * MS))
            if rng.random() < 0.002:
                now += rng.randrange(4 * W)
            yield now + rng.randrange(2 * MS), b"%d" % rng.randrange(self.keys)

    def log(self, rng: random.Random, limit: int, decide: Decide) -> EventLog:
        arrivals = [
            (sent + rng.randrange(self.delay), sent, key) for sent, key in self.sent(rng, limit)
        ]
        clock = Drifting(rng, self.step)
        events = []
        for at, sent, key in sorted(arrivals):
            held = decide(key, clock.read(at))
            # Held back by a clock that may be slow: rounded up, and answered a little later.
            left = at if held is None else at + -(-held * 1_000_000 // (1_000_000 - PPM))
            events.append((sent, key, left + rng.randrange(self.delay), held is not None))
        log = EventLog({"fresh_keys": True})
        log.extend(
            Event(key=key, sent_ns=sent, received_ns=received, sequence=number,
                  status=200 if admitted else 429, outcome="admitted" if admitted else "rejected")
            for number, (sent, key, received, admitted) in enumerate(sorted(events))
        )  # fmt: skip
        return log

    def verdict(self, log: EventLog, policy: str) -> Verdict:
        return judge(
            log,
            Policy.parse(policy),
            claims=frozenset({OVER_ADMISSION}),
            tolerance_ppm=PPM,
            granularity_ns=0 if self.step == 1 else self.step,
        )


def watched_later(rng: random.Random, log: EventLog) -> EventLog:
    """The same limiter, watched from somewhere in the middle: its keys are not fresh."""
    later = EventLog()
    later.extend(list(log)[rng.randrange(len(log)) :])
    return later


def never_violated(name: str, rng: random.Random, logs: int, most: int) -> None:
    text, make = SIMULATED[name]
    for _ in range(logs):
        limit, traffic = rng.choice([1, 2, 3, 5, 20]), Traffic.drawn(rng, most)
        policy = text.format(n=limit, twice=2 * limit)
        log = traffic.log(rng, limit, make(limit, rng))
        for seen in (log, watched_later(rng, log)):
            verdict = traffic.verdict(seen, policy)
            assert verdict.outcome != VIOLATED, (policy, traffic, verdict.describe())


@pytest.mark.parametrize("name", SIMULATED)
@pytest.mark.usefixtures("without_power")
def test_no_algorithm_is_violated_under_its_own_policy(name):
    never_violated(name, random.Random(name), 3, 500)


@pytest.mark.parametrize("rate", [1 - PPM / 1e6, 1.0, 1 / (1 - PPM / 1e6)])
@pytest.mark.parametrize("step", [1, 300 * MS])
@pytest.mark.parametrize("name", ["fixed window", "first-hit window", "rounded counter"])
@pytest.mark.parametrize("seeds", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("without_power")
def test_crowds_at_the_boundaries_of_a_clock_just_within_the_tolerance_are_no_violation(
    name, step, rate, seeds
):
    """The boundaries drift all one way, or move by a step that divides no window."""
    text, make = SIMULATED[name]
    for seed in range(seeds):
        rng = random.Random(seed)
        limit = rng.choice([1, 3, 5])
        phase = rng.randrange(W)
        decide = make(limit, SimpleNamespace(randrange=lambda _, phase=phase: phase))
        arrivals = sorted(
            int((window * W - phase) / rate) + rng.randint(-step // 2 - 20 * MS, step + 20 * MS)
            for window in range(2, 150)
            for _ in range(3 * limit)
        )
        log = EventLog({"fresh_keys": True})
        for number, at in enumerate(arrivals):
            admitted = decide(b"k", int(at * rate) // step * step) is not None
            log.append(
                Event(key=b"k", sent_ns=at - rng.randrange(MS), received_ns=at + rng.randrange(MS),
                      status=200 if admitted else 429, sequence=number,
                      outcome="admitted" if admitted else "rejected")
            )  # fmt: skip
        traffic = Traffic(0, 1, 0, "", 0, step)
        verdict = traffic.verdict(log, text.format(n=limit))
        assert verdict.outcome != VIOLATED, verdict.describe()


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATED)
@pytest.mark.usefixtures("without_power")
def test_no_algorithm_is_violated_under_its_own_policy_at_length(name):
    rng = random.Random(f"{name}, at length")
    never_violated(name, rng, 300, 500)
    never_violated(name, rng, 2, 100_000)


@pytest.mark.parametrize("logs", [3, pytest.param(80, marks=pytest.mark.slow)])
@pytest.mark.parametrize("algorithm", RULES)
@pytest.mark.usefixtures("without_power")
def test_the_limiter_of_this_package_is_never_violated(algorithm, logs):
    rng = random.Random(algorithm)
    for _ in range(logs):
        limit, traffic = rng.choice([1, 2, 3, 5, 20]), Traffic.drawn(rng, 500)
        policy = f"{algorithm} {limit} per 5s"
        clock = ManualClock(0)
        with Limiter(policy, clock=clock, capacity=32) as limiter:

            def decide(key: bytes, now: int, limiter=limiter, clock=clock) -> int | None:
                clock.advance(now - clock.now_ns())
                return 0 if limiter.hit(key.decode()).admitted else None

            verdict = traffic.verdict(traffic.log(rng, limit, decide), policy)
        assert verdict.outcome != VIOLATED, (policy, traffic, verdict.describe())


@contextmanager
def limits_library(strategy: str, limit: int) -> Iterator[Decide]:
    """A strategy of `limits` in memory, under a clock of ours."""
    now_s = 0.0
    with patch.object(memory, "time", SimpleNamespace(time=lambda: now_s)):
        limiter, item = STRATEGIES[strategy](MemoryStorage()), parse(f"{limit} per 5 seconds")

        def decide(key: bytes, now: int) -> int | None:
            nonlocal now_s
            now_s = now / S
            return 0 if limiter.hit(item, key.decode()) else None

        yield decide


@pytest.mark.parametrize(
    ("strategy", "policy"),
    [
        ("fixed-window", "first-hit-window {n} per 5s"),
        ("moving-window", "{n} per 5s"),
        ("sliding-window-counter", "sliding-counter {n} per 5s"),
    ],
)
@pytest.mark.parametrize("logs", [3, pytest.param(80, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("without_power")
def test_the_limits_library_is_never_violated(strategy, policy, logs):
    rng = random.Random(strategy)
    for _ in range(logs):
        limit, traffic = rng.choice([1, 2, 3, 5, 20]), Traffic.drawn(rng, 500)
        with limits_library(strategy, limit) as decide:
            log = traffic.log(rng, limit, decide)
        verdict = traffic.verdict(log, policy.format(n=limit))
        assert verdict.outcome != VIOLATED, (policy, traffic, verdict.describe())


@pytest.mark.parametrize(
    "name", quick_first(["first-hit window", "fixed window", "rounded counter"])
)
def test_one_more_than_the_limit_is_found_though_the_gap_allows_it(name):
    """In logs too short for the gap: it is two windows at least before that says anything."""
    rng = random.Random(f"{name}, one more")
    text, make = SIMULATED[name]
    found = beyond = 0
    for _ in range(40):
        traffic = Traffic(30, 1, 2, "steady", MS, 1)
        verdict = traffic.verdict(traffic.log(rng, 5, make(6, rng)), text.format(n=5))
        found += verdict.outcome == VIOLATED
        beyond += any(not piece.nested for piece in verdict.evidence)
    assert found >= 25
    assert beyond >= 8
