"""The window that a first hit opens: N in each, up to 2N - 1 in a time of length W.

The state is how many were admitted in the latest window, and when that ends.
Admit iff count + cost <= N, where after its end the count is 0. An admission at
a count of 0 opens a window, which ends W later, rounded up to a multiple of
`unit_ns`: count and end fit one word of the native core.

*Gap.* Let m admissions in a row touch the windows 0 to j. Each window but the
first begins with one of them, and at least W after the one before. If the first
of the m opens window 0, they span j*W, and j >= ceil(m/N) - 1. If not, window 0
holds at most N - 1 of them, so that j >= floor(m/N), and they span (j - 1)*W,
from the opening of window 1. Either is at least W*(floor(m/N) - 1).

*Boundary.* A window is half-open: at its end it is over.

*Order.* The count is stored first: where the end changes too, it counts for a
window that is over. So nothing is charged until the last number is stored.
"""

from rateproof.enforce.algorithms.fixed_window import (
    count,
    remaining,
    reset_after_ns,
    retry_after_ns,
    width,
)
from rateproof.policy import Quota

__all__ = ["charged", "remaining", "reset_after_ns", "retry_after_ns", "unit_ns", "width"]


def unit_ns(quota: Quota) -> int:
    """The step between possible ends of windows: at most a quarter of N, in ns, or 1."""
    return 1 << max(0, quota.limit.bit_length() - 2)


def charged(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> tuple[int, ...]:
    """Count `cost` in the window that is open, or open one."""
    open_count, end_ns = count(state, now_ns), state[1]
    if open_count == 0:
        unit = unit_ns(quota)
        end_ns = -(-(now_ns + quota.window_ns) // unit) * unit
    return open_count + cost, end_ns
