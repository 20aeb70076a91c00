"""Counters of decisions, for all who share a store."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from rateproof.policy import Quota


class Count(IntEnum):
    """Events that are counted, in the order in which they are stored.

    ADMITTED and DENIED are decisions, whoever made them: all that is counted
    but EXEMPT is in one of them. NEAR_LIMIT: admissions that left less than a
    fifth of a quota. FULL: decisions by `on_full`, for lack of room. ERROR: by
    `on_error` (`local` too), the store being unreachable, and StoreErrors raised. SHADOW:
    let pass by shadow mode alone. EXEMPT: not counted against any quota.
    CACHED: denials without a round trip. DELETED, which the store counts by itself: how
    often a process found it deleted, and went over to the one that was there then.
    FLOOD: those of FULL that had no place left for new keys of their address.
    """

    ADMITTED = 0
    DENIED = 1
    NEAR_LIMIT = 2
    FULL = 3
    ERROR = 4
    SHADOW = 5
    EXEMPT = 6
    CACHED = 7
    DELETED = 8
    FLOOD = 9


class DecisionCounters(Protocol):
    """Counters in shared memory: a process that dies takes none of its counts with it."""

    def add(self, which: int) -> None:
        """One more of `which`, a `Count`."""
        ...

    def totals(self) -> tuple[int, ...]:
        """Number of each `Count`, in its order, since the store was made."""
        ...


@dataclass(frozen=True, slots=True)
class Stats:
    """Decisions since the store was made, by all who share it, and the room left in it.

    `tables` has (live keys, slots) of each quota of the policy, nothing where the store does not
    know. `unreadable` has the others whose table is not to be had now, and why.
    """

    counts: dict[Count, int]
    tables: dict[Quota, tuple[int, int]]
    unreadable: dict[Quota, str] = field(default_factory=dict)
