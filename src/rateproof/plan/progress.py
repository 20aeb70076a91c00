"""The progress of a plan, and the time that it still takes."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from rateproof.events.access_logs.feeding import File

_PASSES: Final = 2
_AFTER: Final = 0.5
"""Time of the passes over the parts, in that of reading: an estimate until the first has begun."""
_COMPRESSED: Final = {".gz", ".zst"}


class PlanProgress:
    """The work: a log is read, then its parts are passed through a few times."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._sizes = {path: _size(path) for path in paths}
        self._read = self._parts = self._all_parts = 0
        self._begun_s = self._passing_s = time.monotonic()

    def reading(self, files: Iterable[File]) -> Iterator[File]:
        """Give files, and note how much of them is read."""
        for name, pieces in files:
            yield name, self._noted(pieces)

    def _noted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._read += len(piece)
            yield piece

    def passing(self, parts: int) -> None:
        """Note that reading is over, and how many parts there are."""
        self._all_parts = parts * _PASSES
        self._passing_s = time.monotonic()

    def passed(self) -> None:
        """Note that a part was passed through."""
        self._parts += 1

    def left_s(self) -> float | None:
        """Seconds that are left, as far as they can be told."""
        now_s = time.monotonic()
        if self._all_parts:
            if not self._parts:
                return _AFTER * (self._passing_s - self._begun_s)
            return (now_s - self._passing_s) * max(0, self._all_parts / self._parts - 1)
        sizes = list(self._sizes.values())
        if not self._read or None in sizes:
            return None
        size = sum(one or 0 for one in sizes)
        taken_s = now_s - self._begun_s
        return taken_s * max(0, size / self._read - 1) + _AFTER * taken_s * size / self._read


def _size(path: str) -> int | None:
    """Return the bytes of a file; None where nobody knows how many will come of it."""
    try:
        file = Path(path)
        return None if file.suffix in _COMPRESSED or path == "-" else file.stat().st_size
    except OSError:
        return None
