"""Windows and rates that people write: what lies in an interval is most likely the roundest."""

from math import sqrt
from typing import NamedTuple

from rateproof.units import UNIT_NS

__all__ = ["Guess", "rate_in", "window_in"]

_MS, _S, _M, _H, _D = (UNIT_NS[name] for name in ("ms", "s", "m", "h", "d"))
_MOST_RANK = 3
_MOST_PER_UNIT = 1_000
_PINNED = (1.13, 1.05, 1.015, 1.004)
"""The ratio of the bounds at which a value of that rank is taken for true."""
_CLOSE_NS = 8_000_000
"""Or how far apart in time: no closer than clocks and answers allow."""


class Guess(NamedTuple):
    """The roundest quotas between two bounds: `limit` per `window_ns`.

    Args:
        limit: 1 for a window.
        window_ns: its length.
        pinned: the bounds are so close that no other as round is likely.
    """

    limit: int
    window_ns: int
    pinned: bool


def window_in(low_ns: int, high_ns: int) -> Guess:
    """The roundest window from `low_ns` to `high_ns`; the middle one, to 3 digits, if none is."""
    return _roundest([(1, unit) for unit in (_D, _H, _M, _S, _MS)], low_ns, high_ns)


def rate_in(low_ns: int, high_ns: int) -> Guess:
    """The roundest rate whose interval is from `low_ns` to `high_ns`, such as 3 per 1s."""
    guess = _roundest(
        [(1, unit) for unit in (_H, _M, _S)] + [(0, unit) for unit in (_S, _M, _H)],
        low_ns,
        high_ns,
    )
    return guess if guess.pinned else window_in(low_ns, high_ns)


def _roundest(units: list[tuple[int, int]], low_ns: int, high_ns: int) -> Guess:
    """Of 1 per so many units, or (where that is 0) so many per unit."""
    middle_ns = sqrt(low_ns * high_ns)
    found: list[tuple[int, float, int, int]] = []
    for one, unit in units:
        numbers = (
            _few(-(-low_ns // unit), high_ns // unit)
            if one
            else _few(max(2, -(-unit // high_ns)), unit // low_ns)
        )
        for number in numbers:
            limit, window_ns = (1, number * unit) if one else (number, unit)
            distance_ns = abs(window_ns / limit - middle_ns)
            rank = _rank(number, unit) + (limit > _MOST_PER_UNIT)
            found.append((rank, distance_ns, limit, window_ns))
    ratio = high_ns / low_ns
    rank, _, limit, window_ns = min(found, default=(_MOST_RANK + 1, 0.0, 1, 0))
    if rank > _MOST_RANK:
        return Guess(1, _three_digits(middle_ns), ratio <= _PINNED[-1])
    close = rank <= 1 and high_ns - low_ns <= _CLOSE_NS
    return Guess(limit, window_ns, close or ratio <= _PINNED[rank])


def _few(first: int, last: int) -> range:
    """Some whole numbers from `first` to `last`, the round ones among them."""
    first = max(1, first)
    step = 10 ** max(0, len(str(max(1, last - first))) - 3)
    return range(-(-first // step) * step, last + 1, step)


def _rank(number: int, unit: int) -> int:
    """0 for the roundest, by how many digits it takes."""
    digits = str(number).rstrip("0")
    if digits in {"1", "2", "5"} or (unit >= _S and number in {15, 30}):
        return 0 if unit != _MS or number >= 10 else 1
    return min(len(digits), 4)


def _three_digits(ns: float) -> int:
    step: int = 10 ** max(0, len(str(int(ns))) - 3)
    return round(ns / step) * step
