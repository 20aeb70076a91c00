"""One quota's table in shared memory, for the reference core: layout, making, finding, storing.

Both kinds of store use this code: `memory://` on an anonymous mapping that
forked children share, `shm://` on a named file.

    0      magic, written before the file grows: it tells ours from a stranger's
    8      ready, written last: the creator of a table without it has died
    16     version, capacity, quota, hash seed, boot
    4088   latest: the greatest time that anything was decided at
    4096   tags:   one word a slot; 0 when the slot was never owned
    ...    states: what the quota's algorithm remembers of the slot's key

A word is 64 bits in the machine's own order, aligned, and written by one store:
a process that dies leaves it old or new, never torn. Slots lie in buckets of
`_WAYS`; a keyed hash gives a key its tag and two buckets. Everything runs under
the lock of the store, one for all its tables.

*Time never goes back*: a reading older than `latest` counts as that, and
`latest` is stored before anything is decided by it.

*Dying at any instruction loosens nothing.* An admission is answered after its
last store, and each prefix of its stores is at least as strict as what was
there (*Order* in `algorithms`): a permit is burnt at worst. A slot is taken over
only when its state binds nobody, at `latest` and so for ever after; that state
is the new owner's, by whose tag the old one is overwritten first.
"""

import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Final

from rateproof.enforce.algorithms import RULES, State
from rateproof.enforce.decision import Answer
from rateproof.errors import StoreError, StoreMismatch
from rateproof.policy import Quota

__all__ = ["Table"]

_MAGIC: Final = b"rp-table"
_VERSION: Final = 2
_HEADER: Final = struct.Struct("=8sQQQ128s32s36s")
_READY: Final = 1
_HEADER_SIZE: Final = 4096
_WORD: Final = 8
_LATEST: Final = _HEADER_SIZE // _WORD - 1
_TAGS: Final = _HEADER_SIZE // _WORD
_WAYS: Final = 8

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Table:
    """The slots of one quota. Every method but the constructor needs the store's lock.

    Args:
        path: the file, created when there is none, by a caller who holds the
            lock of its directory; None for an anonymous table.
        quota: what is counted.
        capacity: how many keys can be live at once. There are 1.6 slots for
            each, so that fewer than one key in a million finds its two buckets full.

    Raises:
        StoreMismatch: the file is something else, or a table for other values.
        StoreError: there is no memory for it.
    """

    def __init__(self, path: Path | None, quota: Quota, capacity: int) -> None:
        self.quota = quota
        self.capacity = capacity
        self._rule = RULES[quota.algorithm]
        self._width = self._rule.width(quota)
        self._buckets = -(-capacity * 8 // (5 * _WAYS))
        self._states = _TAGS + self._buckets * _WAYS
        self._size = _WORD * (self._states + self._buckets * _WAYS * self._width)
        self._map = self._anonymous() if path is None else self._file(path)
        self._seed = _HEADER.unpack_from(self._map)[5]
        self._words = memoryview(self._map).cast("Q")

    @property
    def latest_ns(self) -> int:
        """The greatest time that anything was decided at."""
        return self._words[_LATEST]

    def reach(self, now_ns: int) -> None:
        """Something is decided at `now_ns`: nothing will be before."""
        self._store(_LATEST, now_ns)

    def find(self, key: bytes) -> int | None:
        """The slot that the key owns."""
        tag, slots = self._home(key)
        return next((slot for slot in slots if self._words[_TAGS + slot] == tag), None)

    def room(self, key: bytes, now_ns: int) -> tuple[int | None, int]:
        """A slot that the key may take over, and how long until there is one (0: now).

        Of its two buckets the one with more idle slots. Somebody's history is
        never evicted: a slot is idle when its state no longer binds.
        """
        _, slots = self._home(key)
        waits = {slot: self._idle_in_ns(slot, now_ns) for slot in slots}
        halves = (slots[:_WAYS], slots[_WAYS:])
        idle = max(([slot for slot in half if waits[slot] == 0] for half in halves), key=len)
        return (idle[0], 0) if idle else (None, min(waits.values()))

    def look(self, slot: int, cost: int, now_ns: int) -> Answer:
        """What the owner of the slot, or a key that takes it over, is answered."""
        state = self._state(slot)
        retry_after_ns = self._rule.retry_after_ns(self.quota, state, now_ns, cost)
        return Answer(
            admitted=retry_after_ns == 0,
            full=False,
            remaining=self._rule.remaining(self.quota, state, now_ns),
            retry_after_ns=retry_after_ns,
            reset_after_ns=self._rule.reset_after_ns(self.quota, state, now_ns),
        )

    def charge(self, slot: int, key: bytes, cost: int, now_ns: int) -> Answer:
        """Admit `cost`, which must fit, to the key in its slot or in one that `room` found."""
        state = self._rule.charged(self.quota, self._state(slot), now_ns, cost)
        self._store(_TAGS + slot, self._home(key)[0])
        for index, number in enumerate(state, self._bounds(slot)[0]):
            self._store(index, number)
        return Answer(
            admitted=True,
            full=False,
            remaining=self._rule.remaining(self.quota, state, now_ns),
            retry_after_ns=0,
            reset_after_ns=self._rule.reset_after_ns(self.quota, state, now_ns),
        )

    def forget(self, slot: int) -> None:
        """Back to the state of a key never seen: the one deed that loosens, on request."""
        for index in range(*self._bounds(slot)):
            self._store(index, 0)

    def forget_all(self) -> None:
        """Every slot back to the state of a key never seen."""
        for slot in self._owned():
            self.forget(slot)

    def census(self, now_ns: int) -> tuple[int, int]:
        """How many slots bind somebody now, and how many there are."""
        live = sum(self._idle_in_ns(slot, now_ns) > 0 for slot in self._owned())
        return live, self._buckets * _WAYS

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

    def _owned(self) -> list[int]:
        tags = self._words[_TAGS : self._states].tolist()
        return [slot for slot, tag in enumerate(tags) if tag]

    def _bounds(self, slot: int) -> tuple[int, int]:
        start = self._states + slot * self._width
        return start, start + self._width

    def _state(self, slot: int) -> State:
        start, end = self._bounds(slot)
        return tuple(self._words[start:end].tolist())

    def _store(self, index: int, word: int) -> None:
        if self._words[index] != word:
            self._words[index] = word

    def _idle_in_ns(self, slot: int, now_ns: int) -> int:
        return self._rule.reset_after_ns(self.quota, self._state(slot), now_ns)

    def _header(self) -> bytes:
        return _HEADER.pack(
            _MAGIC,
            0,
            _VERSION,
            self.capacity,
            str(self.quota).encode(),
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
        _, ready, version, capacity, quota, _, boot = _HEADER.unpack(
            found.ljust(_HEADER.size, b"\0")
        )
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
        kept = quota.rstrip(b"\0").decode(errors="replace")
        if (kept, capacity) != (str(self.quota), self.capacity):
            raise StoreMismatch(
                f"{path} is a table of {kept} with capacity {capacity},"
                f" not of {self.quota} with capacity {self.capacity}",
                hint,
            )
        if size != self._size:
            raise StoreMismatch(f"{path} has {size} bytes, not {self._size}: it was damaged", hint)
        return True

    def _too_big(self, error: Exception) -> StoreError:
        return StoreError(
            f"no room for a table of {self._size / 1e6:,.1f} MB"
            f" ({self.capacity} keys of {str(self.quota)!r}): {error}",
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
