"""Where a store lies: `memory://`, or `shm://NAME` as a directory with one table per quota.

    /dev/shm/rateproof-<uid>-<name>/          0700, the temporary folder where there is no /dev/shm
        lock                                  held while anything is opened or removed
        sliding-log-5-5000000000.native       a quota's table: algorithm, limit, window in ns, core
        token-bucket-1-1000000000-5.native    ... and the burst, where it is not the limit
        counters.native                       what was decided, how often

Two cores on one quota would each admit it in full, so a quota has one table:
opening it with the other core is an error.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rateproof.enforce.stores.locks import FileLock, open_lock
from rateproof.errors import InvalidArgument, StoreError, StoreMismatch
from rateproof.policy import Quota

__all__ = [
    "CORES",
    "Place",
    "directory_of",
    "enter",
    "parse_url",
    "remove",
    "shown_url",
    "stored_quotas",
]

CORES = ("native", "python")
"""Which core a table belongs to: the last part of its file name."""

_MEMORY = "memory://"
_SHM = "shm://"
_SHM_FOLDER = Path("/dev/shm")  # noqa: S108 - ours in it is 0700 and its owner is checked
_TABLE = re.compile(rf"([a-z-]+)-(\d+)-(\d+)(?:-(\d+))?\.(?:{'|'.join(CORES)})")
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
    folder = _SHM_FOLDER
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        import tempfile  # slow to import, and seldom needed

        folder = Path(tempfile.gettempdir())
    return folder / f"rateproof-{os.geteuid()}-{name}"


@dataclass(frozen=True, slots=True)
class Place:
    """A store's directory, entered: its lock is held until `enter` ends."""

    directory: Path
    lock: FileLock

    def table(self, quota: Quota, core: str) -> Path:
        """The path of the quota's table for this core.

        Raises:
            StoreMismatch: the other core has one.
        """
        burst = "" if quota.burst == quota.limit else f"-{quota.burst}"
        stem = f"{quota.algorithm}-{quota.limit}-{quota.window_ns}{burst}"
        for other in CORES:
            if other != core and os.path.lexists(self.directory / f"{stem}.{other}"):
                raise StoreMismatch(
                    f"the table of {str(quota)!r} in {self.directory} belongs to the {other} core,"
                    f" and this process runs the {core} core",
                    "use one core everywhere (RATEPROOF_CORE), or close every limiter on this"
                    " store and remove it",
                )
        return self.directory / f"{stem}.{core}"

    def counters(self, core: str) -> Path:
        """The path of this core's counters: whatever each counts, their sum is for all."""
        return self.directory / f"counters.{core}"


def stored_quotas(name: str) -> list[Quota]:
    """The quotas that have a table in `shm://name`, whoever opened it; none without the store."""
    found = []
    with suppress(FileNotFoundError):
        for file in directory_of(name).iterdir():
            match = _TABLE.fullmatch(file.name)
            if match:
                algorithm, limit, window_ns, burst = match.groups(default="0")
                found.append(Quota(int(limit), int(window_ns), algorithm, int(burst)))
    return found


@contextmanager
def enter(name: str) -> Iterator[Place]:
    """Make the directory of `shm://name` if needed, check it, and hold its lock.

    Who keeps the lock for longer than the block takes a share of it.

    Raises:
        StoreError: the directory is somebody else's, open to others, a link or
            a file, or its lock stays held by a process that does not go on.
    """
    directory = directory_of(name)
    file = directory / "lock"
    try:
        while True:
            _make(directory)
            try:
                lock = open_lock(file)
            except FileNotFoundError:  # the directory was removed just now
                continue
            try:
                with lock.held() as held:
                    _check_held(held, directory)
                    if lock.is_at(file):  # else it was removed while we waited
                        yield Place(directory, lock)
                        return
            finally:
                lock.close()
    except OSError as error:
        raise StoreError(f"cannot use {directory}: {error}") from error


def remove(name: str) -> bool:
    """Delete the directory of `shm://name` with its tables; false if there is none.

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
    with enter(name):
        while True:
            for entry in directory.iterdir():
                entry.unlink(missing_ok=True)
            try:
                directory.rmdir()
            except OSError as error:
                # Somebody who waits to enter has made the lock's file anew.
                if error.errno != errno.ENOTEMPTY:
                    raise
            else:
                return True


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


def _check_held(held: bool, directory: Path) -> None:  # noqa: FBT001 - private
    if not held:
        raise StoreError(
            f"{directory} stays locked by another process", "it may be stopped; try again"
        )
