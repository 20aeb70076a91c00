"""The fixed window: N in each window of length W on the clock, up to 2N across a boundary.

Windows begin at the multiples of W. The state is how many were admitted in the
latest window that admitted any, and when that ends. Admit iff count + cost <= N,
where after its end the count is 0.

*Gap.* m admissions in a row touch at least ceil(m/N) windows, of which all but
the first and the last are spanned whole: W*(ceil(m/N) - 2), and at least 0.

*Boundary.* A multiple of W is in the window that it begins.

*Order.* The count is stored first: where the end changes too, it counts for a
window that is over. So nothing is charged until the last number is stored.
"""

from rateproof.policy import Quota


def width(_: Quota) -> int:
    """The count, and the end of its window."""
    return 2


def retry_after_ns(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> int:
    """Until the window ends, if it has no room for `cost`."""
    return state[1] - now_ns if count(state, now_ns) + cost > quota.limit else 0


def charged(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> tuple[int, ...]:
    """Count `cost` in the window of `now_ns`."""
    return count(state, now_ns) + cost, (now_ns // quota.window_ns + 1) * quota.window_ns


def remaining(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """Admissions left in the window of `now_ns`."""
    return quota.limit - count(state, now_ns)


def reset_after_ns(_: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """Until the window ends, if it has counted anything."""
    return max(0, state[1] - now_ns)


def count(state: tuple[int, ...], now_ns: int) -> int:
    """The count of the window that is open; 0 when it is over."""
    return state[0] if now_ns < state[1] else 0
