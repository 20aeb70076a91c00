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
from typing import Final

from rateproof.enforce.decision import Answer
from rateproof.enforce.stores.redis.command import digest_of

CAPACITY: Final = 65_536
"""Denials that are remembered at most: the oldest is forgotten for a new one."""

_DRIFT: Final = 2000
"""Clocks may differ by one part in so many (500 ppm): a denial is asked again that much early."""


class Denials:
    """The denials of one store, by a digest of the key, which may be long, and the ledger.

    `resets` counts the keys that were reset: what was asked before and answered
    after is not to be remembered.

    No lock, which a fork could leave held: every step is one call of the dictionary.
    """

    def __init__(self) -> None:
        # Of each the cost, until when it holds, when it was received, and the answers.
        self._kept: OrderedDict[tuple[bytes, int], tuple[int, int, int, Sequence[Answer]]]
        self._kept = OrderedDict()
        self.resets = 0
        self._ledgers = 0

    def answers(self, key: bytes, ledger: int, cost: int) -> list[Answer] | None:
        """Answer a hit of `cost` without asking; None where the server has to be asked."""
        denied, until_ns, received_ns, answers = self._kept.get(
            (digest_of(key), ledger), (0, 0, 0, ())
        )
        now_ns = time.monotonic_ns()
        if denied != cost or now_ns >= until_ns:
            return None
        past_ns = now_ns - received_ns
        return [
            answer._replace(
                retry_after_ns=max(0, answer.retry_after_ns - past_ns),
                reset_after_ns=max(0, answer.reset_after_ns - past_ns),
            )
            for answer in answers
        ]

    def keep(
        self, key: bytes, ledger: int, cost: int, sent_ns: int, answers: Sequence[Answer]
    ) -> None:
        """Remember a denial of `cost`, asked at `sent_ns` and received just now."""
        wait_ns = max(answer.retry_after_ns for answer in answers)
        until_ns = sent_ns + wait_ns - wait_ns // _DRIFT
        self._kept[digest_of(key), ledger] = cost, until_ns, time.monotonic_ns(), answers
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
