"""The exact sliding log, as plain functions of a sequence of stamps: the specification.

A limit of N in any window of length W is N machines, each busy for W after an
admission. A machine is a *cell*; its *stamp* is the time of the admission that
last took it, so it is busy while `now < stamp + W`. Admit iff `cost` cells are
free, and stamp those with `now`.

*Proof.* A cell is stamped again only when it is free, so the stamps in one cell
lie at least W apart. A half-open window of length W therefore holds at most one
stamp a cell, and at most N in all.

*Boundary.* Windows are half-open: exactly W after its stamp a cell is free again.

`stamps` are those of the cells ever taken, at most N, in any order; the other
cells are free. All times are integer ns of one clock that never steps back.
"""

from collections.abc import Iterable, Sequence

from rateproof.enforce.decision import Answer

__all__ = ["answer", "cells_to_take", "wait_ns"]


def wait_ns(stamps: Iterable[int], limit: int, window_ns: int, now_ns: int, count: int) -> int:
    """How long until `count` of the `limit` cells are free at once, if none is taken meanwhile.

    0 when they are free now. `count` is 1 to `limit`.

    >>> wait_ns([10, 12], limit=2, window_ns=5, now_ns=13, count=1)
    2
    >>> wait_ns([10, 12], limit=2, window_ns=5, now_ns=15, count=1)
    0
    """
    busy = sorted(stamp for stamp in stamps if now_ns < stamp + window_ns)
    missing = count - (limit - len(busy))
    return 0 if missing <= 0 else busy[missing - 1] + window_ns - now_ns


def answer(stamps: Sequence[int], limit: int, window_ns: int, now_ns: int, cost: int) -> Answer:
    """What the log answers to `cost` at `now_ns`, before anything is stamped.

    `remaining` is what is free now: the caller who then takes cells has `cost`
    less. `cost` is 1 to `limit`.
    """
    free = limit - sum(now_ns < stamp + window_ns for stamp in stamps)
    return Answer(
        admitted=free >= cost,
        full=False,
        remaining=free,
        retry_after_ns=wait_ns(stamps, limit, window_ns, now_ns, cost),
        reset_after_ns=wait_ns(stamps, limit, window_ns, now_ns, limit),
    )


def cells_to_take(cells: Sequence[int], cost: int) -> list[int]:
    """Which `cost` cells an admission stamps: those with the oldest stamps.

    `cells` holds the stamp of each cell, and less than any stamp in a cell never
    taken. When `cost` cells are free, the oldest are.

    >>> cells_to_take([7, 0, 3], cost=2)
    [1, 2]
    """
    return sorted(range(len(cells)), key=cells.__getitem__)[:cost]
