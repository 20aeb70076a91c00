"""Folders in the temporary folder, each of which one process has at a time."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Final

from rateproof.errors import written
from rateproof.output import printable

_LOCK: Final = "in-use"
_SCRATCH: Final = "rateproof-scratch-"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in the temporary folder, which goes at the end, or with the next where this process is killed.

    Raises:
        CannotWrite: it cannot be made.
    """
    parent = Path(tempfile.gettempdir())
    with ExitStack() as stack:
        for left in parent.glob(f"{_SCRATCH}*"):
            with ExitStack() as briefly, suppress(OSError):
                if taken(left, briefly, made=True):
                    shutil.rmtree(left, ignore_errors=True)
        mine = False
        with writable(parent):
            while not mine:  # another process may take one before its lock is held
                folder = Path(tempfile.mkdtemp(prefix=_SCRATCH))
                mine = taken(folder, stack)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def writable(
    folder: Any, hint: str = "TMPDIR names another folder"
) -> AbstractContextManager[None]:
    """`written` of a folder, which cannot be made or written to."""
    return written(f"to {printable(str(folder))}", hint)


def taken(folder: Path, stack: ExitStack, *, made: bool = False) -> bool:
    """Take a folder until the stack ends; False where it is another user's or another process'.

    Args:
        folder: the folder.
        stack: until when.
        made: whether a process has to have had it before.
    """
    found = folder.lstat()
    if not S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return False
    lock = stack.enter_context((folder / _LOCK).open("r+b" if made else "ab"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before may have removed it since it was opened.
        return os.path.samestat(os.fstat(lock.fileno()), (folder / _LOCK).stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def emptied(folder: Path) -> None:
    """Remove every file of a folder that this process has taken.

    Raises:
        CannotWrite: one cannot be removed.
    """
    with writable(folder):
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
