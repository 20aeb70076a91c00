"""A sender to simulated limiters, with a simulated clock."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from proving.simulated import several_counters
from rateproof.probe.seen import Seen, Steps, volleys, widened

__all__ = ["SimulatedSender"]

_Sent = tuple[int, int, int, Any, int]
_SLOW_NS = 100_000_000


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
        self._scheduled: list[Any] = []
        self._hit: dict[Any, Any] = {}
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

        self._hit[hit] = key
        return hit

    def keep(self, hit: Callable[[int, int, int], list[Seen]]) -> None:
        """Let schedules go on with the key of a hitter."""
        self._scheduled.append(self._hit[hit])

    def send(
        self, schedules: Sequence[Steps], start_ns: int, keys: Sequence[int | None] = ()
    ) -> list[list[Seen]]:
        """Send all schedules at the same time, each on a fresh key, or on the key of an earlier one."""
        on = list(keys) or [None] * len(schedules)
        asking = [self._fresh() if key is None else self._scheduled[key] for key in on]
        self._scheduled += (each for each, key in zip(asking, on, strict=True) if key is None)
        asked: list[_Sent] = []
        for key, steps in zip(asking, schedules, strict=True):
            asked += self._planned(key, steps, start_ns)
        return self._told(asked, asking)

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
