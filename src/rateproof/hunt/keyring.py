"""Keys of a file, each used again only once it is as good as new."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from rateproof.clock import Tolerance
from rateproof.events import ADMITTED, EventLog
from rateproof.hunt.settings import TestSettings
from rateproof.keyfile import KeyFile
from rateproof.policy import Policy
from rateproof.simulate.tokens import Tokens
from rateproof.units import SECOND_NS, format_seconds

_MS_NS: Final = 1_000_000
_PATIENCE_NS: Final = 120 * SECOND_NS
"""Longer windows are not waited for: each key is used once, and nobody knows how it began."""


def idle_ns(policy: Policy, tolerance: Tolerance, *, denied_count: bool) -> int | None:
    """The time after which nothing of a key's last request can matter; None: it may for ever.

    Denials that take tokens from a bucket may leave it below empty by any amount.
    """
    if denied_count and any(quota.record.has_burst for quota in policy.quotas):
        return None
    most_ns = max(quota.memory_ns for quota in policy.quotas)
    return tolerance.at_most_ns(most_ns)


@dataclass
class Keyring:
    """The keys, those that are fresh first.

    What was sent under a key before this process began is not known: at first all are as
    if they had been used just then.

    Args:
        keys: of the file.
        idle_ns: see `idle_ns`.
        unused: somebody knows that none was used for as long before.
        now_ns: the monotonic clock.
    """

    keys: KeyFile
    idle_ns: int | None
    unused: bool = False
    now_ns: Callable[[], int] = time.monotonic_ns
    fresh: bool = field(default=False, init=False)
    """The keys that were taken last had all idled for long enough."""
    lost: int = field(default=0, init=False)
    """Keys that are left out since a request of theirs had no answer: it may count at any time."""
    strange: int = field(default=0, init=False)
    """Keys that are left out since all that they were given was an answer that decides nothing."""
    spent: bool = field(default=False, init=False)
    """There were too few for a run."""

    def __str__(self) -> str:
        return str(self.keys)

    def __post_init__(self) -> None:
        since_ns = self.now_ns() + (0 if self.unused else self.idle_ns or 0)
        self._waits = self.idle_ns is not None and self.idle_ns <= _PATIENCE_NS
        self._ready = deque((since_ns, place) for place in range(len(self.keys.keys)))
        self._taken: list[int] = []

    @classmethod
    def of(cls, settings: TestSettings) -> Self | None:
        """The keyring of a test; None where identities are invented."""
        if settings.keys is None:
            return None
        tolerance = Tolerance(settings.tolerance_ppm, settings.granularity_ns)
        idle = idle_ns(settings.policy, tolerance, denied_count=settings.denied_count)
        return cls(settings.keys, idle, unused=settings.fresh_keys)

    @property
    def told(self) -> str:
        """The use that was made of them, in words."""
        if self._waits and self.idle_ns is not None:
            in_ms = -(-self.idle_ns // _MS_NS)
            words = (
                f"{self}, each idle for {format_seconds(in_ms * _MS_NS)} before it is used again"
            )
        else:
            words = f"{self}, each used once"
            words += "" if self.unused else ": nobody knows what was sent before (--fresh-keys)"
        if self.spent:
            words += "; they are used up"
        if self.lost:
            words += f"; {self.lost} left out, a request of theirs had no answer"
        if self.strange:
            words += f"; {self.strange} left out, the server does not seem to know them"
        return words

    @property
    def left(self) -> int:
        """The number of keys that can still be used."""
        return len(self._ready)

    def wait_ns(self, count: int) -> int | None:
        """The time until so many are fresh; None if they never will be, 0 where that is not waited for."""
        if count > len(self._ready):
            return None
        return max(0, self._ready[count - 1][0] - self.now_ns()) if self._waits else 0

    def take(self, own: int, others: int = 0, more: int = 0) -> Tokens:
        """Keys for a run that begins now: the first so many clients have theirs alone.

        Args:
            own: these clients; there are as many keys left.
            others: keys for all others together, as far as there are.
            more: more of them, as far as they are fresh.
        """
        now_ns = self.now_ns()
        count = min(own + others, len(self._ready))
        while count < min(own + others + more, len(self._ready)):
            if self._waits and self._ready[count][0] > now_ns:
                break
            count += 1
        taken = [self._ready.popleft() for _ in range(count)]
        self.fresh = (self._waits or self.unused) and all(ns <= now_ns for ns, _ in taken)
        self._taken = [place for _, place in taken]
        return Tokens(tuple(self.keys.keys[place] for place in self._taken), own)

    def give_back(self, scenario_keys: list[bytes], log: EventLog) -> None:
        """The run is over: its keys idle from now on; without an answer they are never used again.

        Args:
            scenario_keys: their names in the log, in the order in which they were taken.
            log: of the run. A key that had one of its `undecided_statuses`, by which the server
                says that it does not know it, and was never admitted is not used again either.
        """
        undecided = log.metadata.get("undecided_statuses", ())
        unanswered, doubted, admitted = set(), set(), set()
        columns = map(log.column, ("key", "received_ns", "status", "outcome"))
        for key, received_ns, status, outcome in zip(*columns, strict=True):
            if received_ns is None:
                unanswered.add(key)
            elif status in undecided:
                doubted.add(key)
            elif outcome == ADMITTED:
                admitted.add(key)
        fresh_ns = self.now_ns() + (self.idle_ns or 0)
        for place, name in zip(self._taken, scenario_keys, strict=not self.spent):
            if name in unanswered:
                self.lost += 1
            elif name in doubted - admitted:
                self.strange += 1
            elif self._waits:
                self._ready.append((fresh_ns, place))
        self._taken = []
