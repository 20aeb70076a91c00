"""Limiters that decide at given instants, and a sender to them with a virtual clock and jitter.

Written apart from the automata of the probe, which they are to check.
"""

import random
from collections import defaultdict, deque
from types import SimpleNamespace

import pytest

from rateproof.probe.seen import Seen

S = 1_000_000_000


class SlidingLog:
    def __init__(self, limit, window_ns, *, counts_denied=False):
        self.limit, self.window_ns, self.counts_denied = limit, window_ns, counts_denied
        self.stamps = defaultdict(deque)

    def admits(self, key, now_ns):
        stamps = self.stamps[key]
        while stamps and stamps[0] + self.window_ns <= now_ns:
            stamps.popleft()
        admitted = len(stamps) < self.limit
        if admitted or self.counts_denied:
            stamps.append(now_ns)
        return admitted


class FirstHitWindow:
    def __init__(self, limit, window_ns, pushed_by=()):
        self.limit, self.window_ns, self.pushed_by = limit, window_ns, pushed_by
        self.state = {}

    def admits(self, key, now_ns):
        since_ns, count = self.state.get(key, (now_ns, 0))
        if now_ns >= since_ns + self.window_ns:
            since_ns, count = now_ns, 0
        admitted = count < self.limit
        if admitted in self.pushed_by:
            since_ns = now_ns
        self.state[key] = since_ns, count + admitted
        return admitted


class FixedWindow:
    def __init__(self, limit, window_ns, phase_ns):
        self.limit, self.window_ns, self.phase_ns = limit, window_ns, phase_ns
        self.counts = defaultdict(int)

    def admits(self, key, now_ns):
        index = (now_ns - self.phase_ns) // self.window_ns
        admitted = self.counts[key, index] < self.limit
        self.counts[key, index] += admitted
        return admitted


class SlidingCounter(FixedWindow):
    def __init__(self, limit, window_ns, phase_ns, *, floor=False):
        super().__init__(limit, window_ns, phase_ns)
        self.floor = floor

    def admits(self, key, now_ns):
        index, elapsed_ns = divmod(now_ns - self.phase_ns, self.window_ns)
        earlier = self.counts[key, index - 1] * (self.window_ns - elapsed_ns)
        if self.floor:
            earlier = earlier // self.window_ns * self.window_ns
        used = earlier + (self.counts[key, index] + 1) * self.window_ns
        admitted = used <= self.limit * self.window_ns
        self.counts[key, index] += admitted
        return admitted


class TokenBucket:
    def __init__(self, burst, interval_ns):
        self.burst, self.interval_ns = burst, interval_ns
        self.state = {}

    def admits(self, key, now_ns):
        tokens, then_ns = self.state.get(key, (float(self.burst), now_ns))
        tokens = min(self.burst, tokens + (now_ns - then_ns) / self.interval_ns)
        admitted = tokens >= 1 - 1e-9
        self.state[key] = tokens - admitted, now_ns
        return admitted


class Both:
    """Two limits, both of which must have room."""

    def __init__(self, one, other):
        self.one, self.other = one, other

    def admits(self, key, now_ns):
        return self.other.admits(key, now_ns) if self.one.admits(key, now_ns) else False


class Scattered:
    """Limiters that know nothing of each other; each request meets any of them."""

    def __init__(self, limiters, seed):
        self.limiters, self.random = limiters, random.Random(seed)

    def admits(self, key, now_ns):
        return self.random.choice(self.limiters).admits(key, now_ns)


class VirtualSender:
    """Sends to a simulated limiter: requests take 0.2 to 1 ms, a share `slow` up to 100 more."""

    def __init__(self, limiter, seed, begin_ns=10**15, slow=0.002):
        self.limiter, self.random, self.clock_ns, self.slow = (
            limiter,
            random.Random(seed),
            begin_ns,
            slow,
        )
        self.keys = 0
        self.requests = 0
        self.delaying = False
        self.reconnecting = False
        self.waited_ns = 0

    def now_ns(self):
        return self.clock_ns

    def _one(self, key, sent_ns):
        self.requests += 1
        took_ns = self.random.randint(200_000, 1_000_000)
        if self.random.random() < self.slow:
            took_ns += self.random.randint(0, 100_000_000)
        decided_ns = sent_ns + self.random.randint(0, took_ns)
        return sent_ns, sent_ns + took_ns, key, decided_ns

    def search(self, most, delays_ns):
        self.keys += 1
        history, at_ns = [], self.clock_ns
        while len(history) < most and (not history or history[-1].admitted):
            at_ns = self._ask(history, at_ns)
        for delay_ns in delays_ns:
            if len(history) >= most or history[-1].admitted:
                break
            at_ns = self._ask(history, at_ns + delay_ns)
        self.clock_ns = at_ns
        return history

    def _ask(self, history, at_ns):
        sent_ns, received_ns, key, decided_ns = self._one(self.keys, at_ns)
        history.append(Seen(sent_ns, received_ns, self.limiter.admits(key, decided_ns)))
        return received_ns

    def hitter(self, *, fresh):
        """Every request on the key, one after the other."""
        self.keys += fresh
        key = self.keys

        def hit(requests, at_ns, _connections):
            history, self.clock_ns = [], max(self.clock_ns, at_ns)
            for _ in range(requests):
                sent_ns, self.clock_ns, _, decided_ns = self._one(key, self.clock_ns)
                admitted = self.limiter.admits(key, decided_ns)
                history.append(Seen(sent_ns, self.clock_ns, admitted))
            return history

        return hit

    def send(self, schedules, start_ns):
        pending, histories = [], [[] for _ in schedules]
        for number, steps in enumerate(schedules):
            self.keys += 1
            free_ns = 0
            for at_ns, count in steps:
                for _ in range(count):
                    late_ns = self.random.randint(0, 300_000)
                    sent = self._one(self.keys, max(free_ns, start_ns + at_ns) + late_ns)
                    free_ns = sent[1]
                    pending.append((*sent, number))
        for sent_ns, received_ns, key, decided_ns, number in sorted(pending, key=lambda p: p[3]):
            admitted = self.limiter.admits(key, decided_ns)
            histories[number].append(Seen(sent_ns, received_ns, admitted))
            self.clock_ns = max(self.clock_ns, received_ns)
        return histories


LIMITERS = {
    "sliding-log": lambda limit, window_ns, _: SlidingLog(limit, window_ns),
    "first-hit-window": lambda limit, window_ns, _: FirstHitWindow(limit, window_ns),
    "token-bucket": lambda limit, window_ns, _: TokenBucket(limit, window_ns // limit),
    "fixed-window": FixedWindow,
    "sliding-counter": SlidingCounter,
    "sliding-counter, its weight rounded down": lambda *args: SlidingCounter(*args, floor=True),
    "sliding-log that counts denied requests": lambda limit, window_ns, _: SlidingLog(
        limit, window_ns, counts_denied=True
    ),
    "window that each request pushes on": lambda limit, window_ns, _: FirstHitWindow(
        limit, window_ns, (True, False)
    ),
    "window that each admission pushes on": lambda limit, window_ns, _: FirstHitWindow(
        limit, window_ns, (True,)
    ),
}


def make(name, limit, window_ns, phase_ns=0):
    """The limiter of a family of the probe; of a bucket, `limit` tokens come back in a window."""
    return LIMITERS[name](limit, window_ns, phase_ns)


@pytest.fixture(scope="session")
def simulated() -> SimpleNamespace:
    """The limiters, and what sends to them."""
    return SimpleNamespace(Both=Both, Scattered=Scattered, VirtualSender=VirtualSender, make=make)
