"""Windows and rates that people write: what lies in an interval is most likely the roundest."""

from math import sqrt
from typing import NamedTuple

from rateproof.units import UNIT_NS

_MS, _S, _M, _H, _D = (UNIT_NS[name] for name in ("ms", "s", "m", "h", "d"))
_MOST_RANK = 2
_MOST_PER_UNIT = 1_000
_CLOSE = 1 / 200
_INTERVALS = 2


class Figure(NamedTuple):
    """A quota between two bounds: `limit` per `window_ns`.

    Args:
        limit: 1 for a window.
        window_ns: its length.
        error_ns: how far the bounds are from it, of all of `window_ns`.
        round: True if it is the only round one that is possible, and close to all that is.
    """

    limit: int
    window_ns: int
    error_ns: int
    round: bool


def window_in(low_ns: int, high_ns: int, interval_ns: int) -> Figure:
    """The round window from `low_ns` to `high_ns`; the middle one, to 4 digits, if none is."""
    return _only([(1, unit) for unit in (_D, _H, _M, _S, _MS)], low_ns, high_ns, interval_ns)


def rate_in(low_ns: int, high_ns: int, interval_ns: int) -> Figure:
    """The round rate whose interval is from `low_ns` to `high_ns`, such as 3 per 1s."""
    figure = _only(
        [(1, unit) for unit in (_H, _M, _S)] + [(0, unit) for unit in (_S, _M, _H)],
        low_ns,
        high_ns,
        interval_ns,
    )
    return figure if figure.round else window_in(low_ns, high_ns, interval_ns)


def _only(units: list[tuple[int, int]], low_ns: int, high_ns: int, interval_ns: int) -> Figure:
    """Of 1 per so many units, or (where that is 0) so many per unit."""
    found: dict[float, tuple[int, int, int]] = {}
    for one, unit in units:
        numbers = (
            _few(-(-low_ns // unit), high_ns // unit)
            if one
            else _few(max(2, -(-unit // high_ns)), unit // low_ns)
        )
        for number in numbers:
            limit, window_ns = (1, number * unit) if one else (number, unit)
            rank = _rank(number, unit) + (limit > _MOST_PER_UNIT)
            each_ns = window_ns / limit
            found[each_ns] = min(
                found.get(each_ns, (rank, limit, window_ns)), (rank, limit, window_ns)
            )
    rank, limit, window_ns = min(found.values(), default=(_MOST_RANK + 1, 1, 0))
    if rank <= _MOST_RANK and sum(other[0] == rank for other in found.values()) == 1:
        each_ns = window_ns / limit
        error_ns = max(each_ns - low_ns, high_ns - each_ns)
        if error_ns <= max(_CLOSE * each_ns, _INTERVALS * interval_ns):
            return Figure(limit, window_ns, round(error_ns * limit), round=True)
    middle_ns = _digits(sqrt(low_ns * high_ns), high_ns - low_ns)
    return Figure(1, middle_ns, max(middle_ns - low_ns, high_ns - middle_ns), round=False)


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


def _digits(ns: float, width_ns: int) -> int:
    """As many digits as the bounds allow, four at most, and no part of a millisecond where they are further apart."""
    least = len(str(int(ns))) - 4
    step: int = 10 ** max(0, least, len(str(width_ns)) - 3)
    if width_ns > 2 * _MS:
        step = max(step, _MS)
    return max(1, round(ns / step) * step)
