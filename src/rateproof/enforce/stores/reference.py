"""The reference core's store: plain Python, slow and readable, exact between processes.

One lock serves all tables of a store, so several quotas are decided as one. A
process that dies while it holds the lock leaves tables that are stricter at
worst (see `reference_table`), and the kernel takes the lock from it.
"""

import time
from collections.abc import Sequence

from rateproof.enforce.decision import Answer
from rateproof.enforce.stores.locks import PATIENCE_S, FileLock
from rateproof.enforce.stores.reference_table import Table
from rateproof.errors import StoreError

__all__ = ["ReferenceStore"]


class ReferenceStore:
    """All tables of one policy under one lock: several quotas are all or nothing.

    Args:
        lock: held for each decision, given up by `close`.
        tables: in the order of the answers.
    """

    def __init__(self, lock: FileLock, tables: Sequence[Table]) -> None:
        self._lock = lock
        self._tables = tuple(tables)

    def hit(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> tuple[bool, list[Answer]]:
        """Decide, and stamp every table if every table admits; see `Store`."""
        with self._lock.held() as held:
            if not held:
                return skip_full, self._all_busy()
            now_ns, lag_ns = self._now_ns(now_ns)
            slots = []
            answers = []
            for table in self._tables:
                slot, found = _look(table, key, cost, now_ns)
                slots.append(slot)
                answers.append(found)
            if not _passes(answers, skip_full):
                return False, _as_read(answers, lag_ns)
            for index, (table, slot) in enumerate(zip(self._tables, slots, strict=True)):
                if slot is not None:
                    table.take(slot, key, cost, now_ns)
                    left = table.answer(slot, table.limit, now_ns)
                    answers[index] = left._replace(admitted=True, retry_after_ns=0)
            return True, _as_read(answers, lag_ns)

    def peek(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> tuple[bool, list[Answer]]:
        """What `hit` would decide, changing nothing; see `Store`."""
        with self._lock.held() as held:
            if not held:
                return skip_full, self._all_busy()
            now_ns, lag_ns = self._now_ns(now_ns)
            answers = [_look(table, key, cost, now_ns)[1] for table in self._tables]
            return _passes(answers, skip_full), _as_read(answers, lag_ns)

    def reset(self, key: bytes, now_ns: int | None) -> None:  # noqa: ARG002 - as in `Store`
        """Forget every admission of the key.

        Raises:
            StoreError: another process has held the lock for seconds.
        """
        with self._lock.held() as held:
            if not held:
                raise StoreError(
                    "the table stays locked by another process", "it may be stopped; try again"
                )
            self._check_open()
            for table in self._tables:
                slot = table.find(key)
                if slot is not None:
                    table.forget(slot)

    def close(self) -> None:
        """Unmap the tables and give up the lock; once is enough, more does no harm."""
        if not self._tables:
            return
        with self._lock.held():
            tables, self._tables = self._tables, ()
            for table in tables:
                table.close()
        if tables:
            self._lock.close()

    def _now_ns(self, asked_ns: int | None) -> tuple[int, int]:
        # Never before an earlier decision: a slot that was idle long enough to be
        # taken over was so for everybody after. How far the caller lags comes second.
        self._check_open()
        asked_ns = time.monotonic_ns() if asked_ns is None else asked_ns
        now_ns = max(asked_ns, *(table.latest_ns for table in self._tables))
        return now_ns, now_ns - asked_ns

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


def _look(table: Table, key: bytes, cost: int, now_ns: int) -> tuple[int | None, Answer]:
    """The slot to stamp, the key's own or one to claim, and the answer before stamping."""
    slot = table.find(key)
    if slot is None:
        slot, room_in_ns = table.room(key, now_ns)
        if slot is None:
            return None, _full(room_in_ns)
        return slot, table.answer(None, cost, now_ns)
    return slot, table.answer(slot, cost, now_ns)
