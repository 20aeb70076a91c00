"""A store of tables in shared memory, whichever core's: one table for each quota.

`memory://` keeps them on anonymous mappings that forked children share,
`shm://NAME` in files (see `location`).
"""

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from rateproof.enforce.algorithms import RULES
from rateproof.enforce.counters import Counters
from rateproof.enforce.decision import Answer, Ruling
from rateproof.enforce.stores.location import Place, enter
from rateproof.errors import InvalidArgument, StoreError
from rateproof.policy import Quota
from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.policy.token_bucket import TOKEN_BUCKET

__all__ = ["TableStore", "check_quota", "ruling_of"]

MAX_WINDOW_NS = 2**59
MAX_ADMISSIONS = 2**32

T = TypeVar("T")
L = TypeVar("L")


def check_quota(quota: Quota, capacity: int) -> None:
    """Whether a table can count it (the bounds of the native layout hold for both cores).

    Raises:
        InvalidArgument: it cannot, naming the bound.
    """
    if quota.algorithm not in RULES:
        raise InvalidArgument(
            f"{str(quota)!r} can be judged but not enforced: nothing here delays requests",
            f"one of {', '.join(RULES)}",
        )
    record = quota.record
    if quota.limit > record.max_limit:
        raise InvalidArgument(
            f"limit {quota.limit} of {str(quota)!r} is more than a {record.name} counts",
            f"a limit of 1 to {record.max_limit}, or {TOKEN_BUCKET.name} or {FIXED_WINDOW.name}",
        )
    if quota.window_ns > MAX_WINDOW_NS:
        raise InvalidArgument(
            f"the window of {str(quota)!r} is longer than a store remembers",
            "a window of at most 18 years (2**59 ns)",
        )
    least_ns = record.least_window_ns(quota.limit)
    if quota.window_ns < least_ns:
        raise InvalidArgument(
            f"the window of {str(quota)!r} is too short for its limit",
            f"a window of at least {least_ns} ns, or a smaller limit",
        )
    if record.has_burst and quota.memory_ns > MAX_WINDOW_NS:
        raise InvalidArgument(
            f"{str(quota)!r} takes longer than 18 years to refill", "a smaller burst"
        )
    words = record.words(quota.limit)
    if capacity * words > MAX_ADMISSIONS:
        raise InvalidArgument(
            f"capacity {capacity} for {str(quota)!r} counts more than 2**32 admissions",
            f"a capacity of 1 to {MAX_ADMISSIONS // words}",
        )


class TableStore(ABC, Generic[T, L]):
    """Tables of one core; what differs between the cores is in its subclasses.

    Args:
        name: of `shm://NAME`; None for `memory://`.
        capacity: of each table.
    """

    core: ClassVar[str]
    local: ClassVar[None] = None

    def __init__(self, name: str | None, capacity: int) -> None:
        self._name = name
        self._capacity = capacity
        self._mutex = threading.Lock()
        _every_store.add(self)
        self._tables: dict[Quota, T] = {}
        self._ledgers: dict[tuple[Quota, ...], L] = {}
        self._counters: Counters | None = None
        self._closed = False

    def ledger(self, quotas: Sequence[Quota]) -> L:
        """The ledger of these quotas; see `Store`."""
        quotas = tuple(quotas)
        with self._mutex:
            self._check_open()
            if quotas in self._ledgers:
                return self._ledgers[quotas]
            for quota in quotas:
                check_quota(quota, self._capacity)
            missing = [quota for quota in quotas if quota not in self._tables]
            if missing:
                with self._entered() as place:
                    for quota in missing:
                        path = None if place is None else place.table(quota, self.core)
                        with _undone(path):
                            self._tables[quota] = self._open_table(path, quota, place)
            tables = [self._tables[quota] for quota in quotas]
            self._ledgers[quotas] = self._open_ledger(quotas, tables)
            return self._ledgers[quotas]

    def counters(self) -> Counters:
        """The counters of all who share the store; see `Store`."""
        with self._mutex:
            self._check_open()
            if self._counters is None:
                with self._entered() as place:
                    path = None if place is None else place.counters(self.core)
                    with _undone(path):
                        self._counters = self._open_counters(path, place)
            return self._counters

    def retain(self, quotas: Sequence[Quota]) -> None:
        """Let go of the tables of other quotas; see `Store`."""
        with self._mutex:
            self._ledgers = {
                kept: ledger for kept, ledger in self._ledgers.items() if set(kept) <= set(quotas)
            }
            self._tables = {quota: self._tables[quota] for quota in self._tables if quota in quotas}

    def close(self) -> None:
        """Let go of the tables, once or more often."""
        with self._mutex:
            if not self._closed:
                self._closed = True
                self._release()
                self._ledgers.clear()
                self._tables.clear()

    @abstractmethod
    def _open_table(self, path: Path | None, quota: Quota, place: Place | None) -> T: ...

    @abstractmethod
    def _open_ledger(self, quotas: Sequence[Quota], tables: Sequence[T]) -> L: ...

    @abstractmethod
    def _open_counters(self, path: Path | None, place: Place | None) -> Counters: ...

    @abstractmethod
    def _release(self) -> None:
        """Let go of what ledgers and tables hold; both are forgotten next."""

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the limiter is closed", "open another one")

    @contextmanager
    def _entered(self) -> Iterator[Place | None]:
        with ExitStack() as entered:
            yield None if self._name is None else entered.enter_context(enter(self._name))

    def renew_mutex(self) -> None:
        """In a forked child: the thread that held it does not exist here."""
        self._mutex = threading.Lock()


_every_store: "weakref.WeakSet[TableStore[Any, Any]]" = weakref.WeakSet()


def _renew_mutexes() -> None:
    for store in list(_every_store):
        store.renew_mutex()


os.register_at_fork(after_in_child=_renew_mutexes)


def ruling_of(admitted: bool, answers: Sequence[Answer], *, skip_full: bool) -> Ruling:  # noqa: FBT001 - one word with its subject
    """What a ledger says, where some of its tables may have no room for the key.

    With `skip_full` a table without room lets it pass, so where another one
    denies, that one is the reason, and the wait.
    """
    if not any(answer.full for answer in answers):
        return Ruling(admitted, answers)
    counted = [answer for answer in answers if not answer.full]
    if not skip_full or all(answer.admitted for answer in counted):
        return Ruling(admitted or (skip_full and not counted), answers, "full")
    waits = [
        answer._replace(retry_after_ns=0, reset_after_ns=0) if answer.full else answer
        for answer in answers
    ]
    return Ruling(False, waits)  # noqa: FBT003 - `admitted`


@contextmanager
def _undone(path: Path | None) -> Iterator[None]:
    """A file that was not there before goes again if opening it fails."""
    new = path is not None and not path.exists()
    try:
        yield
    except BaseException:
        if path is not None and new:
            path.unlink(missing_ok=True)
        raise
