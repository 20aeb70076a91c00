"""Denials that need no round trip: what a server has denied for a time stays denied for it.

A denial says how long nothing can pass. The server counts that from an instant
between the sending of the request and the receipt of the answer. So it is
remembered for that long from the *sending*: nobody is denied who could pass,
unless the key was reset elsewhere meanwhile. And the waits that it tells are
counted from the *receipt*: they are enough.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from rateproof.core import native
from rateproof.enforce.decision import Answer
from rateproof.enforce.stores.redis.command import digest_of

if TYPE_CHECKING:
    from rateproof import _native

__all__ = ["Denial", "Denials", "open_denials"]

RawAnswer: TypeAlias = tuple[bool, bool, int, int, int]

CAPACITY: Final = 65_536
"""How many denials are remembered: the oldest is forgotten for a new one."""

_DRIFT: Final = 2000
"""Clocks may differ by one part in so many (500 ppm): a denial is asked again that much early."""


class Denial(NamedTuple):
    """A denial as the server gave it, and until when it holds.

    Args:
        cost: what was denied.
        until_ns: when to ask again.
        received_ns: when it was received.
        answers: of each quota, with waits counted from `received_ns`.
    """

    cost: int
    until_ns: int
    received_ns: int
    answers: tuple[Answer, ...]

    def at(self, now_ns: int) -> list[Answer]:
        """The answers with waits counted from `now_ns`; `remaining` is as it was."""
        past_ns = now_ns - self.received_ns
        return [
            Answer(
                admitted,
                full,
                remaining,
                retry_ns - past_ns if retry_ns > past_ns else 0,  # max() takes twice as long
                reset_ns - past_ns if reset_ns > past_ns else 0,
            )
            for admitted, full, remaining, retry_ns, reset_ns in self.answers
        ]


class Denials:
    """The denials of one store, by a digest of the key, which may be long, and the ledger.

    `resets` counts the keys that were reset: what was asked before and answered
    after is not to be remembered.

    No lock, which a fork could leave held: every step is one call of the dictionary.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes, int], Denial] = OrderedDict()
        self.resets = 0
        self._ledgers = 0

    def answers(self, key: bytes, ledger: int, cost: int) -> Sequence[RawAnswer] | None:
        """What is to be answered to a hit of `cost` without asking, if anything is."""
        denial = self.find(key, ledger)
        if denial is None or denial.cost != cost:
            return None
        now_ns = time.monotonic_ns()
        return denial.at(now_ns) if now_ns < denial.until_ns else None

    def find(self, key: bytes, ledger: int) -> Denial | None:
        """What is remembered of the key, be it over or not."""
        return self._kept.get((digest_of(key), ledger))

    def keep(
        self, key: bytes, ledger: int, cost: int, sent_ns: int, answers: tuple[Answer, ...]
    ) -> None:
        """Remember a denial of `cost`, asked at `sent_ns` and received just now."""
        wait_ns = max(answer.retry_after_ns for answer in answers)
        until_ns = sent_ns + wait_ns - wait_ns // _DRIFT
        denial = Denial(cost, until_ns, time.monotonic_ns(), answers)
        self._kept[digest_of(key), ledger] = denial
        self._ledgers = max(self._ledgers, ledger + 1)
        with suppress(KeyError):  # another thread cleared it
            while len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Ask again for this key, whatever the ledger."""
        self.resets += 1
        digest = digest_of(key)
        for ledger in range(self._ledgers):
            self._kept.pop((digest, ledger), None)

    def clear(self) -> None:
        """Ask again for every key."""
        self.resets += 1
        self._kept.clear()


def open_denials() -> "Denials | _native.Denials":
    """Nothing remembered yet, by the native core where that is in use."""
    module = native()
    return Denials() if module is None else module.Denials()
