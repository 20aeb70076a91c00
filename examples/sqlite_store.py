"""A store in SQLite that all processes of a machine share, with a row for each key and quota.

    limiter = Limiter("5 per 5s", store=SqliteStore("/run/user/1000/limits"))

An algorithm remembers a tuple of integers of a key, and `RULES` has each as pure functions of it.
The store keeps the tuples and lets nobody in between a look and a charge. Its times are of the
monotonic clock, which starts anew at boot: keep the file where a reboot clears it.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rateproof import Quota
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.counters import DecisionCounters
from rateproof.enforce.decision import Answer, Ruling
from rateproof.enforce.stores import open_store
from rateproof.errors import StoreError, StoreUnreachable


class SqliteStore:
    """Keeps the protocol `rateproof.enforce.stores.Store`."""

    local = None

    def __init__(self, path: str | Path) -> None:
        connection = sqlite3.connect(path, 30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS state (quota, key, words, PRIMARY KEY (quota, key))"
        )
        self.database: sqlite3.Connection | None = connection
        self.mutex = threading.Lock()
        self.beside = open_store("memory://", 1)  # for its counters

    def ledger(self, quotas: Sequence[Quota]) -> "SqliteLedger":
        """Make the ledger of one policy."""
        if self.database is None:
            raise StoreError("the store is closed")
        return SqliteLedger(self, quotas)

    def counters(self) -> DecisionCounters:
        """Those of a store beside it."""
        return self.beside.counters()

    def retain(self, quotas: Sequence[Quota]) -> None:
        """Nothing is held for a quota, so nothing is let go."""

    def close(self) -> None:
        """Let go of the file."""
        self.beside.close()
        with self.mutex:
            if self.database is not None:
                self.database.close()
            self.database = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The database, with nobody else in it."""
        with self.mutex:
            if self.database is None:
                raise StoreError("the store is closed")
            try:
                with self.database:  # commits, or rolls back
                    self.database.execute("BEGIN IMMEDIATE")
                    yield self.database
            except sqlite3.OperationalError as error:  # another process holds it, the disk is full
                raise StoreUnreachable(f"the database: {error}") from error


class SqliteLedger:
    """Keeps the protocol `rateproof.enforce.stores.Ledger`."""

    def __init__(self, store: SqliteStore, quotas: Sequence[Quota]) -> None:
        self.store = store
        self.quotas: Sequence[Quota] = tuple(quotas)

    def hit(self, key: bytes, cost: int, now_ns: int | None, **_: bool) -> Ruling:
        """Decide, and charge what is admitted. `skip_full` is for tables that may be full."""
        return self._decide(key, cost, now_ns, charge=True)

    async def ahit(self, key: bytes, cost: int, now_ns: int | None, **_: bool) -> Ruling:
        """As `hit`: no other task runs while it waits for the file."""
        return self.hit(key, cost, now_ns)

    def peek(self, key: bytes, cost: int, now_ns: int | None, **_: bool) -> Ruling:
        """Say what `hit` would decide, charging nothing."""
        return self._decide(key, cost, now_ns, charge=False)

    def _decide(self, key: bytes, cost: int, now_ns: int | None, *, charge: bool) -> Ruling:
        with self.store.transaction() as database:
            now_ns = time.monotonic_ns() if now_ns is None else now_ns
            found = [self._row(database, quota, key) for quota in self.quotas]
            now_ns = max(now_ns, *(latest_ns for latest_ns, _ in found))  # time never goes back
            states = [state for _, state in found]
            waits_ns = [
                RULES[quota.algorithm].retry_after_ns(quota, state, now_ns, cost)
                for quota, state in zip(self.quotas, states, strict=True)
            ]
            admitted = not any(waits_ns)
            if admitted and charge:
                for index, (quota, state) in enumerate(zip(self.quotas, states, strict=True)):
                    states[index] = RULES[quota.algorithm].charged(quota, state, now_ns, cost)
                    row = str(quota), key, json.dumps([now_ns, states[index]])
                    database.execute("REPLACE INTO state VALUES (?, ?, ?)", row)
        parts = zip(self.quotas, states, waits_ns, strict=True)
        return Ruling(admitted, [self._answer(*part, now_ns) for part in parts])

    def _answer(self, quota: Quota, state: tuple[int, ...], wait_ns: int, now_ns: int) -> Answer:
        rule = RULES[quota.algorithm]
        return Answer(
            admitted=wait_ns == 0,
            full=False,
            remaining=rule.remaining(quota, state, now_ns),
            retry_after_ns=wait_ns,
            reset_after_ns=rule.reset_after_ns(quota, state, now_ns),
        )

    def _row(
        self, database: sqlite3.Connection, quota: Quota, key: bytes
    ) -> tuple[int, tuple[int, ...]]:
        found = database.execute(
            "SELECT words FROM state WHERE quota = ? AND key = ?", (str(quota), key)
        ).fetchone()
        if found is None:
            return 0, (0,) * RULES[quota.algorithm].width(quota)
        latest_ns, state = json.loads(found[0])
        return latest_ns, tuple(state)

    def reset(self, key: bytes) -> None:
        """Forget one key."""
        with self.store.transaction() as database:
            for quota in self.quotas:
                database.execute("DELETE FROM state WHERE quota = ? AND key = ?", (str(quota), key))

    def clear(self) -> None:
        """Forget every key."""
        with self.store.transaction() as database:
            for quota in self.quotas:
                database.execute("DELETE FROM state WHERE quota = ?", (str(quota),))
