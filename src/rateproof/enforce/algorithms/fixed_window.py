"""The fixed window: N in each window of length W on the clock, up to 2N across a boundary.

Windows begin at the multiples of W. The state is how many were admitted in the
latest window that admitted any, and the index of that window, now // W. Admit
iff count + cost <= N, where in another window the count is 0.

*Gap.* m admissions in a row touch at least ceil(m/N) windows, of which all but
the first and the last are spanned whole: W*(ceil(m/N) - 2), and at least 0.

*Boundary.* A multiple of W is in the window that it begins.

*Order.* The count is stored first: where the index changes too, it counts for a
window that is over. So nothing is charged until the last number is stored.
"""

from rateproof.policy import Quota

__all__ = ["charged", "remaining", "reset_after_ns", "retry_after_ns", "width"]


def width(_: Quota) -> int:
    """The count, and the index of its window."""
    return 2


def retry_after_ns(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> int:
    """Until the next window begins, if this one has no room for `cost`."""
    if _count(quota, state, now_ns) + cost <= quota.limit:
        return 0
    return quota.window_ns - now_ns % quota.window_ns


def charged(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> tuple[int, ...]:
    """Count `cost` in the window of `now_ns`."""
    return _count(quota, state, now_ns) + cost, now_ns // quota.window_ns


def remaining(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """What the window of `now_ns` has left."""
    return quota.limit - _count(quota, state, now_ns)


def reset_after_ns(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """Until the next window begins, if this one has counted anything."""
    if _count(quota, state, now_ns) == 0:
        return 0
    return quota.window_ns - now_ns % quota.window_ns


def _count(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    count, index = state
    return count if index == now_ns // quota.window_ns else 0
