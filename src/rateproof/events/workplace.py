"""The folder in which a log is split: what a process that was killed left there is used again."""

import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import is_dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PosixPath
from typing import Any, Final

from rateproof.folders import scratch, taken, writable

ANOTHER: Final = "TMPDIR names another disk"

_NOTE: Final = "split"
_DIGEST: Final = 32


class Workplace:
    """A folder for files of a work, with a note once all of them are there."""

    def __init__(
        self, folder: Path, hint: str = f"{ANOTHER}; with more --memory nothing is written"
    ) -> None:
        self.folder, self.hint = folder, hint

    def note(self, files: Iterable[Path], told: object) -> None:
        """Keep, as `keep` does, that these files are whole, with what is to be known of them."""
        self.keep(_NOTE, ({path: path.stat().st_size for path in files}, told))

    def made(self, make: Callable[[Path], None]) -> Path:
        """The one file of a work, made now unless a process that was killed has left it whole."""
        path = self.folder / "log.parquet"
        if self.noted() is None:
            make(path)
            self.note([path], {})
        return path

    def keep(self, name: str, result: object) -> None:
        """Keep the result of a part of the work, or none where the disk is full."""
        data = pickle.dumps(result)
        unfinished = self.folder / f"{name}.new"
        with suppress(OSError):
            unfinished.write_bytes(sha256(data).digest() + data)
            unfinished.replace(self.folder / name)

    def kept(self, name: str) -> Any:
        """The result that was kept under this name; None where none was, or it is damaged."""
        try:
            stored = (self.folder / name).read_bytes()
        except OSError:
            return None
        digest, data = stored[:_DIGEST], stored[_DIGEST:]
        with suppress(pickle.UnpicklingError):
            return _Plain(BytesIO(data)).load() if sha256(data).digest() == digest else None
        return None

    def noted(self) -> Any:
        """The value that was told with the files; None where nothing was, or a file is not as it was."""
        sizes, told = self.kept(_NOTE) or ({}, None)
        try:
            same = all(path.stat().st_size == size for path, size in sizes.items())
        except OSError:
            return None
        return told if same else None


class _Plain(pickle.Unpickler):
    """Reads results, which are records of ours and paths in lists and the like, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module.startswith("rateproof.") else None
        record = isinstance(found, type) and (is_dataclass(found) or issubclass(found, tuple))
        if (module, name) == ("pathlib", "PosixPath"):
            return PosixPath
        if not record:
            raise pickle.UnpicklingError(f"{module}.{name} is no result")
        return found


def identity_of(path: Path, *settings: object) -> str:
    """A digest of a file, as it is now, of the settings of a work on it, and of our own code."""
    return sha256(repr((_as_it_is(path), settings, _code())).encode()).hexdigest()


def _code() -> list[tuple[str, int, int, int, int]]:
    """This package as it is installed: another one reads nothing that this one kept."""
    files = Path(__file__).parents[1].rglob("*")
    return sorted(_as_it_is(path) for path in files if path.suffix in {".py", ".so", ".pyd"})


def _as_it_is(path: Path) -> tuple[str, int, int, int, int]:
    found = path.stat()
    return str(path.resolve()), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def workplace(identity: str | None) -> Iterator[Workplace]:
    """The folder of a work in the temporary folder, which goes at the end.

    It stays where the process is killed, and is that of the next process with the same
    identity. One that another process has, or another user, is left alone.

    Args:
        identity: see `identity_of`; None: of a work that nobody can go on with.

    Raises:
        CannotWrite: it cannot be made.
    """
    if identity is None:
        with scratch() as folder:
            yield Workplace(folder)
        return
    folder = Path(tempfile.gettempdir()) / f"rateproof-{identity[:16]}"
    with ExitStack() as stack:
        with writable(folder):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            mine = taken(folder, stack)
            if mine:
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Workplace(folder if mine else stack.enter_context(scratch()))
