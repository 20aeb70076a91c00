"""The native core's tables behind the same face as the reference's."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rateproof.enforce.decision import Answer
from rateproof.errors import StoreError

if TYPE_CHECKING:
    from rateproof._native import Table

__all__ = ["NativeStore"]

_HitAll = Callable[
    [Sequence["Table"], bytes, int, int | None],
    tuple[bool, list[tuple[bool, bool, int, int, int]]],
]


class NativeStore:
    """All tables of one policy. They lock and share by themselves.

    Args:
        tables: in the order of the answers.
        hit_all: the native core's decision over several tables, all or nothing.
    """

    def __init__(self, tables: Sequence["Table"], hit_all: _HitAll) -> None:
        self._tables = tuple(tables)
        self._hit_all = hit_all

    def hit(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> tuple[bool, list[Answer]]:
        """Decide, and stamp every table if every table admits; see `Store`."""
        tables = self._open_tables()
        if len(tables) == 1:
            answer = Answer(*tables[0].hit(key, cost, now_ns))
            return answer.admitted or (skip_full and answer.full), [answer]
        admitted, raw = self._hit_all(tables, key, cost, now_ns)
        answers = [Answer(*each) for each in raw]
        if not skip_full or not any(answer.full for answer in answers):
            return admitted, answers
        # A full table may find room between the two calls: it is left out all the same.
        rest = [index for index, answer in enumerate(answers) if not answer.full]
        if not rest:
            return True, answers
        admitted, raw = self._hit_all([tables[index] for index in rest], key, cost, now_ns)
        for index, each in zip(rest, raw, strict=True):
            answers[index] = Answer(*each)
        # A table that filled up in between denies this once, which is stricter only.
        return admitted, answers

    def peek(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> tuple[bool, list[Answer]]:
        """What `hit` would decide, changing nothing; see `Store`."""
        answers = [Answer(*table.peek(key, cost, now_ns)) for table in self._open_tables()]
        return all(answer.admitted or (skip_full and answer.full) for answer in answers), answers

    def reset(self, key: bytes, now_ns: int | None) -> None:
        """Forget every admission of the key."""
        for table in self._open_tables():
            table.reset(key, now_ns)

    def close(self) -> None:
        """Let go of the tables; each unmaps itself when its last decision ends."""
        self._tables = ()

    def _open_tables(self) -> tuple["Table", ...]:
        if not self._tables:
            raise StoreError("the limiter is closed", "open another one")
        return self._tables
