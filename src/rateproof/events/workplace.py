"""The folder in which a log is split: what a process that was killed left there is used again."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Final

from rateproof.errors import CannotWrite
from rateproof.output import printable

ANOTHER: Final = "TMPDIR names another disk"

_NOTE: Final = "split.json"
_LOCK: Final = "in-use"


class Workplace:
    """A folder for files of a work, with a note once all of them are there.

    Args:
        folder: the folder.
        hint: what helps where it is full.
    """

    def __init__(
        self, folder: Path, hint: str = f"{ANOTHER}; with more --memory nothing is written"
    ) -> None:
        self.folder, self.hint = folder, hint

    def note(self, files: Iterable[Path], told: Mapping[str, Any]) -> None:
        """Note that these files are whole, with what is to be known of them.

        Raises:
            OSError: the disk is full.
        """
        sizes = {path.name: path.stat().st_size for path in files}
        unfinished = self.folder / f"{_NOTE}.new"
        unfinished.write_text(json.dumps({"sizes": sizes, "told": told}), encoding="ascii")
        unfinished.replace(self.folder / _NOTE)

    def noted(self) -> dict[str, Any] | None:
        """The note; None where nothing was, or a file is not there as it was."""
        try:
            note = json.loads((self.folder / _NOTE).read_bytes())
            same = all(
                (self.folder / name).stat().st_size == size for name, size in note["sizes"].items()
            )
        except (OSError, ValueError):
            return None
        told: dict[str, Any] = note["told"]
        return told if same else None


def identity_of(path: Path, *settings: object) -> str:
    """A digest of a file, as it is now, and of the settings of a work on it."""
    found = path.stat()
    of_file = str(path.resolve()), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
    return sha256(repr((of_file, settings)).encode()).hexdigest()


@contextmanager
def workplace(identity: str) -> Iterator[Workplace]:
    """The folder of a work in the temporary folder, which goes at the end.

    It stays where the process is killed, and is that of the next process with the same
    identity. One that another process has, or another user, is left alone.

    Raises:
        CannotWrite: it cannot be made.
    """
    folder = Path(tempfile.gettempdir()) / f"rateproof-{identity[:16]}"
    with ExitStack() as stack:
        try:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            if _taken(folder, stack):
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            else:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rateproof-")))
        except OSError as error:
            problem = f"cannot write to {printable(str(folder))}: {error.strerror}"
            raise CannotWrite(problem, "TMPDIR names another folder") from error
        yield Workplace(folder)


def _taken(folder: Path, stack: ExitStack) -> bool:
    """Take a folder until the stack ends; False where it is another user's or another process'."""
    found = folder.lstat()
    if not S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return False
    lock = stack.enter_context((folder / _LOCK).open("ab"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before may have removed it since it was opened.
        return os.path.samestat(os.fstat(lock.fileno()), (folder / _LOCK).stat())
    except (BlockingIOError, FileNotFoundError):
        return False
