"""Decisions inside one process: ours, `limits`, and a plain dict of deques under a lock."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from statistics import median
from threading import Lock
from uuid import uuid4

from enforcing.measuring import Figure, figure, in_turn, pin, ratios
from rateproof import Limiter
from rateproof.enforce.stores import remove

KEYS = [f"client-{number}" for number in range(1000)]


class DictOfDeques:
    """The shortest correct sliding log in Python: one process, no answer but yes or no."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit, self._window_s = limit, window_s
        self._admitted: dict[str, deque[float]] = {}
        self._lock = Lock()

    def hit(self, key: str) -> bool:
        with self._lock:
            now = time.monotonic()
            times = self._admitted.get(key)
            if times is None:
                times = self._admitted[key] = deque()
            while times and times[0] <= now - self._window_s:
                times.popleft()
            if len(times) >= self._limit:
                return False
            times.append(now)
            return True


def measure(rounds: int) -> Iterator[Figure]:
    """5 per 5 s over 1,000 saturating clients; one client denied; one admitted."""
    pin(1)
    name = f"benchmark-{uuid4().hex}"
    try:
        with Limiter("5 per 5s") as memory, Limiter("5 per 5s", store=f"shm://{name}") as shm:
            yield from _against_peers(memory, shm, rounds)
        yield from _other_calls(rounds)
        yield from _sizes_of_limit(rounds)
        yield from _many_keys(rounds)
    finally:
        remove(name)


def _against_peers(memory: Limiter, shm: Limiter, rounds: int) -> Iterator[Figure]:
    deques = DictOfDeques(5, 5.0)
    calls = [over_keys(memory.hit), over_keys(shm.hit), over_keys(deques.hit), over_keys(len)]
    moving = _moving_window()
    calls.append(over_keys(moving))
    ours, shared, plain, loop, limits = in_turn(calls, rounds)
    yield figure(
        "hit memory://, 1,000 saturating clients", median(ours), "ns",
        peer="limits moving-window, memory", ratio=ratios(limits, ours), wanted=">= 20",
    )  # fmt: skip
    yield figure("the same by limits", median(limits), "ns")
    yield figure(
        "the same by a dict of deques under a lock", median(plain), "ns",
        peer="hit memory://", ratio=ratios(plain, ours), wanted="> 1",
    )  # fmt: skip
    yield figure("the loop itself, in all of these", median(loop), "ns")
    yield figure(
        "hit shm://, 1,000 saturating clients", median(shared), "ns",
        peer="hit memory://", ratio=ratios(shared, ours), wanted="<= 1.3",
    )  # fmt: skip
    with Limiter("1 per 1ns") as free:
        denied, admitted = in_turn([one_key(memory.hit), one_key(free.hit)], rounds)
    yield figure("hit denied, one client", median(denied), "ns", wanted="<= 120")
    yield figure("hit admitted, one client", median(admitted), "ns", wanted="<= 120")


def _other_calls(rounds: int) -> Iterator[Figure]:
    """Calls that change several words at once, or none."""
    with Limiter("5 per 1ns; 5 per 2ns") as two, Limiter("5 per 1ns") as one:
        calls = [one_key(two.hit), one_key(lambda key: one.hit(key, 2)), one_key(one.peek)]
        for name, times, wanted in zip(
            ("hit admitted by two quotas", "hit admitted, cost 2", "peek"),
            in_turn(calls, rounds),
            ("<= 600", "<= 600", "<= 1000"),
            strict=True,
        ):
            yield figure(f"{name}, one client", median(times), "ns", wanted=wanted)


def _sizes_of_limit(rounds: int) -> Iterator[Figure]:
    for what, window in (("denied", "1h"), ("admitted", "1ns")):
        limiters = [Limiter(f"{limit} per {window}", capacity=2000) for limit in (5, 100, 1000)]
        for limiter in limiters:
            over_keys(limiter.hit)(1_000_000)  # fills every log
        timed = in_turn([over_keys(limiter.hit) for limiter in limiters], rounds)
        for limit, times in zip((100, 1000), timed[1:], strict=True):
            yield figure(
                f"hit {what}, limit {limit}", median(times), "ns",
                peer="limit 5", ratio=ratios(times, timed[0]), wanted="<= 2",
            )  # fmt: skip
        for limiter in limiters:
            limiter.close()


def _many_keys(rounds: int) -> Iterator[Figure]:
    """Every key live; keys are asked in a random order, each once a pass."""
    order = random.Random(1)
    few, many = (
        [f"client-{number}" for number in order.sample(range(count), count)]
        for count in (1000, 1_000_000)
    )
    with Limiter("5 per 1h", capacity=1_000_000) as limiter:
        for key in many:
            limiter.hit(key)
        calls = [over_keys(limiter.hit, few), over_keys(limiter.hit, many)]
        calls += [over_keys(len, few), over_keys(len, many)]
        small, large, loop, large_loop = in_turn(calls, rounds)
    yield figure(
        "hit among 1,000,000 live keys", median(large), "ns",
        peer="among 1,000", ratio=ratios(large, small), wanted="<= 3",
    )  # fmt: skip
    yield figure(
        "of which looking at that many strings", median(large_loop), "ns",
        peer="1,000 strings", ratio=ratios(large_loop, loop),
    )  # fmt: skip


def over_keys(hit: Callable[[str], object], keys: list[str] = KEYS) -> Callable[[int], None]:
    """A call that hits `n` times, key after key, and goes on where it stopped."""
    endless = cycle(keys)

    def call(steps: int) -> None:
        for key in islice(endless, steps):
            hit(key)

    return call


def one_key(hit: Callable[[str], object]) -> Callable[[int], None]:
    """A call that hits `n` times with one key."""
    return over_keys(hit, ["client-7"])


def _moving_window() -> Callable[[str], object]:
    try:
        from limits import RateLimitItemPerSecond, storage, strategies
    except ImportError as error:
        raise LookupError("limits is not installed (pip install limits)") from error
    item = RateLimitItemPerSecond(5, 5)
    strategy = strategies.MovingWindowRateLimiter(storage.MemoryStorage())
    return lambda key: strategy.hit(item, key)
