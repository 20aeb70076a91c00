"""The greatest of a stretch of numbers, any stretch, in logarithmic time."""

from collections.abc import Sequence

__all__ = ["Peaks"]


class Peaks:
    """A tree of maxima: a node has the greater of the two below it.

    Args:
        values: the numbers.
    """

    def __init__(self, values: Sequence[int]) -> None:
        self._count = len(values)
        # Negated places, so that of equal values the first is the greatest.
        leaves = [(value, -at) for at, value in enumerate(values)]
        self._tree = [*leaves, *leaves]
        for node in range(self._count - 1, 0, -1):
            self._tree[node] = max(self._tree[2 * node], self._tree[2 * node + 1])

    def first(self, low: int, high: int) -> tuple[int, int]:
        """The greatest value from place `low` to before `high`, and its first place.

        Raises:
            ValueError: there is none.
        """
        found = []
        low, high = low + self._count, high + self._count
        while low < high:
            if low % 2:
                found.append(self._tree[low])
                low += 1
            if high % 2:
                high -= 1
                found.append(self._tree[high])
            low, high = low // 2, high // 2
        value, place = max(found)
        return value, -place
