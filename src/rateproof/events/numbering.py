"""Requests that a file has twice: each of a run has a number of its own."""

from collections import deque
from collections.abc import Hashable, Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Final

from rateproof.errors import LogError
from rateproof.events.log import EventLog

if TYPE_CHECKING:
    from array import array

__all__ = ["TWO_LOGS", "refuse_repeated"]

TWO_LOGS: Final = "two logs in one file? check each by itself"

_BYTES_A_ROW = 64


def refuse_repeated(log: EventLog, name: str) -> None:
    """Refuse a log in which a request is there twice.

    A log without sequence numbers (all 0, or one row) cannot tell, and is left alone.

    Args:
        log: the events of a file.
        name: of the file, for messages.

    Raises:
        LogError: two rows of one run with the same sequence number; it names the second,
            counted from 1.
    """
    # Columns that are the same in every row are left as they are: they take no memory so.
    if log.same("sequence") == 0 or len(log) < 2:
        return
    sequences = log.ints("sequence")
    if not any(sequences):
        return
    if log.same("run") is not None and _all_differ(sequences):
        return
    runs = log.ints("run")
    row = _first_repeated(zip(runs, sequences, strict=True))
    if row is not None:
        raise LogError(
            f"{name}, row {row + 1}: sequence {sequences[row]} of run {runs[row]} "
            "is there a second time",
            TWO_LOGS,
        )


def _first_repeated(numbers: Iterable[Hashable]) -> int | None:
    """The place of the first that was there before, counted from 0; None if all differ."""
    seen: set[Hashable] = set()
    for place, number in enumerate(numbers):
        if number in seen:
            return place
        seen.add(number)
    return None


def _all_differ(numbers: "array[int]") -> bool:
    """Whether they do, as far as a table with a byte for each possible number can tell.

    A set takes some 60 bytes a number; where numbers lie close, as ours do, this takes few.
    """
    low, high = min(numbers), max(numbers)
    if high - low >= _BYTES_A_ROW * len(numbers):
        return len(set(numbers)) == len(numbers)
    seen = bytearray(high - low + 1)
    places = map((-low).__add__, numbers) if low else numbers
    deque(map(seen.__setitem__, places, repeat(1)), maxlen=0)
    return seen.count(1) == len(numbers)
