"""Where admissions are kept, so that every worker decides on the same ones."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Protocol

from rateproof.core import native as native_module  # a bare `native` is our submodule
from rateproof.enforce.decision import Answer
from rateproof.enforce.stores.location import Place, enter, parse_url, remove
from rateproof.errors import InvalidArgument
from rateproof.policy import Policy, Quota

__all__ = ["DEFAULT_CAPACITY", "MAX_CAPACITY", "Store", "distinct_quotas", "open_store", "remove"]

DEFAULT_CAPACITY = 65_536
MAX_CAPACITY = 2**26
_MAX_LIMIT = 65_536
_MAX_WINDOW_NS = 2**60
_MAX_ADMISSIONS = 2**32


class Store(Protocol):
    """The tables of one policy: one answer for each of its distinct quotas, in order."""

    def hit(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> tuple[bool, list[Answer]]:
        """Decide for the key, and charge every quota if every quota admits.

        Args:
            key: any bytes.
            cost: 1 to the least limit of the policy.
            now_ns: the time, 0 to 2**61 - 1; None: the machine's monotonic clock.
            skip_full: leave quotas out whose table has no room for the key.

        Returns:
            Whether it passes, and each quota's answer: after charging when it
            passes, as found when it does not.
        """
        ...

    def peek(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> tuple[bool, list[Answer]]:
        """What `hit` would decide, changing nothing; `remaining` is what is free now."""
        ...

    def reset(self, key: bytes, now_ns: int | None) -> None:
        """Forget every admission of the key."""
        ...

    def close(self) -> None:
        """Let go of the tables, once or more often."""
        ...


def open_store(url: str, policy: Policy, capacity: int = DEFAULT_CAPACITY) -> Store:
    """Open the tables of a policy, creating those that do not exist.

    Args:
        url: `memory://` for this process and the children it forks, or
            `shm://NAME` for every process of this user on this machine.
        policy: sliding logs only, so far.
        capacity: how many keys can be live at once, 1 to 2**26. A table takes
            13 bytes for each admission of each key, and not more than 2**36.

    Raises:
        InvalidArgument: one of these is not so.
        StoreMismatch: a table exists and is another core's, or has another
            capacity or layout.
        StoreError: it cannot be opened, or there is no room for it.
    """
    name = parse_url(url)
    _check(policy, capacity)
    quotas = distinct_quotas(policy)
    module = native_module()
    if module is not None:
        return _open_native(module, name, quotas, capacity)
    return _open_reference(name, quotas, capacity)


def distinct_quotas(policy: Policy) -> list[Quota]:
    """The quotas of the policy without repetition, in the order in which tables are taken.

    A quota that is written twice has one table: twice charged, it would admit half.
    """
    return sorted(set(policy.quotas), key=lambda quota: (quota.window_ns, quota.limit))


def _check(policy: Policy, capacity: int) -> None:
    for quota in policy.quotas:
        if quota.algorithm != "sliding-log":
            raise InvalidArgument(
                f"{quota.algorithm} in {str(policy)!r} is not enforced yet by this store",
                "sliding-log is",
            )
        if quota.limit > _MAX_LIMIT:
            raise InvalidArgument(
                f"limit {quota.limit} in {str(policy)!r} is more than a store counts",
                f"a limit of 1 to {_MAX_LIMIT}",
            )
        if quota.window_ns > _MAX_WINDOW_NS:
            raise InvalidArgument(
                f"the window of {str(quota)!r} is longer than a store remembers",
                "a window of at most 36 years (2**60 ns)",
            )
    if not isinstance(capacity, int) or isinstance(capacity, bool):
        raise TypeError(f"capacity is {type(capacity).__name__}, not int")
    if not 1 <= capacity <= MAX_CAPACITY:
        raise InvalidArgument(f"capacity {capacity}", f"a capacity is 1 to {MAX_CAPACITY}")
    largest = max(quota.limit for quota in policy.quotas)
    if capacity * largest > _MAX_ADMISSIONS:
        raise InvalidArgument(
            f"capacity {capacity} for {str(policy)!r} counts more than 2**32 admissions",
            f"a capacity of 1 to {_MAX_ADMISSIONS // largest}",
        )


def _open_native(module: ModuleType, name: str | None, quotas: list[Quota], capacity: int) -> Store:
    from rateproof.enforce.stores.native import NativeStore

    tables = []
    with ExitStack() as entered:
        place = None if name is None else entered.enter_context(enter(name))
        for quota in quotas:
            with _table_path(place, quota, "native") as path:
                file = None if path is None else str(path)
                tables.append(module.Table(file, quota.limit, quota.window_ns, capacity))
    return NativeStore(tables, module.hit_all)


def _open_reference(name: str | None, quotas: list[Quota], capacity: int) -> Store:
    from rateproof.enforce.stores.locks import private_lock
    from rateproof.enforce.stores.reference import ReferenceStore
    from rateproof.enforce.stores.reference_table import Table

    with ExitStack() as opened, ExitStack() as entered:
        place = None if name is None else entered.enter_context(enter(name))
        tables = []
        for quota in quotas:
            with _table_path(place, quota, "python") as path:
                tables.append(Table(path, quota.limit, quota.window_ns, capacity))
            opened.callback(tables[-1].close)
        lock = private_lock() if place is None else place.lock.share()
        opened.pop_all()
        return ReferenceStore(lock, tables)


@contextmanager
def _table_path(place: Place | None, quota: Quota, core: str) -> Iterator[Path | None]:
    """Where the table lies; a file that was not there before goes if opening it fails."""
    path = None if place is None else place.table(quota, core)
    new = path is not None and not path.exists()
    try:
        yield path
    except BaseException:
        if path is not None and new:
            path.unlink(missing_ok=True)
        raise
