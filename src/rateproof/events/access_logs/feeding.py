"""Files fed to a scan, one after the other."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from rateproof.errors import LogError
from rateproof.events.access_logs.reading import Reading
from rateproof.events.access_logs.scan import Chunk, Scan

_TRIED_ON: Final = 50
_MOST_BEGUN: Final = 5 << 20  # above the longest line

File = tuple[str, Iterable[bytes]]
"""The name of a file, for messages, and its bytes in pieces that are cut anywhere."""


def begin(
    files: Iterable[File], name: str, reading: Reading, hashed: Sequence[tuple[str, ...]] = ()
) -> tuple[Scan, Iterator[File]]:
    """Begin to read files, one after the other; the scan, and the files with all of their bytes.

    Raises:
        InvalidArgument: as a scan does.
        LogError: they are of no known format.
    """
    rest = iter(files)
    begun: list[bytes] = []
    taken: list[File] = []
    for file, pieces in rest:
        head, unread = _head(iter(pieces))
        taken.append((file, unread))
        begun = _lines(head)
        if any(not line.isspace() for line in begun):
            break
    else:
        raise LogError(f"{name} has no events", "a log needs at least one request")
    return Scan(begun, name, reading, hashed), chain(taken, rest)


def begun_of(pieces: Iterator[bytes]) -> list[bytes]:
    """The first lines of a file, which show its format."""
    return _lines(_head(pieces)[0])


def _lines(head: bytes) -> list[bytes]:
    return [line + b"\n" for line in head.split(b"\n")[:_TRIED_ON]]


def _head(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning of the pieces, and all of them."""
    head = b""
    while head.count(b"\n") < _TRIED_ON and len(head) < _MOST_BEGUN:
        piece = next(pieces, b"")
        if not piece:
            break
        head += piece
    return head, chain([head], pieces)


def chunks(
    scan: Scan,
    files: Iterable[File],
    *,
    size: int | None = None,
    rows: int | None = None,
    keep: bool = False,
) -> Iterator[Chunk]:
    """Read files to their end, in chunks; the last may have no rows.

    Args:
        scan: has begun with them.
        files: in order.
        size: the bytes of which a chunk is made, about; None: all.
        rows: a chunk ends after so many, or some more; None: it does not.
        keep: see `Scan.take`.

    Raises:
        LogError: the columns change, or a file cannot be read.
    """
    fed = 0
    for name, pieces in files:
        for piece in pieces:
            scan.feed(piece)
            fed += len(piece)
            if (size is not None and fed >= size) or (rows is not None and scan.held >= rows):
                fed = 0
                yield scan.take(keep=keep)
        scan.end(name)
    yield scan.take(keep=keep)
