"""A file that knows beforehand whether what comes next will fit on the disk."""

import errno
import io
import os
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

_BUFFER = 1 << 20
_WITHOUT = {errno.EOPNOTSUPP, errno.ENODEV, errno.ESPIPE, errno.EINVAL}


class ReservedFile(io.BufferedWriter):
    """A file to be written from start to end, with disk space set aside in front of the end.

    Space set aside and not used is given back when the file is closed. Where the file
    system has no such promise to give (a pipe, a device), writing may still fail.

    Raises:
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(str(path), "w"), _BUFFER)
        self._promises = S_ISREG(os.fstat(self.fileno()).st_mode)
        self._reserved = 0

    def reserve(self, length: int) -> None:
        """Make sure that the next `length` bytes will fit.

        Raises:
            OSError: they will not; what was reserved before still is.
        """
        end = self.tell() + length
        if not self._promises or end <= self._reserved:
            return
        try:
            os.posix_fallocate(self.fileno(), self._reserved, end - self._reserved)
        except OSError as error:
            if error.errno in _WITHOUT:
                self._promises = False
                return
            with suppress(OSError):
                os.ftruncate(self.fileno(), max(self._reserved, self.tell()))
            raise
        self._reserved = end

    def close(self) -> None:
        """Give back what was reserved and is not used.

        Raises:
            OSError: what was still in memory did not get onto the disk.
        """
        if self.closed:
            return
        try:
            self.flush()
            if self._reserved:
                os.ftruncate(self.fileno(), self.tell())
        finally:
            super().close()
