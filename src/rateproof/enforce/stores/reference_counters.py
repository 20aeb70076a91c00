"""The reference core's counters: words in shared memory, added to under the store's lock."""

import mmap
import os
import struct
from pathlib import Path
from typing import Final

from rateproof.enforce.counters import Count
from rateproof.enforce.stores.locks import FileLock
from rateproof.errors import StoreError, StoreMismatch

__all__ = ["ReferenceCounters"]

_MAGIC: Final = b"rp-count"
_SIZE: Final = 4096
_FIRST: Final = 8  # the first word that counts; before it stand the magic and zeros


class ReferenceCounters:
    """One word for each `Count`.

    Args:
        path: a file, made by a caller who holds the lock of its directory; None
            for this process and the children it forks.
        lock: held for each change.

    Raises:
        StoreMismatch: the file is something else.
        StoreError: there is no room for it.
    """

    def __init__(self, path: Path | None, lock: FileLock) -> None:
        self._lock = lock
        try:
            self._map = mmap.mmap(-1, _SIZE) if path is None else _file(path)
        except OSError as error:
            raise StoreError(
                f"cannot open counters: {error}", "more room, or another name"
            ) from None

    def add(self, which: int) -> None:
        """One more of `which`; see `Counters`."""
        with self._lock.held():
            self._check_open()
            at = 8 * (_FIRST + Count(which))
            self._map[at : at + 8] = struct.pack("=Q", self._totals()[which] + 1)

    def totals(self) -> tuple[int, ...]:
        """How many of each; see `Counters`."""
        self._check_open()
        return self._totals()

    def close(self) -> None:
        """Unmap them; a file stays."""
        self._map.close()

    def _check_open(self) -> None:
        if self._map.closed:
            raise StoreError("the limiter is closed", "open another one")

    def _totals(self) -> tuple[int, ...]:
        return struct.unpack_from(f"={len(Count)}Q", self._map, 8 * _FIRST)


def _file(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        found = os.pread(descriptor, len(_MAGIC), 0)
        if found not in {b"", bytes(len(_MAGIC)), _MAGIC}:
            raise StoreMismatch(f"{path} holds no counters of the python core", "remove it")
        size = os.fstat(descriptor).st_size
        os.pwrite(descriptor, bytes(max(0, _SIZE - size)), size)
        os.pwrite(descriptor, _MAGIC, 0)
        return mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)
