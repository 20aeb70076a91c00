"""The exact sliding log: at most N admissions in any window of length W.

The limit is N machines, each busy for W after an admission. A machine is a
*cell*; the state holds for each cell the time from which it is free again.
Admit iff `cost` cells are free, and make them busy until `now + W`.

*Gap.* A cell is taken only when it is free, so the admissions of one cell lie at
least W apart. Of m admissions some cell has at least ceil(m/N): they span at
least W*(ceil(m/N) - 1) = W*floor((m-1)/N). A half-open window of length W holds
at most one admission a cell, N in all.

*Boundary.* Windows are half-open: exactly W after an admission its cell is free.

*Order.* Each number stored makes one more free cell busy.

Source: scheduling of jobs of equal length W on N machines (Simons 1983), see
section 2 of docs/theory.md.
"""

from rateproof.policy import Quota


def width(quota: Quota) -> int:
    """One for each cell."""
    return quota.limit


def retry_after_ns(_: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> int:
    """Until the cell that is the `cost`-th to be free is free."""
    return max(0, sorted(state)[cost - 1] - now_ns)


def charged(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> tuple[int, ...]:
    """Take the first `cost` free cells."""
    cells = list(state)
    free = [cell for cell, free_ns in enumerate(state) if free_ns <= now_ns]
    for cell in free[:cost]:
        cells[cell] = now_ns + quota.window_ns
    return tuple(cells)


def remaining(_: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """The free cells."""
    return sum(free_ns <= now_ns for free_ns in state)


def reset_after_ns(_: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """Until the last cell is free."""
    return max(0, max(state) - now_ns)
