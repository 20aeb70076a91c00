"""The storage interface of the library `limits`, answered by tables of ours.

That interface thinks in counts where a table thinks in decisions:

- *moving window*: a sliding log of that limit and window.
- *fixed window*: `incr` counts without knowing the limit. The table is a
  first-hit window of the greatest limit that one of its length can have, and
  the count is what does not remain of it.
- *sliding window counter*: a sliding counter of that limit and window. What the
  interface wants to know of its two windows is found by asking what remains now
  and what would at the start of the next one.

Some questions name a key without its limit or window. The key's table is then
looked for among all tables of the algorithm, those of other processes included.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from rateproof.enforce.decision import Answer
from rateproof.enforce.stores import DEFAULT_CAPACITY, Ledger, Tables, open_store
from rateproof.enforce.stores.location import parse_url, stored_quotas
from rateproof.errors import InvalidArgument, StoreError
from rateproof.policy import Quota
from rateproof.policy.first_hit_window import FIRST_HIT_WINDOW
from rateproof.policy.sliding_counter import SLIDING_COUNTER
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.units import SECOND_NS


class LimitsTables:
    """The methods of a storage of `limits`, without waiting: for `rateproof.limits`.

    Times are seconds since the epoch, windows (`expiry`) whole seconds, as that
    library has them. An amount of 0 passes and counts nothing.

    Args:
        url: `memory://` or `shm://NAME`.
        capacity: how many keys can be live at once in each table.

    Raises:
        InvalidArgument: one of these cannot be; of the methods, a limit or
            window that no table counts, or an amount below 0.
        StoreError: of the methods: a table cannot be opened or used.
    """

    def __init__(self, url: str, capacity: int = DEFAULT_CAPACITY) -> None:
        self._store = open_store(url, capacity)
        self._name = parse_url(url)
        self._tables: dict[tuple[str, int, int], _Table] = {}

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount`, in a window that opens with the first; the count after it.

        What would lift the count above the table's bound (2,097,151 a second,
        536,870,911 in 135 seconds or more) is not counted, and the answer is above
        the bound; so it is when the table has no room for the key.
        """
        window_ns = expiry * SECOND_NS
        table = self._table(FIRST_HIT_WINDOW.name, counting_limit(window_ns), window_ns)
        if not _counts(amount):
            return table.used(key)
        bound = table.quota.limit
        if amount <= bound:
            ruling = table.ledger.hit(_bytes(key), amount, None)
            if ruling.admitted:
                return bound - ruling.answers[0].remaining
        return bound + amount

    def get(self, key: str) -> int:
        """The count by `incr` in the key's open window."""
        counts = (table.used(key) for table in self._all(FIRST_HIT_WINDOW.name))
        return next(filter(None, counts), 0)

    def get_expiry(self, key: str) -> float:
        """The end of the window that `incr` opened; now, when there is none."""
        answers = (table.peek(key) for table in self._all(FIRST_HIT_WINDOW.name))
        waits = (answer.reset_after_ns for answer in answers if not answer.full)
        return time.time() + next(filter(None, waits), 0) / SECOND_NS

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take `amount` of `limit` entries, each of which is gone for `expiry`; all or none."""
        return self._acquire(SLIDING_LOG.name, key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The time of the oldest entry, now when there is none, and the number of entries."""
        now = time.time()
        if limit < 1:
            return now, 0
        table = self._table(SLIDING_LOG.name, limit, expiry * SECOND_NS)
        free = table.peek(key).remaining
        if free == limit:
            return now, 0
        # The oldest entry is what one more than is free waits for.
        wait_ns = table.peek(key, free + 1).retry_after_ns
        return now + wait_ns / SECOND_NS - expiry, limit - free

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count `amount` if with it the weighted count stays within `limit`; all or nothing."""
        return self._acquire(SLIDING_COUNTER.name, key, limit, expiry, amount)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The previous window's count and the seconds that it still weighs, then the current one's.

        The previous count is exact while it weighs more than one request; then
        it is the greatest that does not.
        """
        window_ns = expiry * SECOND_NS
        now_ns = time.monotonic_ns()
        left_ns = window_ns - now_ns % window_ns
        previous, current = 0, 0
        for table in self._all(SLIDING_COUNTER.name, window_ns):
            used = table.used(key, now_ns)
            if used:
                # At the start of the next window, this one's count is all that weighs.
                current = table.used(key, now_ns + left_ns)
                # One more than is free passes when the weight has fallen by one.
                wait_ns = table.peek(key, table.quota.limit - used + 1, now_ns).retry_after_ns
                previous = _previous(used - current, window_ns, left_ns, wait_ns)
                break
        weighs_ns = left_ns if previous else 0
        return previous, weighs_ns / SECOND_NS, current, (window_ns + left_ns) / SECOND_NS

    def clear(self, key: str) -> None:
        """Forget the key in fixed and moving windows."""
        for algorithm in (FIRST_HIT_WINDOW.name, SLIDING_LOG.name):
            for table in self._all(algorithm):
                table.ledger.reset(_bytes(key))

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget the key in sliding window counters."""
        for table in self._all(SLIDING_COUNTER.name, expiry * SECOND_NS):
            table.ledger.reset(_bytes(key))

    def check(self) -> bool:
        """True if the store can be used."""
        try:
            self._store.counters().totals()
        except StoreError:
            return False
        return True

    def reset(self) -> int:
        """Forget every key of every strategy; how many of them counted for something."""
        live = 0
        for algorithm in (FIRST_HIT_WINDOW.name, SLIDING_LOG.name, SLIDING_COUNTER.name):
            for table in self._all(algorithm):
                live += table.live()
                table.ledger.clear()
        return live

    def _acquire(self, algorithm: str, key: str, limit: int, expiry: int, amount: int) -> bool:
        if not _counts(amount):
            return True
        if amount > limit:
            return False
        ledger = self._table(algorithm, limit, expiry * SECOND_NS).ledger
        return ledger.hit(_bytes(key), amount, None).admitted

    def _table(self, algorithm: str, limit: int, window_ns: int) -> "_Table":
        known = self._tables.get((algorithm, limit, window_ns))
        if known is None:
            quota = Quota(limit, window_ns, algorithm)
            known = _Table(quota, self._store.ledger([quota]))
            self._tables[algorithm, limit, window_ns] = known
        return known

    def _all(self, algorithm: str, window_ns: int | None = None) -> Iterator["_Table"]:
        """The tables of an algorithm: those that this process uses, then the others'."""

        def asked_for(quota: Quota) -> bool:
            return quota.algorithm == algorithm and window_ns in {None, quota.window_ns}

        known = [table for table in list(self._tables.values()) if asked_for(table.quota)]
        yield from known
        if self._name is not None:
            others = set(stored_quotas(self._name)) - {table.quota for table in known}
            for quota in filter(asked_for, others):
                yield self._table(quota.algorithm, quota.limit, quota.window_ns)


