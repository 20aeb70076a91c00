"""A log that grows: its bytes as they come, through rotations of both kinds."""

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from rateproof.errors import LogError, readable
from rateproof.output import printable

ROTATED: Final = "rotated"
"""The file was renamed and another one made: lines are lost only if that happened twice at once."""

TRUNCATED: Final = "truncated"
"""The file was cut off after it was copied (copytruncate): lines in between may be lost."""

_BLOCK: Final = 1 << 18
_MARK: Final = 256
_GRACE_S: Final = 2.0
_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


class Tail:
    """The bytes of a log that grows.

    A server goes on writing to a file that was renamed until it opens the new one. So the old
    one is left only when it has not grown for 2 s. A file that was cut off is known by its size,
    or, if it has grown beyond it again, by the bytes before the place that was read to.

    Args:
        path: of the file; `-` is standard input, which does not rotate.
        clock: seconds, of a clock that nobody sets.

    Raises:
        LogError: it cannot be read, or is compressed.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = "standard input" if path == "-" else printable(path)
        self._path, self._clock = path, clock
        self._read = self._mark = b""
        self._at = 0
        self._quiet_since: float | None = None
        self.over = False
        """True once standard input has ended."""
        self.rotations = 0
        with readable(self.name):
            self._file = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._read = b"" if path == "-" else os.pread(self._file, 4, 0)
        if self._read.startswith(_COMPRESSED):
            raise LogError(f"{self.name} is compressed", "such a file does not grow: no --follow")

    def read(self) -> bytes:
        """The next bytes; none where there are none yet.

        Raises:
            LogError: the file cannot be read any more.
        """
        with readable(self.name):
            if self._path == "-":
                return self._of_pipe()
            if self._is_cut_off():
                return b""
            block = os.read(self._file, _BLOCK)
        if block:
            self._at += len(block)
            self._mark = (self._mark + block)[-_MARK:]
            self._quiet_since = None
        return block

    def turned(self) -> str:
        """`ROTATED` or `TRUNCATED` where what comes next is of another file; "" where it is not.

        To be asked when there are no bytes.
        """
        if self._path == "-":
            return ""
        if self._is_cut_off():
            os.lseek(self._file, 0, os.SEEK_SET)
            self._start()
            return TRUNCATED
        if not self._is_another():
            return ""
        now = self._clock()
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since < _GRACE_S:
            return ""
        with suppress(OSError):
            opened = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            os.close(self._file)
            self._file = opened
            self._start()
            return ROTATED
        return ""

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Wait so long at most for more, or until it is told to stop."""
        if self._path == "-":
            select.select([0], [], [], seconds)
        else:
            stop.wait(seconds)

    def close(self) -> None:
        """Close the file."""
        if self._path != "-":
            os.close(self._file)

    def _start(self) -> None:
        self._at, self._mark, self._quiet_since = 0, b"", None
        self.rotations += 1

    def _is_another(self) -> bool:
        """True if another file has the name now."""
        try:
            there, here = Path(self._path).stat(), os.fstat(self._file)
        except OSError:
            return False  # renamed, and the new one is not there yet
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _is_cut_off(self) -> bool:
        return os.pread(self._file, len(self._mark), self._at - len(self._mark)) != self._mark

    def _of_pipe(self) -> bytes:
        if not select.select([0], [], [], 0)[0]:
            return b""
        block = os.read(0, _BLOCK)
        self.over = not block
        return block
