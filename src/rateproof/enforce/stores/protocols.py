"""Protocols: the methods that a limiter calls of a store, and of a policy's tables in it."""

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from rateproof.enforce.counters import DecisionCounters
from rateproof.enforce.decision import Ruling
from rateproof.policy import Quota

T = TypeVar("T")


class Ledger(Protocol):
    """The admissions under one policy: answers come in the order of its quotas.

    One that the native core can answer for by itself has a `source` beside: its
    tables in the order of the quotas, or the denials that are remembered of it.
    """

    quotas: Sequence[Quota]

    def hit(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """Decide for the key, and charge every quota if every quota admits.

        Args:
            key: any bytes.
            cost: 1 to the least burst of the quotas.
            now_ns: the time, 0 to 2**60 - 1; None: the store's own clock.
            skip_full: leave quotas out whose table has no room for the key.

        Raises:
            StoreError: the store is closed or failed.
            StoreUnreachable: it does not answer; nothing is known to be charged.
        """
        ...

    async def ahit(
        self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False
    ) -> Ruling:
        """`hit` for coroutines: where it waits for a network, others go on. By default it waits for none."""
        return self.hit(key, cost, now_ns, skip_full=skip_full)

    def peek(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """Say what `hit` would decide, changing nothing; `remaining` is what is free now."""
        ...

    def reset(self, key: bytes) -> None:
        """Forget every admission of the key."""
        ...

    def clear(self) -> None:
        """Forget every admission of every key."""
        ...


@runtime_checkable
class Tables(Ledger, Protocol):
    """A ledger of tables with a number of places."""

    def hit(
        self,
        key: bytes,
        cost: int,
        now_ns: int | None,
        *,
        skip_full: bool = False,
        charge: bool = True,
    ) -> Ruling:
        """Decide, and charge every table if every table admits; `charge` False: only say so."""
        ...

    def peek(self, key: bytes, cost: int, now_ns: int | None, *, skip_full: bool = False) -> Ruling:
        """Say what `hit` would decide, changing nothing."""
        return self.hit(key, cost, now_ns, skip_full=skip_full, charge=False)

    @property
    def slots(self) -> int:
        """Number of places in each table."""
        ...

    def sample(self, index: int, now_ns: int | None, turn: int, count: int) -> tuple[int, int]:
        """(live keys, places) among so many places of one table, others for each turn."""
        ...


class Store(Protocol):
    """A place where admissions are kept, open."""

    @property
    def local(self) -> bool | None:
        """True if tables of this process decide while it cannot be reached; None: it always can."""
        ...

    def ledger(self, quotas: Sequence[Quota]) -> Ledger:
        """Open or create what it keeps of these distinct quotas; cheap when asked again.

        Raises:
            InvalidArgument: a quota that this store cannot enforce.
            StoreMismatch: a table exists and has another capacity or layout.
            StoreError: it cannot be opened, or there is no room for it.
        """
        ...

    def counters(self) -> DecisionCounters:
        """The counters that all who share this store add to.

        Raises:
            StoreError: they cannot be opened.
        """
        ...

    def retain(self, quotas: Sequence[Quota]) -> None:
        """Let go of what this process holds for any other quotas, once their last decision ends.

        What is in the store stays there.
        """
        ...

    def close(self) -> None:
        """Let go of everything, once or more often; deciding afterwards is a StoreError."""
        ...


def at_once(decision: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing, as `hit` and `ahit` have one body."""
    try:
        decision.send(None)
    except StopIteration as end:
        done: T = end.value
        return done
    raise RuntimeError("it waits")