class _Table(NamedTuple):
    """One quota, and what is kept of it."""

    quota: Quota
    ledger: Ledger

    def peek(self, key: str, cost: int = 1, now_ns: int | None = None) -> Answer:
        return self.ledger.peek(_bytes(key), cost, now_ns).answers[0]

    def live(self) -> int:
        """The number of keys that count for something."""
        ledger = self.ledger
        return ledger.sample(0, None, 0, ledger.slots)[0] if isinstance(ledger, Tables) else 0

    def used(self, key: str, now_ns: int | None = None) -> int:
        """The number of admissions that the key holds; 0 where there is no room for it."""
        answer = self.peek(key, now_ns=now_ns)
        return 0 if answer.full else self.quota.limit - answer.remaining


def counting_limit(window_ns: int) -> int:
    """The greatest 2**k - 1 that a first-hit window can have as its limit.

    Windows end at multiples of 2**(k-2) ns, which may be a thousandth of them.
    """
    return int(2 ** min(29, (window_ns // 1000).bit_length() + 1) - 1)


def _previous(weight: int, window_ns: int, left_ns: int, wait_ns: int) -> int:
    """The count that weighs at most `weight` now, and one less when the wait is over."""
    if weight <= 0:
        return 0
    if wait_ns < left_ns:
        return (weight - 1) * window_ns // (left_ns - wait_ns)
    return weight * window_ns // left_ns


def _counts(amount: int) -> bool:
    if amount < 0:
        raise InvalidArgument(f"amount {amount}", "an amount is 0 or more")
    return amount > 0


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")
