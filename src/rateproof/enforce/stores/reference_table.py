"""One quota's table in shared memory, for the reference core: layout, making, finding, stamping.

Both kinds of store use this code: `memory://` on an
anonymous mapping that forked children share, `shm://` on a named file.

    0      magic, written before the file grows: it tells ours from a stranger's
    8      ready, written last: the creator of a table without it has died
    16     version, limit, window, capacity, hash seed, boot
    4088   latest: the greatest time the table was ever used at
    4096   tags:  one word a slot; 0 when the slot was never owned
    ...    cells: `limit` words a slot; 0, or the stamp of an admission plus 2**62

A word is 64 bits in the machine's own order, aligned, and written by one store:
a process that dies leaves it old or new, never torn. Slots lie in buckets of
`_WAYS`; a keyed hash gives a key its tag and two buckets. Everything runs under
the lock of the store, one for all its tables.

*Dying at any instruction loosens nothing.* An admission is answered after its
last stamp, so a stamp without an answer burns a permit at worst. A slot is taken
over only when all its stamps are W old, which binds nobody: first its tag is
overwritten, then its cells, whose old stamps count as free for the new owner.
"""

import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Final

from rateproof.enforce.algorithms import answer, cells_to_take
from rateproof.enforce.decision import Answer
from rateproof.errors import StoreError, StoreMismatch
from rateproof.units import format_duration

__all__ = ["Table"]

