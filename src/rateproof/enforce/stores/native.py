"""The native core's tables: they lock and share by themselves."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rateproof.enforce.counters import Counters
from rateproof.enforce.decision import Answer, Ruling
from rateproof.enforce.stores.location import Place
from rateproof.enforce.stores.tables import TableStore, ruling_of
from rateproof.errors import StoreError
from rateproof.policy import Quota

if TYPE_CHECKING:
    from rateproof._native import Table

__all__ = ["NativeLedger", "NativeStore"]


class NativeStore(TableStore["Table", "NativeLedger"]):
    """The native core's tables in one place; see `TableStore`.

    Args:
        module: `rateproof._native`.
    """

    core = "native"

    def __init__(self, module: ModuleType, name: str | None, capacity: int) -> None:
        super().__init__(name, capacity)
        self._module = module

    def _open_table(self, path: Path | None, quota: Quota, _: Place | None) -> "Table":
        table: Table = self._module.Table(
            None if path is None else str(path),
            quota.algorithm,
            quota.limit,
            quota.window_ns,
            quota.burst,
            self._capacity,
        )
        return table

    def _open_ledger(self, quotas: Sequence[Quota], tables: Sequence["Table"]) -> "NativeLedger":
        return NativeLedger(self._module, quotas, tables)

    def _open_counters(self, path: Path | None, _: Place | None) -> Counters:
        counters: Counters = self._module.Counters(None if path is None else str(path))
        return counters

    def _release(self) -> None:
        # Each table unmaps itself when its last decision ends.
        for ledger in self._ledgers.values():
            ledger.close()


class NativeLedger:
    """The tables of one policy, decided together; see `Ledger`."""

    def __init__(
        self, module: ModuleType, quotas: Sequence[Quota], tables: Sequence["Table"]
    ) -> None:
        self.quotas = quotas
        self._tables = tuple(tables)
        self._hit_all = module.hit_all
        self._peek_all = module.peek_all

    def hit(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """Decide, and charge every table if every table admits."""
        tables = self._open_tables()
        admitted, told, busy = self._hit_all(tables, key, cost, now_ns)
        answers = [Answer._make(each) for each in told]
        rest = [index for index, answer in enumerate(answers) if not answer.full]
        if busy or not skip_full or len(rest) in {0, len(answers)}:
            # Without the lock nobody knows whether the key is: `on_full` does not decide.
            return ruling_of(admitted, answers, skip_full=skip_full and not busy)
        # A full table may find room between the two calls: it is left out all the same.
        left = [tables[index] for index in rest]
        admitted, told, busy = self._hit_all(left, key, cost, now_ns)
        for index, each in zip(rest, told, strict=True):
            answers[index] = Answer._make(each)
        # A table that filled up in between denies this once, which is stricter only.
        return ruling_of(admitted, answers, skip_full=admitted or not busy)

    async def ahit(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> Ruling:
        """`hit`, which waits for nothing."""
        return self.hit(key, cost, now_ns, skip_full=skip_full)

    def peek(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """What `hit` would decide, changing nothing."""
        told = self._peek_all(self._open_tables(), key, cost, now_ns)
        answers = [Answer._make(each) for each in told]
        admitted = all(answer.admitted or (skip_full and answer.full) for answer in answers)
        return ruling_of(admitted, answers, skip_full=skip_full)

    def reset(self, key: bytes) -> None:
        """Forget every admission of the key."""
        for table in self._open_tables():
            table.reset(key)

    def clear(self) -> None:
        """Forget every admission of every key."""
        for table in self._open_tables():
            table.clear()

    def census(self, now_ns: int | None) -> Sequence[tuple[int, int]]:
        """For each quota (live keys, slots)."""
        return [table.census(now_ns) for table in self._open_tables()]

    @property
    def source(self) -> "tuple[Table, ...]":
        """What the native core decides by alone; see `Ledger`."""
        return self._open_tables()

    def close(self) -> None:
        """Let go of the tables."""
        self._tables = ()

    def _open_tables(self) -> tuple["Table", ...]:
        if not self._tables:
            raise StoreError("the limiter is closed", "open another one")
        return self._tables
