"""The columns of a log in memory: typed arrays, or one value while all rows agree."""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, ClassVar, Final, Self

from rateproof import core

NULL: Final = -(2**63)
"""The integer that stands for None; among floats it is NaN."""


class Column:
    """Numbers of one type: an array, or one number for all rows while they are equal."""

    __slots__ = ("_length", "_same", "_values")
    typecode: ClassVar[str]

    def __init__(self) -> None:
        self._same: Any = 0
        self._length = 0
        self._values: array[Any] | memoryview | None = None

    @classmethod
    def of(cls, values: Any) -> Self:
        """A column from what can be read as bytes of its type, in native order.

        They are copied, but for bytes that nobody can change.
        """
        given: Any = memoryview(values).cast("B")
        numbers = given.cast(cls.typecode) if given.readonly else _copied(cls.typecode, given)
        column, view = cls(), memoryview(numbers)
        if not len(numbers):
            return column
        if view[1:] == view[:-1]:  # ends at the first that differs
            column.push(numbers[0], len(numbers))
        else:
            column._values = numbers
        return column

    def __len__(self) -> int:
        return self._length if self._values is None else len(self._values)

    @property
    def same(self) -> Any:
        """The number that all rows are known to have, None where they may differ."""
        return self._same if self._values is None else None

    @property
    def stored(self) -> Any:
        """One number for all rows, or a buffer with that of each; not to be changed."""
        return self._same if self._values is None else self._values

    def values(self) -> "array[Any]":
        """The number of every row, as it is stored; not to be changed by the caller."""
        if self._values is None:
            self._values = array(self.typecode, [self._same]) * self._length
        elif isinstance(self._values, memoryview):
            self._values = _copied(self.typecode, self._values)
        return self._values

    def extremes(self) -> tuple[Any, Any] | None:
        """The least and the greatest number; None where there is no row."""
        if self._values is None:
            return (self._same, self._same) if self._length else None
        native = core.native()
        if native is None or self.typecode == "d":
            return (min(self._values), max(self._values)) if len(self._values) else None
        ends: tuple[int, int] | None = native.extremes(self._values)
        return ends

    def take(self, rows: Sequence[int]) -> Self:
        """A column of these rows."""
        if self._values is None:
            column = type(self)()
            column.push(self._same, len(rows))
            return column
        return self.of(array(self.typecode, map(self._values.__getitem__, rows)))

    def push(self, number: Any, times: int = 1) -> None:
        """Add a row, or equal rows, as they are stored."""
        if not times:
            return
        if self._values is None:
            if not self._length:
                self._same = number
            if number == self._same or (math.isnan(number) and math.isnan(self._same)):
                self._length += times
                return
        values = self.values()
        if times == 1:
            values.append(number)
        else:
            values.extend(array(self.typecode, [number]) * times)

    def extend(self, other: Self) -> None:
        """Add the rows of another column."""
        if other._values is None:
            self.push(other._same, other._length)
        else:
            self.values().extend(other.values())


def _copied(typecode: str, given: memoryview) -> "array[Any]":
    copied = array(typecode)
    copied.frombytes(given.cast("B"))
    return copied


class Numbers(Column):
    """Numbers or None, 8 bytes each."""

    __slots__ = ("_distinct",)
    null: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self._distinct: tuple[int, frozenset[Any]] = 0, frozenset()

    def distinct(self) -> frozenset[Any]:
        """Every number that some row has, as it is stored; found once, for rows only come."""
        if self._distinct[0] != len(self):
            self._distinct = len(self), frozenset(self._told_apart())
        return self._distinct[1]

    def _told_apart(self) -> Iterable[Any]:
        native = core.native()
        if self._values is None or native is None or self.typecode != Ints.typecode:
            return (self._same,) if self._values is None else self._values
        found: list[int] = native.distinct(self._values, len(self))
        return found

    def append(self, value: float | None, times: int = 1) -> None:
        """Add one row, or several of the same value."""
        self.push(self.null if value is None else value, times)

    def __getitem__(self, index: int) -> Any:
        return self.picked([index])[0]

    def picked(self, rows: Sequence[int]) -> list[Any]:
        """The values of these rows."""
        if self._values is None:
            return list(self._told([self._same])) * len(rows)
        return list(self._told(map(self._values.__getitem__, rows)))

    def __iter__(self) -> Iterator[Any]:
        if self._values is None:
            return repeat(next(self._told([self._same])), self._length)
        return self._told(self._values)

    def _told(self, numbers: Iterable[Any]) -> Iterator[Any]:
        null = self.null
        return (None if n == null else n for n in numbers)


