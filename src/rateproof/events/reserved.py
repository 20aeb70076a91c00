"""A file that knows beforehand whether what comes next will fit on the disk."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

__all__ = ["ReservedFile"]

_CHUNK = 16 << 20
_WITHOUT = {errno.EOPNOTSUPP, errno.ENODEV, errno.ESPIPE, errno.EINVAL}


class ReservedFile:
    """A file to be written from start to end, with disk space set aside in front of the end.

    Space set aside and not used is given back when the file is closed. Where the file
    system has no such promise to give (a pipe, a device), writing may still fail.

    Raises:
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._raw = path.open("wb", buffering=1 << 20)
        self._promises = S_ISREG(os.fstat(self._raw.fileno()).st_mode)
        self._reserved = 0

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._raw.closed

    def reserve(self, length: int) -> None:
        """Make sure that the next `length` bytes will fit.

        Raises:
            OSError: they will not; what was reserved before still is.
        """
        end = self._raw.tell() + length
        if not self._promises or end <= self._reserved:
            return
        fd = self._raw.fileno()
        try:
            os.posix_fallocate(fd, self._reserved, end - self._reserved)
        except OSError as error:
            if error.errno in _WITHOUT:
                self._promises = False
                return
            with suppress(OSError):
                os.ftruncate(fd, max(self._reserved, self._raw.tell()))
            raise
        self._reserved = end

    def write(self, data: bytes) -> int:
        """Append, into what is reserved first."""
        return self._raw.write(data)

    def tell(self) -> int:
        """How much has been written."""
        return self._raw.tell()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._raw.flush()

    def close(self) -> None:
        """Give back what was reserved and is not used.

        Raises:
            OSError: what was still in memory did not get onto the disk.
        """
        with self._raw:
            self._raw.flush()
            if self._reserved:
                os.ftruncate(self._raw.fileno(), self._raw.tell())
