"""Blocks: at most N in any window of length W, at the cost of a number for each of K blocks.

For limits that are too large for a log. Time is cut into blocks of b = ceil(W/K) ns, at the
multiples of b. An admission counts in its block, and as long as that block is the one that is
open or one of the K before it. Admit iff what counts, and `cost`, are at most N.

The state is K + 1 counts, which blocks take in turn (block j the one at j mod K + 1), and the
index of the latest block that admitted anything. Counts of blocks that are K + 1 or more
behind are of no meaning.

*Gap.* An admission at t in block j counts to the end of block j + K, which is (j + K + 1)*b, more
than K*b >= W after t. So all admissions of a half-open window of length W count when the
last of them is decided, and are at most N: the gap of the sliding log holds.

*Nothing is denied that could pass* at N in each (K + 1)*b, the record's memory: what counts at
`now`, in block i, was admitted at (i - K)*b or later, which is less than (K + 1)*b ago. So each
admission comes back at most b, and the rounding of K*b, later than a log would give it back.

*Boundary.* A multiple of b is in the block that it begins. At (j + K + 1)*b block j is over.

*Order.* The counts are stored first. Where the index changes, the places that are written are those
of blocks that no longer count, now or later, whether they are read as of the old index or of
the new one. So nothing is charged, and nothing comes back, until the last number is stored.
"""

from collections.abc import Iterator

from rateproof.policy import Quota


def width(quota: Quota) -> int:
    """The counts of the open block and of those before it, and the index of the latest."""
    return quota.parameter + 2


def retry_after_ns(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> int:
    """Until the oldest blocks are over whose counts are in the way."""
    lacking = cost - remaining(quota, state, now_ns)
    end_ns = now_ns
    for block, count in _counting(quota, state, now_ns):
        if lacking <= 0:
            break
        lacking -= count
        end_ns = (block + quota.parameter + 1) * _block_ns(quota)
    return end_ns - now_ns


def charged(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> tuple[int, ...]:
    """Count `cost` in the block of `now_ns`, and nothing in those since the latest."""
    counts = [0] * (quota.parameter + 1)
    for block, count in _counting(quota, state, now_ns):
        counts[block % len(counts)] = count
    index = now_ns // _block_ns(quota)
    counts[index % len(counts)] += cost
    return (*counts, index)


def remaining(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """The limit without what counts."""
    return quota.limit - sum(count for _, count in _counting(quota, state, now_ns))


def reset_after_ns(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """Until the latest block is over that admitted anything."""
    return retry_after_ns(quota, state, now_ns, quota.limit)


def _counting(quota: Quota, state: tuple[int, ...], now_ns: int) -> Iterator[tuple[int, int]]:
    """The blocks that count at `now_ns`, and how many they admitted; the oldest first."""
    *counts, latest = state
    oldest = now_ns // _block_ns(quota) - quota.parameter
    for block in range(max(0, oldest), latest + 1):
        if count := counts[block % len(counts)]:
            yield block, count


def _block_ns(quota: Quota) -> int:
    return -(-quota.window_ns // quota.parameter)