_MAGIC: Final = b"rp-table"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("=8sQQQQQ32s36s")
_READY: Final = 1
_HEADER_SIZE: Final = 4096
_WORD: Final = 8
_LATEST: Final = _HEADER_SIZE // _WORD - 1
_TAGS: Final = _HEADER_SIZE // _WORD
_WAYS: Final = 8
_BIAS: Final = 2**62

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Table:
    """The slots of one quota. Every method but the constructor needs the store's lock.

    Args:
        path: the file, created when there is none, by a caller who holds the
            lock of its directory; None for an anonymous table.
        limit: cells a slot.
        window_ns: how long a stamp keeps its cell busy.
        capacity: how many keys can be live at once. There are 1.6 slots for
            each, so that fewer than one key in a million finds its two buckets full.

    Raises:
        StoreMismatch: the file is something else, or a table for other values.
        StoreError: there is no memory for it.
    """

    def __init__(self, path: Path | None, limit: int, window_ns: int, capacity: int) -> None:
        self.limit = limit
        self.window_ns = window_ns
        self.capacity = capacity
        self._buckets = -(-capacity * 8 // (5 * _WAYS))
        self._cells = _TAGS + self._buckets * _WAYS
        self._size = _WORD * (self._cells + self._buckets * _WAYS * limit)
        self._map = self._anonymous() if path is None else self._file(path)
        self._seed = _HEADER.unpack_from(self._map)[6]
        self._words = memoryview(self._map).cast("Q")

    @property
    def latest_ns(self) -> int:
        """The greatest time it was ever used at: its time never goes back."""
        return self._words[_LATEST]

    def find(self, key: bytes) -> int | None:
        """The slot that the key owns."""
        tag, slots = self._home(key)
        return next((slot for slot in slots if self._words[_TAGS + slot] == tag), None)

    def answer(self, slot: int | None, cost: int, now_ns: int) -> Answer:
        """What the key that owns the slot is answered; None: a key that owns none."""
        return answer(self._stamps(slot), self.limit, self.window_ns, now_ns, cost)

    def room(self, key: bytes, now_ns: int) -> tuple[int | None, int]:
        """A slot that the key may take over, and how long until there is one (0: now).

        Of its two buckets the one with more idle slots. Somebody's history is
        never evicted: a slot is idle when its last stamp is W old.
        """
        _, slots = self._home(key)
        waits = {slot: self._idle_in_ns(slot, now_ns) for slot in slots}
        halves = (slots[:_WAYS], slots[_WAYS:])
        idle = max(([slot for slot in half if waits[slot] == 0] for half in halves), key=len)
        return (idle[0], 0) if idle else (None, min(waits.values()))

    def take(self, slot: int, key: bytes, cost: int, now_ns: int) -> None:
        """Stamp `cost` free cells of the key's slot, or of one that `room` found."""
        self._words[_TAGS + slot] = self._home(key)[0]
        self._words[_LATEST] = now_ns
        start, end = self._bounds(slot)
        for cell in cells_to_take(self._words[start:end].tolist(), cost):
            self._words[start + cell] = _BIAS + now_ns

    def forget(self, slot: int) -> None:
        """Free all cells of the slot: the one deed that loosens, and only on request."""
        start, end = self._bounds(slot)
        for cell in range(start, end):
            self._words[cell] = 0

    def close(self) -> None:
        """Unmap it; a file stays."""
        self._words.release()
        self._map.close()

    def _home(self, key: bytes) -> tuple[int, list[int]]:
        # Keys come from attackers: the seed hides which of them collide. Equal
        # tags share a slot and so a quota, which is stricter, never looser.
        digest = blake2b(key, digest_size=24, key=self._seed).digest()
        tag, *hashes = struct.unpack("=QQQ", digest)
        starts = [_WAYS * (word % self._buckets) for word in hashes]
        return max(tag, 1), [slot for start in starts for slot in range(start, start + _WAYS)]

    def _bounds(self, slot: int) -> tuple[int, int]:
        start = self._cells + slot * self.limit
        return start, start + self.limit

    def _stamps(self, slot: int | None) -> list[int]:
        if slot is None:
            return []
        start, end = self._bounds(slot)
        return [word - _BIAS for word in self._words[start:end].tolist() if word]

    def _idle_in_ns(self, slot: int, now_ns: int) -> int:
        newest = max(self._stamps(slot), default=now_ns - self.window_ns)
        return max(0, newest + self.window_ns - now_ns)

    def _header(self) -> bytes:
        return _HEADER.pack(
            _MAGIC,
            0,
            _VERSION,
            self.limit,
            self.window_ns,
            self.capacity,
            os.urandom(32),
            _boot_id(),
        )

    def _initialise(self, table: mmap.mmap) -> None:
        header = self._header()
        table[: len(header)] = header
        with memoryview(table).cast("Q") as words:
            words[_READY] = 1

    def _anonymous(self) -> mmap.mmap:
        try:
            table = mmap.mmap(-1, self._size)
        except (OSError, OverflowError) as error:
            raise self._too_big(error) from error
        self._initialise(table)
        return table

    def _file(self, path: Path) -> mmap.mmap:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            found = os.pread(descriptor, _HEADER.size, 0)
            if self._is_ours(path, found, os.fstat(descriptor).st_size):
                return mmap.mmap(descriptor, self._size)
            # Nobody has it mapped: it was never finished, or is of an earlier boot.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _MAGIC, 0)
            try:
                _reserve(descriptor, self._size)
                table = mmap.mmap(descriptor, self._size)
            except (OSError, OverflowError) as error:
                raise self._too_big(error) from error
            self._initialise(table)
            return table
        finally:
            os.close(descriptor)

    def _is_ours(self, path: Path, found: bytes, size: int) -> bool:
        """Whether the file is a table for the same values; false if it must be initialised.

        Raises:
            StoreMismatch: it is anything else, naming what it is and what was asked for.
        """
        if not found:
            return False
        hint = "close every limiter on this store, then remove it"
        if not found.startswith(_MAGIC):
            raise StoreMismatch(f"{path} is not a table of the python core", hint)
        _, ready, version, *values, _, boot = _HEADER.unpack(found.ljust(_HEADER.size, b"\0"))
        if not ready:
            return False
        if len(found) < _HEADER.size:
            raise StoreMismatch(f"{path} has only {size} bytes: it was damaged", hint)
        if version != _VERSION:
            raise StoreMismatch(
                f"{path} has layout version {version}, this rateproof has {_VERSION}", hint
            )
        if boot != _boot_id():
            return False
        if values != [self.limit, self.window_ns, self.capacity]:
            limit, window_ns, capacity = values
            raise StoreMismatch(
                f"{path} is a table of {limit} per {format_duration(window_ns)} with capacity"
                f" {capacity}, not of {self.limit} per {format_duration(self.window_ns)} with"
                f" capacity {self.capacity}",
                hint,
            )
        if size != self._size:
            raise StoreMismatch(f"{path} has {size} bytes, not {self._size}: it was damaged", hint)
        return True

    def _too_big(self, error: Exception) -> StoreError:
        return StoreError(
            f"no room for a table of {self._size / 1e6:,.1f} MB"
            f" ({self.capacity} keys at {self.limit} admissions each): {error}",
            "a smaller capacity needs less",
        )


def _boot_id() -> bytes:
    # Stamps are meaningless after a boot: the monotonic clock starts again.
    try:
        with _BOOT_ID.open("rb") as file:
            return file.read(36)
    except OSError:
        return bytes(36)


def _reserve(descriptor: int, size: int) -> None:
    # Now, with an error, rather than later, by SIGBUS at a store.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    zeros = bytes(1 << 20)
    for offset in range(_WORD, size, len(zeros)):
        os.pwrite(descriptor, zeros[: size - offset], offset)
