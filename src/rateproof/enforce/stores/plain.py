"""Tables in plain Python, for the threads of one process: a dict for each quota, one lock for all.

They are `memory://` where nothing is compiled, and what every other store is compared with.

*Time never goes back*: a reading older than the latest decision of a table counts as that, so
a key that was forgotten because it no longer bound anybody is not missed afterwards.

A signal handler may raise at any instruction, and loosens nothing: a permit is burnt at worst.
It must not ask for a decision, which its own thread may be making.
"""

import threading
import time
from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace
from typing import ClassVar

from rateproof.enforce.algorithms import RULES, State
from rateproof.enforce.counters import Count
from rateproof.enforce.decision import Answer, Ruling, without_room
from rateproof.enforce.stores.forks import in_children
from rateproof.enforce.stores.protocols import Tables
from rateproof.enforce.stores.tables import check_quota, ruling_of
from rateproof.errors import StoreError
from rateproof.policy import Quota

_CLOSED = ("the limiter is closed", "open another one")
_FORKED = (
    "memory:// was opened before this process was forked, and is not shared with it",
    "open a limiter in each process, or install the native core, which shares it",
)


class PlainStore:
    """The tables and counters of one process; see `Store` and `DecisionCounters`.

    A forked child has none: what it admitted would be admitted again by its parent.

    Args:
        capacity: how many keys can be live at once in each table.
        anew: a forked child begins with empty ones instead.
    """

    local: ClassVar[None] = None

    def __init__(self, capacity: int, *, anew: bool = False) -> None:
        self._capacity = capacity
        self._anew = anew
        self._tables: dict[Quota, _Table] = {}
        self._over: tuple[str, str] | None = None
        self.begin()
        in_children(self, PlainStore.begin_in_child)

    @property
    def lock(self) -> threading.Lock:
        """The lock of an open store.

        Raises:
            StoreError: it is closed, or this process was forked from the one that opened it.
        """
        if self._over is not None:
            raise StoreError(*self._over)
        return self._lock

    def begin(self) -> None:
        """Count from nothing, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._counts = [0] * len(Count)
        for table in self._tables.values():
            table.begin()

    def ledger(self, quotas: Sequence[Quota]) -> "PlainLedger":
        """The ledger of these quotas; see `Store`."""
        with self.lock:
            for quota in quotas:
                if quota not in self._tables:
                    check_quota(quota, self._capacity)
                    self._tables[quota] = _Table(quota, self._capacity)
            return PlainLedger(self, quotas, [self._tables[quota] for quota in quotas])

    def counters(self) -> "PlainStore":
        """The counters of this process; see `Store`."""
        with self.lock:
            return self

    def add(self, which: int) -> None:
        """One more of `which`; see `DecisionCounters`."""
        with self.lock:
            self._counts[Count(which)] += 1

    def totals(self) -> tuple[int, ...]:
        """The number of each; see `DecisionCounters`."""
        with self.lock:
            return tuple(self._counts)

    def retain(self, quotas: Sequence[Quota]) -> None:
        """Let go of the tables of other quotas; see `Store`."""
        with self._lock:
            self._tables = {quota: self._tables[quota] for quota in self._tables if quota in quotas}

    def close(self) -> None:
        """Let go of the tables, once or more often."""
        self._over = self._over or _CLOSED

    def begin_in_child(self) -> None:
        """In a forked child: the thread that held the lock does not exist here."""
        self.begin()
        if not self._anew:
            self._over = self._over or _FORKED


class PlainLedger(Tables):
    """The tables of one policy, decided together: several quotas are all or nothing; see `Ledger`."""

    def __init__(
        self, store: PlainStore, quotas: Sequence[Quota], tables: Sequence["_Table"]
    ) -> None:
        self.quotas = quotas
        self._store = store
        self._tables = tables

    def hit(
        self,
        key: bytes,
        cost: int,
        now_ns: int | None,
        *,
        skip_full: bool = False,
        charge: bool = True,
    ) -> Ruling:
        """Decide, and charge every table if every table admits; see `Tables`."""
        with self._store.lock:
            read_ns = time.monotonic_ns() if now_ns is None else now_ns
            now_ns = max(read_ns, *(table.latest_ns for table in self._tables))
            lag_ns = now_ns - read_ns
            answers = [table.look(key, cost, now_ns, lag_ns) for table in self._tables]
            admitted = all(found.admitted or (skip_full and found.full) for found in answers)
            for index, table in enumerate(self._tables if charge else ()):
                table.latest_ns = now_ns
                if admitted and not answers[index].full:
                    answers[index] = table.charge(key, cost, now_ns, lag_ns)
        return ruling_of(answers, admitted=admitted, skip_full=skip_full)

    def reset(self, key: bytes) -> None:
        """Forget every admission of the key."""
        with self._store.lock:
            for table in self._tables:
                table.forget(key)

    def clear(self) -> None:
        """Forget every admission of every key."""
        with self._store.lock:
            for table in self._tables:
                table.begin()

    @property
    def slots(self) -> int:
        """Number of keys that each table has room for."""
        return self._tables[0].capacity

    def sample(self, index: int, now_ns: int | None, *_: int) -> tuple[int, int]:
        """Count the keys of one table that are bound, and its places."""
        with self._store.lock:
            now_ns = time.monotonic_ns() if now_ns is None else now_ns
            return self._tables[index].live(now_ns), self.slots


class _Table:
    """The states of one quota, with room for so many keys. Used under the store's lock."""

    def __init__(self, quota: Quota, capacity: int) -> None:
        self.quota, self.capacity, self.latest_ns = quota, capacity, 0
        self._rule = RULES[quota.algorithm]
        self._unseen = (0,) * self._rule.width(quota)
        self.begin()

    def begin(self) -> None:
        self._states: dict[bytes, State] = {}
        # A heap: for each key when it may be idle, or before, and some of keys without a state,
        # so that an exception between two steps harms nothing. Who is first is looked at again.
        self._ends: list[tuple[int, bytes]] = []

    def look(self, key: bytes, cost: int, now_ns: int, lag_ns: int) -> Answer:
        """Answer the key before it is charged, to whoever has read the time `lag_ns` ago."""
        state = self._states.get(key)
        room_in_ns = 0 if state else self._room_in_ns(now_ns)
        if room_in_ns:
            return without_room(room_in_ns + lag_ns)
        state = state or self._unseen
        wait_ns = self._rule.retry_after_ns(self.quota, state, now_ns, cost)
        return self._answer(state, wait_ns, now_ns, lag_ns)

    def charge(self, key: bytes, cost: int, now_ns: int, lag_ns: int) -> Answer:
        """Admit `cost`, which `look` has found to fit just now."""
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= self.capacity:
                del self._states[self._ends[0][1]]  # idle, as `look` has found
                heappop(self._ends)
            if len(self._ends) >= 2 * self.capacity:  # half of them at least were forgotten
                self._ends = sorted((0, kept) for kept in self._states)
            heappush(self._ends, (0, key))
        state = self._rule.charged(self.quota, state or self._unseen, now_ns, cost)
        self._states[key] = state
        return self._answer(state, 0, now_ns, lag_ns)

    def forget(self, key: bytes) -> None:
        self._states.pop(key, None)

    def live(self, now_ns: int) -> int:
        rest_ns = self._rule.reset_after_ns
        return sum(rest_ns(self.quota, state, now_ns) > 0 for state in self._states.values())

    def _room_in_ns(self, now_ns: int) -> int:
        """The wait until there is room for one more key; 0 also if the first of `_ends` is idle."""
        while len(self._states) >= self.capacity:
            end_ns, key = self._ends[0]
            if key not in self._states:
                heappop(self._ends)
                continue
            wait_ns = self._rule.reset_after_ns(self.quota, self._states[key], now_ns)
            if wait_ns == 0 or now_ns + wait_ns == end_ns:
                return wait_ns
            heapreplace(self._ends, (now_ns + wait_ns, key))
        return 0

    def _answer(self, state: State, wait_ns: int, now_ns: int, lag_ns: int) -> Answer:
        reset_ns = self._rule.reset_after_ns(self.quota, state, now_ns)
        return Answer(
            admitted=wait_ns == 0,
            full=False,
            remaining=self._rule.remaining(self.quota, state, now_ns),
            retry_after_ns=wait_ns + lag_ns if wait_ns else 0,
            reset_after_ns=reset_ns + lag_ns if reset_ns else 0,
        )
