"""How the main process of a server tells its workers what holds now."""

import mmap
import os
from typing import Final

__all__ = ["Board"]

_LENGTH_BITS: Final = 24  # of the head; the bits above say where the notice lies


class Board:
    """Notices that one process posts and others read, the newest only.

    The file has no name and lies in memory, so it goes with the processes that
    use it. Notices are only ever appended: a reader needs no lock, for what the
    head points at does not change, and the head is one word, written whole. It
    differs after each post, so comparing it costs a reader next to nothing.

    Forked children share the board, and a pickled one opens it in a process of
    the same machine while the one that pickled it lives.

    Args:
        path: of a board; None makes a new one, on which nothing is posted.
    """

    def __init__(self, path: str | None = None) -> None:
        if path is None:
            self._file = os.memfd_create("rateproof-board")
            os.ftruncate(self._file, mmap.PAGESIZE)
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._head = memoryview(mmap.mmap(self._file, mmap.PAGESIZE)).cast("Q")

    def post(self, notice: bytes) -> None:
        """Put a notice, not empty, in the place of the one before; by one thread at a time."""
        at = os.fstat(self._file).st_size
        os.pwrite(self._file, notice, at)
        self._head[0] = at << _LENGTH_BITS | len(notice)

    def mark(self) -> int:
        """A number that tells whether another notice was posted; 0 before the first."""
        return self._head[0]

    def read(self, mark: int) -> bytes:
        """The notice that was the newest when `mark` was asked for."""
        return os.pread(self._file, mark % (1 << _LENGTH_BITS), mark >> _LENGTH_BITS)

    def __reduce__(self) -> tuple[type["Board"], tuple[str]]:
        return Board, (f"/proc/{os.getpid()}/fd/{self._file}",)
