"""The board on which the main process of a server posts the settings for its workers."""

import mmap
import os
import pickle
from typing import Final

from rateproof import linux
from rateproof.enforce.server.settings import ServerSettings

_LENGTH_BITS: Final = 24  # of the head; the bits above say where the notice lies


class Board:
    """Settings that one process posts and others read, the newest only.

    The file has no name and lies in memory, so it goes with the processes that
    use it. Settings are only ever appended: a reader needs no lock, for what the
    head points at does not change, and the head is one word, written whole. It
    differs after each post, so comparing it costs a reader next to nothing.

    Forked children share the board, and a pickled one opens it by its path in a
    process of the same machine while the one that pickled it lives.
    """

    def __init__(self, path: str | None = None) -> None:
        if path is None:
            self._file = linux.memory_file("rateproof-board")
            os.ftruncate(self._file, mmap.PAGESIZE)
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._head = memoryview(mmap.mmap(self._file, mmap.PAGESIZE)).cast("Q")

    def post(self, settings: ServerSettings) -> None:
        """Put settings in the place of those before; by one thread at a time."""
        notice = pickle.dumps(settings)
        at = os.fstat(self._file).st_size
        os.pwrite(self._file, notice, at)
        self._head[0] = at << _LENGTH_BITS | len(notice)

    def mark(self) -> int:
        """A number that tells whether others were posted; 0 before the first."""
        return self._head[0]

    def read(self, mark: int) -> ServerSettings:
        """The settings that were the newest when `mark` was asked for."""
        notice = os.pread(self._file, mark % (1 << _LENGTH_BITS), mark >> _LENGTH_BITS)
        settings: ServerSettings = pickle.loads(notice)  # noqa: S301 - our parent's
        return settings

    def __reduce__(self) -> tuple[type["Board"], tuple[str]]:
        return Board, (linux.path_of(self._file),)