class Ints(Numbers):
    """Integers or None."""

    __slots__ = ()
    typecode = "q"
    null = NULL


class Floats(Numbers):
    """Floats or None."""

    __slots__ = ()
    typecode = "d"
    null = math.nan

    def _told(self, numbers: Iterable[float]) -> Iterator[float | None]:
        return (None if math.isnan(n) else n for n in numbers)


class Words(Column):
    """Repeating text or bytes or None: a code of 4 bytes each, and every word once.

    A list of words may be shared with whoever made it, who may add to it and must
    not change it otherwise; before this column adds to a shared list, it copies it.
    """

    __slots__ = ("_code_of", "_indexed", "_shared", "words")
    typecode = "i"

    def __init__(self) -> None:
        super().__init__()
        self.words: list[Any] = []
        self._shared = False
        self._code_of: dict[Any, int] = {}
        self._indexed = 0

    @classmethod
    def coded(cls, codes: Any, words: list[Any]) -> Self:
        """A column from bytes of int32 codes, which are copied, and the words they stand for.

        Raises:
            IndexError: a code without a word.
        """
        column = cls.of(codes)
        column.adopt(words)
        least, most = column.extremes() or (0, -1)
        if not 0 <= least <= most + 1 <= len(words):
            raise IndexError(f"a code is not below {len(words)}, the number of words")
        return column

    def append(self, value: Any, times: int = 1) -> None:
        """Add one row, or several of the same value."""
        self.push(self._code(value), times)

    def take(self, rows: Sequence[int]) -> Self:
        """A column of these rows, with the same words."""
        column = super().take(rows)
        column.adopt(self.words)
        self._shared = True
        return column

    def extend(self, other: Self) -> None:
        """Add the rows of another column, by words."""
        if not len(self):
            self.adopt(other.words)
            other._shared = True
        if other.words is self.words:
            super().extend(other)
        elif other._values is None:
            if other._length:
                self.push(self._code(other.words[other._same]), other._length)
        else:
            code_of = {code: self._code(other.words[code]) for code in set(other._values)}
            self.values().extend(array(self.typecode, map(code_of.__getitem__, other._values)))

    def __getitem__(self, index: int) -> Any:
        return self.words[self._same if self._values is None else self._values[index]]

    def picked(self, rows: Sequence[int]) -> list[Any]:
        """The words of these rows."""
        if self._values is None:
            return [self.words[self._same]] * len(rows) if rows else []
        return list(map(self.words.__getitem__, map(self._values.__getitem__, rows)))

    def __iter__(self) -> Iterator[Any]:
        if self._values is None:
            return repeat(self.words[self._same] if self._length else None, self._length)
        return map(self.words.__getitem__, self._values)

    def adopt(self, words: list[Any]) -> None:
        """Take a list of words that others may have too."""
        self.words, self._shared = words, True
        self._code_of, self._indexed = {}, 0

    def _code(self, word: Any) -> int:
        for code in range(self._indexed, len(self.words)):
            self._code_of.setdefault(self.words[code], code)
        self._indexed = len(self.words)
        code = self._code_of.get(word, -1)
        if code >= 0:
            return code
        if self._shared:
            self.words, self._shared = list(self.words), False
        code = self._code_of[word] = len(self.words)
        self.words.append(word)
        self._indexed += 1
        return code
