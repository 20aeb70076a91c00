"""Exclusion between threads and processes, which a dead holder cannot keep.

Between processes it is a POSIX record lock (`fcntl.lockf`). It belongs to the
*process*, which decides everything else here:

- The kernel releases it when the process dies, at any instruction. A `flock`
  belongs to the open file that forked children share: a child that never used
  the limiter would keep a dead parent's lock, and parent and child, sharing one
  open file, would not exclude each other.
- It does not exclude the threads of its process: a mutex does, one for each
  file and not for each `FileLock` asked for, and new in a forked child, where
  the thread that held it does not exist.
- *All* locks of the process on a file are dropped when *any* of its descriptors
  of that file is closed. So each file is opened once and shared by count, and
  its last user closes it. It is a file that nothing else opens or maps (`mmap`
  duplicates descriptors).

Waiting is bounded: a holder that is stopped, not dead, must block nobody.
"""

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from rateproof.errors import StoreError

__all__ = ["PATIENCE_S", "FileLock", "open_lock", "private_lock"]

PATIENCE_S = 1.0
"""How long to wait for a holder. A lock is held for microseconds."""

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 20e-6, 1e-3


class FileLock:
    """One lock for every thread and every process that has the file open. Not reentrant."""

    def __init__(self, descriptor: int) -> None:
        self.users = 1
        self._descriptor = descriptor
        self._mutex = threading.Lock()
        self._closer = weakref.finalize(self, os.close, descriptor)
        self._closer.atexit = False  # other threads may still decide while the process ends
        _every_lock.add(self)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold it for the block; false, and not held, after `PATIENCE_S` in vain."""
        deadline = time.monotonic() + PATIENCE_S
        mutex = self._mutex
        if not mutex.acquire(timeout=PATIENCE_S):
            yield False
            return
        try:
            if not self._closer.alive:
                raise StoreError("the limiter is closed", "open another one")
            if not self._lock_file(deadline):
                yield False
                return
            try:
                yield True
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        finally:
            mutex.release()

    def _lock_file(self, deadline: float) -> bool:
        # Polled, since a blocking wait cannot be bounded, and since the kernel
        # takes threads of two processes that wait crosswise for a deadlock.
        pause = _SHORTEST_PAUSE_S
        while True:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES
                if time.monotonic() >= deadline:
                    return False
            else:
                return True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def share(self) -> Self:
        """Count one more user, who must `close` it too."""
        with _registry_mutex:
            self.users += 1
        return self

    def is_at(self, path: Path) -> bool:
        """Whether the path still leads to this file."""
        try:
            return os.path.samestat(path.lstat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Give up this use of it; the last user closes the file."""
        with _registry_mutex:
            self.users -= 1
            if self.users:
                return
            for identity, lock in list(_registry.items()):
                if lock is self:
                    del _registry[identity]
            with self._mutex:
                self._closer()


_every_lock: "weakref.WeakSet[FileLock]" = weakref.WeakSet()
_registry: dict[tuple[int, int], FileLock] = {}
_registry_mutex = threading.Lock()


def open_lock(path: Path) -> FileLock:
    """The lock of the file at `path`, created if needed; `close` it once for each call.

    Raises:
        OSError: the file cannot be opened or created; a symbolic link is refused.
    """
    with _registry_mutex:
        with suppress(FileNotFoundError):
            lock = _registry.get(_identity(path.lstat()))
            if lock is not None:
                lock.users += 1
                return lock
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        identity = _identity(os.fstat(descriptor))
        if identity in _registry:
            # Just now put at this path again. The descriptor stays open: see above.
            _registry[identity].users += 1
        else:
            _registry[identity] = FileLock(descriptor)
        return _registry[identity]


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def private_lock() -> FileLock:
    """The lock of a file without a name: for this process and the children it forks."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("rateproof-lock", os.MFD_CLOEXEC)
    else:
        import tempfile  # slow to import, and seldom needed

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    return FileLock(descriptor)


def _after_fork_in_child() -> None:
    global _registry_mutex  # noqa: PLW0603 - the old one may be held by a thread that is gone
    _registry_mutex = threading.Lock()
    for lock in _every_lock:
        lock._mutex = threading.Lock()  # noqa: SLF001


os.register_at_fork(after_in_child=_after_fork_in_child)
