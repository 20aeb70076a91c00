"""The reference core's store: plain Python, slow and readable, exact between processes.

One lock serves all tables of a store, so several quotas are decided as one. A
process that dies while it holds the lock leaves tables that are stricter at
worst (see `reference_table`), and the kernel takes the lock from it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rateproof.enforce.counters import Counters
from rateproof.enforce.decision import Answer, Ruling
from rateproof.enforce.stores.location import Place
from rateproof.enforce.stores.locks import PATIENCE_S, FileLock, private_lock
from rateproof.enforce.stores.reference_counters import ReferenceCounters
from rateproof.enforce.stores.reference_table import Table
from rateproof.enforce.stores.tables import TableStore, ruling_of
from rateproof.errors import StoreError
from rateproof.policy import Quota

__all__ = ["ReferenceLedger", "ReferenceStore"]


class ReferenceStore(TableStore[Table, "ReferenceLedger"]):
    """The reference core's tables in one place, under one lock; see `TableStore`."""

    core = "python"

    def __init__(self, name: str | None, capacity: int) -> None:
        super().__init__(name, capacity)
        self._lock: FileLock | None = None
        self._own_counters: ReferenceCounters | None = None

    def _open_table(self, path: Path | None, quota: Quota, place: Place | None) -> Table:
        self._share_lock(place)
        return Table(path, quota, self._capacity)

    def _open_ledger(self, quotas: Sequence[Quota], tables: Sequence[Table]) -> "ReferenceLedger":
        return ReferenceLedger(self._share_lock(None), quotas, tables)

    def _open_counters(self, path: Path | None, place: Place | None) -> Counters:
        self._own_counters = ReferenceCounters(path, self._share_lock(place))
        return self._own_counters

    def _share_lock(self, place: Place | None) -> FileLock:
        if self._lock is None:
            self._lock = private_lock() if place is None else place.lock.share()
        return self._lock

    def _release(self) -> None:
        if self._lock is None:
            return
        with self._lock.held():
            for ledger in self._ledgers.values():
                ledger.close()
            for table in self._tables.values():
                table.close()
            if self._own_counters is not None:
                self._own_counters.close()
        self._lock.close()


class ReferenceLedger:
    """The tables of one policy under the store's lock: several quotas are all or nothing.

    Args:
        lock: held for each decision.
        quotas: what the tables count, in the same order.
        tables: in the order of the answers.
    """

    def __init__(self, lock: FileLock, quotas: Sequence[Quota], tables: Sequence[Table]) -> None:
        self.quotas = quotas
        self._lock = lock
        self._tables = tuple(tables)

    def hit(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """Decide, and charge every table if every table admits; see `Ledger`."""
        with self._lock.held() as held:
            if not held:
                return Ruling(False, self._all_busy(), "full")  # noqa: FBT003 - `admitted`
            now_ns, lag_ns = self._now_ns(now_ns)
            for table in self._tables:
                table.reach(now_ns)
            slots, answers = self._look(key, cost, now_ns)
            admitted = _passes(answers, skip_full)
            if admitted:
                for index, (table, slot) in enumerate(zip(self._tables, slots, strict=True)):
                    if slot is not None:
                        answers[index] = table.charge(slot, key, cost, now_ns)
            return ruling_of(admitted, _as_read(answers, lag_ns), skip_full=skip_full)

    async def ahit(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> Ruling:
        """`hit`, which waits for no network."""
        return self.hit(key, cost, now_ns, skip_full=skip_full)

    def peek(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """What `hit` would decide, changing nothing; see `Ledger`."""
        with self._lock.held() as held:
            if not held:
                return Ruling(False, self._all_busy(), "full")  # noqa: FBT003 - `admitted`
            now_ns, lag_ns = self._now_ns(now_ns)
            _, answers = self._look(key, cost, now_ns)
            admitted = _passes(answers, skip_full)
            return ruling_of(admitted, _as_read(answers, lag_ns), skip_full=skip_full)

    def reset(self, key: bytes) -> None:
        """Forget every admission of the key.

        Raises:
            StoreError: another process has held the lock for seconds.
        """
        with self._surely_held():
            for table in self._tables:
                slot = table.find(key)
                if slot is not None:
                    table.forget(slot)

    def clear(self) -> None:
        """Forget every admission of every key.

        Raises:
            StoreError: as for `reset`.
        """
        with self._surely_held():
            for table in self._tables:
                table.forget_all()

    def census(self, now_ns: int | None) -> Sequence[tuple[int, int]]:
        """For each quota (live keys, slots); see `Ledger`."""
        with self._lock.held() as held:
            if not held:
                return []
            now_ns, _ = self._now_ns(now_ns)
            return [table.census(now_ns) for table in self._tables]

    def close(self) -> None:
        """Decide no more. Under the lock."""
        self._tables = ()

    def _look(self, key: bytes, cost: int, now_ns: int) -> tuple[list[int | None], list[Answer]]:
        """For each table the slot to charge, if it has one, and the answer before charging."""
        slots: list[int | None] = []
        answers = []
        for table in self._tables:
            slot, room_in_ns = table.find(key), 0
            if slot is None:
                slot, room_in_ns = table.room(key, now_ns)
            slots.append(slot)
            answers.append(_full(room_in_ns) if slot is None else table.look(slot, cost, now_ns))
        return slots, answers

    def _now_ns(self, asked_ns: int | None) -> tuple[int, int]:
        # Never before an earlier decision: a slot that was idle long enough to be
        # taken over was so for everybody after. How far the caller lags comes second.
        self._check_open()
        asked_ns = time.monotonic_ns() if asked_ns is None else asked_ns
        now_ns = max(asked_ns, *(table.latest_ns for table in self._tables))
        return now_ns, now_ns - asked_ns

    @contextmanager
    def _surely_held(self) -> Iterator[None]:
        with self._lock.held() as held:
            if not held:
                raise StoreError(
                    "the table stays locked by another process", "it may be stopped; try again"
                )
            self._check_open()
            yield

    def _check_open(self) -> None:
        if not self._tables:
            raise StoreError("the limiter is closed", "open another one")

    def _all_busy(self) -> list[Answer]:
        return [_full(round(PATIENCE_S * 1e9)) for _ in self._tables]


def _as_read(answers: list[Answer], lag_ns: int) -> list[Answer]:
    """The answers with waits counted from what the caller's clock reads."""
    if lag_ns == 0:
        return answers
    return [
        found._replace(
            retry_after_ns=found.retry_after_ns + lag_ns if found.retry_after_ns else 0,
            reset_after_ns=found.reset_after_ns + lag_ns if found.reset_after_ns else 0,
        )
        for found in answers
    ]


def _full(room_in_ns: int) -> Answer:
    return Answer(
        admitted=False,
        full=True,
        remaining=0,
        retry_after_ns=room_in_ns,
        reset_after_ns=room_in_ns,
    )


def _passes(answers: list[Answer], skip_full: bool) -> bool:  # noqa: FBT001 - private
    return all(found.admitted or (skip_full and found.full) for found in answers)
