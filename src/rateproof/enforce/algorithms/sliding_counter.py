"""The sliding counter: this window's count, and the last one's weighted by what overlaps.

Windows begin at the multiples of W. At e ns into one, admit iff
previous*(W - e)/W + current + cost <= N, kept exact by multiplying with W.

The state is two counts, which windows take in turn, and the index of the latest
window that admitted anything: an even window counts in the first, an odd one in
the second. Of an earlier latest window the current count is 0, and of one
earlier by more than 1 the previous is 0 too.

*Gap.* No window on the clock holds more than N, so that the gap of the fixed
window holds (see `fixed_window`), also where the weight is rounded down.

*In any time of length W* at most 2N - 1: it touches two windows, and while any
of the earlier overlaps, what was admitted in that weighs more than 0, so that
this one admits N - 1 at most. (Rounded down the weight is 0 too early: 2N.)

*Boundary.* A multiple of W is in the window that it begins, where all of the
last window still counts.

*Order.* The counts are stored first: where the index changes too, they are those
of windows that are over or not yet begun, for the count of the window just over
keeps its place. So nothing is charged until the last number is stored.
"""

from rateproof.policy import Quota


def width(_: Quota) -> int:
    """The counts of even and odd windows, and the index of the latest."""
    return 3


def retry_after_ns(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> int:
    """Until enough of the earlier window no longer overlaps.

    In this window if the counts of this one and `cost` fit into the limit, else
    in the next, where this one is the earlier.
    """
    if cost <= remaining(quota, state, now_ns):
        return 0
    window_ns = quota.window_ns
    index, elapsed_ns = divmod(now_ns, window_ns)
    previous, current = _counts(state, index)
    if current + cost <= quota.limit:
        return _room_after_ns(quota, previous, current + cost) - elapsed_ns
    return window_ns + _room_after_ns(quota, current, cost) - elapsed_ns


def charged(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> tuple[int, ...]:
    """Count `cost` in the window of `now_ns`."""
    index = now_ns // quota.window_ns
    previous, current = _counts(state, index)
    current += cost
    return (previous, current, index) if index % 2 else (current, previous, index)


def remaining(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """The most that could be counted, rounded down."""
    window_ns = quota.window_ns
    previous, current = _counts(state, now_ns // window_ns)
    weighted = previous * (window_ns - now_ns % window_ns)
    return (quota.limit * window_ns - weighted) // window_ns - current


def reset_after_ns(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """Until no window that overlaps has counted anything."""
    index, elapsed_ns = divmod(now_ns, quota.window_ns)
    previous, current = _counts(state, index)
    windows = 2 if current else 1 if previous else 0
    return max(0, windows * quota.window_ns - elapsed_ns)


def _counts(state: tuple[int, ...], index: int) -> tuple[int, int]:
    """Counts of the window before `index` and of that window itself."""
    *counts, latest = state
    previous = counts[1 - index % 2] if index - latest <= 1 else 0
    current = counts[index % 2] if index == latest else 0
    return previous, current


def _room_after_ns(quota: Quota, previous: int, count: int) -> int:
    """Time into a window at which `count` fits beside the weight of the window before, not 0."""
    window_ns = quota.window_ns
    return window_ns - (quota.limit - count) * window_ns // previous
