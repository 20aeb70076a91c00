"""The native core's tables, one for each quota: they lock and share by themselves.

`memory://` keeps them on mappings that forked children share, `shm://NAME` in files
(see `location`).
"""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

from rateproof.enforce.counters import DecisionCounters
from rateproof.enforce.decision import Answer, Ruling
from rateproof.enforce.stores.forks import in_children
from rateproof.enforce.stores.location import COUNTERS_FILE, directory_of, locked_folder, table_file
from rateproof.enforce.stores.protocols import Tables
from rateproof.enforce.stores.tables import check_quota, ruling_of
from rateproof.errors import StoreError
from rateproof.policy import Quota

if TYPE_CHECKING:
    from rateproof._native import Table

PATIENCE_S = 0.1
"""Time that closing waits for another thread: as long as a decision for another process."""


class NativeStore:
    """The native core's tables in one place; see `Store`."""

    local: ClassVar[None] = None

    def __init__(self, module: ModuleType, name: str | None, capacity: int) -> None:
        self._module = module
        self._name = name
        self._capacity = capacity
        self._mutex = threading.Lock()
        self._tables: dict[Quota, Table] = {}
        self._ledgers: dict[tuple[Quota, ...], NativeLedger] = {}
        self._counters: DecisionCounters | None = None
        self._closed = False
        in_children(self, NativeStore.renew_mutex)

    def ledger(self, quotas: Sequence[Quota]) -> "NativeLedger":
        """The ledger of these quotas; see `Store`."""
        quotas = tuple(quotas)
        with self._mutex:
            self._check_open()
            if quotas in self._ledgers:
                return self._ledgers[quotas]
            for quota in quotas:
                check_quota(quota, self._capacity)
            missing = [quota for quota in quotas if quota not in self._tables]
            with self._folder() if missing else nullcontext():
                for quota in missing:
                    self._tables[quota] = self._opened(quota)
            tables = [self._tables[quota] for quota in quotas]
            self._ledgers[quotas] = NativeLedger(self._module, quotas, tables)
            return self._ledgers[quotas]

    def counters(self) -> DecisionCounters:
        """The counters of all who share the store; see `Store`."""
        with self._mutex:
            self._check_open()
            if self._counters is None:
                with self._folder():
                    path = self._path(COUNTERS_FILE)
                    self._counters = self._module.Counters(path, alone=not self._tables)
            return self._counters

    def retain(self, quotas: Sequence[Quota]) -> None:
        """Let go of the tables of other quotas; see `Store`."""
        with self._mutex:
            self._ledgers = {
                kept: ledger for kept, ledger in self._ledgers.items() if set(kept) <= set(quotas)
            }
            self._tables = {quota: self._tables[quota] for quota in self._tables if quota in quotas}

    def close(self) -> None:
        """Let go of the tables, once or more often. Each is unmapped when its last decision ends.

        Raises:
            StoreError: another thread opens a table and does not come to its end.
        """
        if not self._mutex.acquire(timeout=PATIENCE_S):
            raise StoreError("cannot close the limiter: another thread opens it", "try again")
        try:
            self._closed = True
            for ledger in self._ledgers.values():
                ledger.close()
            self._ledgers.clear()
            self._tables.clear()
        finally:
            self._mutex.release()

    def renew_mutex(self) -> None:
        """In a forked child: the thread that held it does not exist here."""
        self._mutex = threading.Lock()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the limiter is closed", "open another one")

    def _folder(self) -> AbstractContextManager[object]:
        return nullcontext() if self._name is None else locked_folder(self._name)

    def _path(self, file: str) -> str | None:
        return None if self._name is None else str(directory_of(self._name) / file)

    def _opened(self, quota: Quota) -> "Table":
        table: Table = self._module.Table(
            self._path(table_file(quota)),
            quota.algorithm,
            quota.limit,
            quota.window_ns,
            quota.burst,
            self._capacity,
            quota.parameter,
        )
        return table


class NativeLedger(Tables):
    """The tables of one policy, decided together; see `Ledger`."""

    def __init__(
        self, module: ModuleType, quotas: Sequence[Quota], tables: Sequence["Table"]
    ) -> None:
        self.quotas = quotas
        self._tables = tuple(tables)
        self._hit_all = module.hit_all

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
        tables = self._open_tables()
        admitted, told, busy = self._hit_all(tables, key, cost, now_ns, charge)
        answers = [Answer._make(each) for each in told]
        rest = [index for index, answer in enumerate(answers) if not answer.full]
        if busy or not skip_full or len(rest) in {0, len(answers)}:
            # Without the lock nobody knows whether the key is: `on_full` does not decide.
            return ruling_of(answers, admitted=admitted, skip_full=skip_full and not busy)
        # A full table may find room between the two calls: it is left out all the same.
        left = [tables[index] for index in rest]
        admitted, told, busy = self._hit_all(left, key, cost, now_ns, charge)
        for index, each in zip(rest, told, strict=True):
            answers[index] = Answer._make(each)
        # A table that filled up in between denies this once, which is stricter only.
        return ruling_of(answers, admitted=admitted, skip_full=admitted or not busy)

    def reset(self, key: bytes) -> None:
        """Forget every admission of the key."""
        for table in self._open_tables():
            table.reset(key)

    def clear(self) -> None:
        """Forget every admission of every key."""
        for table in self._open_tables():
            table.clear()

    @property
    def slots(self) -> int:
        """Number of places in each table."""
        return self._open_tables()[0].slots

    def sample(self, index: int, now_ns: int | None, turn: int, count: int) -> tuple[int, int]:
        """(live keys, places) among `count` places of one table, others for each turn."""
        return self._open_tables()[index].census(now_ns, turn, count)

    @property
    def source(self) -> "tuple[Table, ...]":
        """The tables, by which the native core decides alone; see `Ledger`."""
        return self._open_tables()

    def close(self) -> None:
        """Let go of the tables."""
        self._tables = ()

    def _open_tables(self) -> tuple["Table", ...]:
        if not self._tables:
            raise StoreError("the limiter is closed", "open another one")
        return self._tables
