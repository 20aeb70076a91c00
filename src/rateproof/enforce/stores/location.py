"""The place of a store: `memory://`, or `shm://NAME` as a folder with one table per quota.

    /dev/shm/rateproof-<uid>-<name>/          0700, the temporary folder where there is no /dev/shm
        lock                                  locked while anything is opened or removed
        sliding-log-5-5000000000.native       a quota's table: algorithm, limit, window in ns
        token-bucket-1-1000000000-5.native    ... and the burst, where it is not the limit
        sliding-blocks-9-1000000000-blocks-60.native    ... and a parameter, where it has one
        counters.native                       what was decided, how often

The lock is a `flock`: it belongs to a file that was opened for this one use, so that it excludes
threads as well as processes, and the kernel releases it when the process dies. A forked child
shares the file, and so the lock, of a thread that it does not have: it closes it at once.
"""

import errno
import fcntl
import os
import re
import stat
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

from rateproof import linux
from rateproof.enforce.stores.forks import in_children
from rateproof.enforce.stores.tables import fingerprint
from rateproof.errors import InvalidArgument, StoreError
from rateproof.policy import Quota

PATIENCE_S: Final = 1.0
"""The longest wait for the lock of a folder, which is held for milliseconds."""

COUNTERS_FILE: Final = "counters.native"

_PAUSE_S: Final = 1e-3
_MEMORY = "memory://"
_SHM = "shm://"
_TABLE = re.compile(r"([a-z-]+)-(\d+)-(\d+)(?:-(\d+))?(?:-[a-z]+-(\d+))?\.native")
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
_SCHEME = re.compile(r"[A-Za-z0-9+.-]*://")
_ACCEPTED = "memory://, shm://NAME or redis://HOST"


def parse_url(url: str) -> str | None:
    """The name in `shm://NAME`; None for `memory://`.

    Raises:
        InvalidArgument: another scheme, or a name that cannot be a directory's.
    """
    if url == _MEMORY:
        return None
    if url.startswith(_MEMORY):
        raise InvalidArgument(f"store {url!r} names a memory store", "memory:// takes no name")
    if not url.startswith(_SHM):
        raise InvalidArgument(f"store {shown_url(url)!r} is not known", f"a store is {_ACCEPTED}")
    name = url.removeprefix(_SHM)
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"store {url!r} has the name {name!r}",
            "a name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with no dot",
        )
    return name


def shown_url(url: str) -> str:
    """The URL of any store without credentials and options, for people.

    >>> shown_url("redis://app:secret@example.org/2?timeout=1s"), shown_url("shm://mine")
    ('redis://example.org/2', 'shm://mine')
    """
    scheme = match[0] if (match := _SCHEME.match(url)) else ""
    place, _, options = url.removeprefix(scheme).partition("?")
    # A password may hold any of these characters, where it should have them quoted.
    return scheme + ("..." if "@" in options else place.rpartition("@")[2])


def directory_of(name: str) -> Path:
    """The directory of `shm://name`; it need not exist.

    All processes of one user find the same one, provided that they see the same
    /dev/shm or, where there is none, the same temporary folder.
    """
    folder = linux.SHARED_MEMORY
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        import tempfile  # slow to import, and seldom needed

        folder = Path(tempfile.gettempdir())
    return folder / f"rateproof-{os.geteuid()}-{name}"


def table_file(quota: Quota) -> str:
    """The name of the quota's table in the folder of a store."""
    return f"{fingerprint(quota)}.native"


def stored_quotas(name: str) -> list[Quota]:
    """The quotas that have a table in `shm://name`, whoever opened it; none without the store."""
    found = []
    with suppress(FileNotFoundError):
        for file in directory_of(name).iterdir():
            match = _TABLE.fullmatch(file.name)
            if match and file.stat().st_size:  # empty is what found no room
                algorithm, *figures = match.groups(default="0")
                limit, window_ns, burst, parameter = map(int, figures)
                found.append(Quota(limit, window_ns, algorithm, burst, parameter))
    return found


def locked_folder(name: str) -> FileIO:
    """Make the folder of `shm://name` if needed, check it, and lock it.

    Returns:
        What holds the lock until it is closed, at the end of a `with` at best.

    Raises:
        StoreError: the folder is somebody else's, open to others, a link or a file; it holds
            tables that this version does not read; or its lock stays held by a process that
            does not go on.
    """
    directory = directory_of(name)
    with suppress(FileNotFoundError):  # the folder was removed just now
        for former in directory.glob("*.python"):
            raise StoreError(
                f"{directory} holds {former.name}, which an earlier rateproof wrote without the"
                " native core",
                f"choose another name, or delete it: rateproof.enforce.stores.remove({name!r})",
            )
    return _locked(directory)


def remove(name: str) -> bool:
    """Delete the folder of `shm://name` with its tables; false if there is none.

    Only when no process has it open: one that has goes on with tables that
    nobody else finds, so that a limiter opened later would admit anew.

    Raises:
        InvalidArgument: not a name.
        StoreError: as for opening it.
    """
    parse_url(_SHM + name)
    directory = directory_of(name)
    if not os.path.lexists(directory):
        return False
    with _locked(directory):
        while True:
            try:
                for entry in directory.iterdir():
                    entry.unlink(missing_ok=True)
                directory.rmdir()
            except OSError as error:
                # Somebody who waits to enter has made the lock's file anew.
                if error.errno != errno.ENOTEMPTY:
                    raise _unusable(directory, error) from error
            else:
                return True


def _locked(directory: Path) -> FileIO:
    """The file named `lock`, locked; whatever a signal handler raises here, it does not stay so."""
    path = directory / "lock"
    deadline = time.monotonic() + PATIENCE_S
    try:
        while True:
            _make(directory)
            try:
                # In steps that hold no bare descriptor, which a signal handler's exception would leak.
                with suppress(FileExistsError):
                    os.mknod(path, 0o600)
                if not stat.S_ISREG(path.lstat().st_mode):
                    raise StoreError(f"{path} is not a regular file", "remove it")
                lock = FileIO(path, "r+")
            except FileNotFoundError:  # the folder was removed just now
                continue
            try:
                in_children(lock, FileIO.close)
                _acquire(lock, path, deadline)
                if _is_at(lock, path):  # else it was removed while we waited
                    return lock
            except BaseException:
                lock.close()
                raise
            lock.close()
    except OSError as error:
        raise _unusable(directory, error) from error


def _acquire(lock: FileIO, path: Path, deadline: float) -> None:
    while True:  # polled, since a blocking wait cannot be bounded
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{path.parent} stays locked by another process", "it may be stopped; try again"
                ) from None
            time.sleep(_PAUSE_S)
        else:
            return


def _is_at(lock: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(lock.fileno()))
    except FileNotFoundError:
        return False


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        _check(directory)


def _check(directory: Path) -> None:
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return  # removed just now: opening the lock in it says so
    wrong = None
    if not stat.S_ISDIR(status.st_mode):
        wrong = "is not a directory"
    elif status.st_uid != os.geteuid():
        wrong = f"belongs to user {status.st_uid}, not to {os.geteuid()}"
    elif status.st_mode & 0o077:
        wrong = f"is open to others (mode {stat.S_IMODE(status.st_mode):o}, not 700)"
    if wrong:
        raise StoreError(f"{directory} {wrong}", "remove it, or choose another name")


def _unusable(directory: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot use {directory}: {error}")
