"""The lines of a file, or of standard input, whatever compressed it."""

import gzip
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Final

from rateproof.errors import LogError
from rateproof.events.places import path_of
from rateproof.output import printable

_MOST_LINE: Final = 16_000_000
_BLOCK: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Failures to read a file of this name, in words."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"{name} is compressed, and damaged or cut off: {error}"
        raise LogError(
            problem, f"zcat {name} gives what is whole: pipe it in, and read - instead"
        ) from error
    except OSError as error:
        if error.errno is None:  # pyarrow's, of zstd
            problem = f"{name} is compressed, and damaged or cut off: {error}"
            hint = f"zstd -dc {name} gives what is whole: pipe it in, and read - instead"
            raise LogError(problem, hint) from error
        problem = f"cannot read {name}: {error.strerror or error}"
        raise LogError(problem) from error


class Lines:
    """The lines of a file, of which some may be put back, and the rest read in blocks.

    The first that says anything is not read if it is no line.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._back: deque[bytes] = deque()
        self._begun = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self._back.popleft() if self._back else self._line()
        if not line:
            raise StopIteration
        return line

    def put_back(self, lines: Iterable[bytes]) -> None:
        """Let these be the next."""
        self._back.extendleft(reversed(list(lines)))

    def blocks(self) -> Iterator[bytes]:
        """The rest, in pieces that are cut anywhere."""
        with _told(self._name):
            while self._back:
                yield self._back.popleft()
            while block := self._file.read(_BLOCK):
                yield block

    def _line(self) -> bytes:
        if self._begun:
            return self._file.readline()
        line = self._file.readline(_MOST_LINE + 1)
        if len(line) > _MOST_LINE:
            problem = f"{self._name}: its first line is longer than 16 MB"
            raise LogError(problem, "a request in each line")
        self._begun = not line.isspace()
        return line


@contextmanager
def open_lines(path: str | Path) -> Iterator[tuple[Lines, str]]:
    """The lines of a file, and its name for messages; `-` is standard input.

    Raises:
        LogError: the file cannot be read, now or on the way.
    """
    name = "standard input" if str(path) == "-" else printable(str(path))
    with _told(name):
        if str(path) != "-":
            elsewhere = "://" in str(path)
            with (path_of(str(path)) if elsewhere else Path(path)).open("rb") as file:
                yield Lines(_plain(BufferedReader(file) if elsewhere else file, name), name), name
        elif sys.stdin is None:
            raise LogError("standard input is closed", "give a file, or pipe a log in")
        else:
            yield Lines(_plain(sys.stdin.buffer, name), name), name


def _plain(file: Any, name: str) -> Any:
    """The bytes of a file, not compressed; they are told by how it begins."""
    begun = file.peek(len(_ZSTD)) if hasattr(file, "peek") else b""
    if begun.startswith(_ZSTD):
        return _zstd(file, name)
    return gzip.open(file) if begun.startswith(_GZIP) else file


def _zstd(file: Any, name: str) -> Any:
    try:
        from pyarrow import CompressedInputStream, PythonFile
    except ImportError:
        hint = f"pip install 'rateproof[load]' for pyarrow, or zstd -dc {name} | rateproof check -"
        raise LogError(f"{name} is compressed by zstd", hint) from None
    return BufferedReader(CompressedInputStream(PythonFile(file, "r"), "zstd"))
