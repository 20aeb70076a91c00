"""Rows parted by their key, in memory or on disk, so that a log larger than memory is worked on in parts."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from rateproof.core import required_native
from rateproof.errors import CannotWrite
from rateproof.folders import scratch


class Partitions:
    """Rows of columns of fixed widths; all rows of a key lie in one part. To be used in a `with`.

    A row's part is its key's code modulo the number of parts. Up to `most_bytes` are held in
    memory; from then on each part is written to a file of a temporary folder, which goes at the end.

    Args:
        widths: bytes of a row in each column, beside the code.
        count: number of parts.
        most_bytes: what is held in memory.
    """

    def __init__(
        self, widths: Sequence[int], *, count: int = 64, most_bytes: int = 1 << 28
    ) -> None:
        self.count = count
        self._widths, self._most_bytes = list(widths), most_bytes
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        folder = self._exit.enter_context(scratch())
        kind = required_native("parting a log").Partitions
        self._native: Any = kind(str(folder), self.count, self._widths, self._most_bytes)
        self._folder = folder
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def add(self, codes: bytes, columns: Sequence[bytes]) -> None:
        """Add rows: the codes of their keys as int32, and their columns, in native byte order.

        Raises:
            CannotWrite: the disk is full.
        """
        try:
            self._native.add(codes, list(columns))
        except OSError as error:
            raise CannotWrite(
                f"cannot write to {self._folder}: {error.strerror}",
                "parts of a large log go to a temporary folder: TMPDIR names another disk",
            ) from error

    def rows(self) -> list[int]:
        """Return the number of rows of each part."""
        found: list[int] = self._native.rows()
        return found

    def read(self, part: int) -> bytes:
        """Return the rows of a part in the order of adding, each its code and then its columns."""
        found: bytes = self._native.read(part)
        return found
