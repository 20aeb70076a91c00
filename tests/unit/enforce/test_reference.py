"""What only the reference table promises: its layout, and how it is made."""

import os
import struct

import pytest

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import reference_table
from rateproof.enforce.stores.location import directory_of
from rateproof.enforce.stores.reference_table import Table
from rateproof.errors import StoreMismatch
from rateproof.policy import Quota

STORE_FILE = "sliding-log-1-3600000000000.python"


@pytest.fixture
def store(monkeypatch, shm_name):
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    return f"shm://{shm_name}"


@pytest.fixture
def table_file(shm_name):
    return directory_of(shm_name) / STORE_FILE


def test_a_layout_of_another_version_names_both(store, table_file):
    Limiter("1 per hour", store=store).close()
    with table_file.open("r+b") as file:
        file.seek(16)
        file.write(struct.pack("=Q", 9))
    with pytest.raises(StoreMismatch, match="layout version 9, this rateproof has 2"):
        Limiter("1 per hour", store=store)


def test_a_renamed_table_names_both_policies(store, table_file):
    Limiter("2 per hour", store=store).close()
    (table_file.parent / "sliding-log-2-3600000000000.python").rename(table_file)
    with pytest.raises(StoreMismatch, match=r"a table of 2 per 1h .*, not of 1 per 1h"):
        Limiter("1 per hour", store=store)


def test_a_table_that_was_never_finished_is_made_anew(store, table_file):
    """Its creator died before it was ready, so nobody ever decided on it."""
    Limiter("1 per hour", store=store).close()
    with table_file.open("r+b") as file:
        file.seek(8)
        file.write(bytes(8))
    with Limiter("1 per hour", store=store) as limiter:
        assert limiter.hit("a").admitted
        assert not limiter.hit("a").admitted


def test_stamps_of_an_earlier_boot_are_forgotten(monkeypatch, store):
    """The monotonic clock starts again at boot, and no process lives on over one."""
    monkeypatch.setattr(reference_table, "_boot_id", lambda: b"a" * 36)
    with Limiter("1 per hour", store=store) as limiter:
        assert limiter.hit("a").admitted
    with Limiter("1 per hour", store=store) as limiter:
        assert not limiter.hit("a").admitted
    monkeypatch.setattr(reference_table, "_boot_id", lambda: b"b" * 36)
    with Limiter("1 per hour", store=store) as limiter:
        assert limiter.hit("a").admitted


def test_blocks_are_reserved_when_the_table_is_made(store, table_file):
    """A filesystem that is full later cannot end a process by SIGBUS."""
    Limiter("1 per hour", store=store, capacity=10_000).close()
    status = table_file.stat()
    assert status.st_blocks * 512 >= status.st_size > 160_000


def test_a_file_of_zeros_is_somebody_elses(store, table_file):
    table_file.parent.mkdir(mode=0o700)
    table_file.write_bytes(bytes(4096))
    with pytest.raises(StoreMismatch, match="is not a table of the python core"):
        Limiter("1 per hour", store=store)


def test_where_nothing_reserves_blocks_zeros_are_written(monkeypatch, store, table_file):
    monkeypatch.delattr(os, "posix_fallocate")
    Limiter("1 per hour", store=store, capacity=100_000).close()
    status = table_file.stat()
    assert status.st_blocks * 512 >= status.st_size == 4096 + 8 * 160_000 * 2


def test_a_seed_of_its_own_spreads_the_keys_of_each_table():
    """Which keys collide in one table says nothing of another."""
    tables = [Table(None, Quota(1, 1), 65_536) for _ in range(2)]
    assert tables[0]._home(b"a") != tables[1]._home(b"a")
    for table in tables:
        table.close()


def test_a_table_is_used_to_its_capacity():
    """Two buckets of eight for each key, 1.6 slots a key: up to the capacity none is refused."""
    table = Table(None, Quota(1, 10**9), 4096)
    for number in range(4096):
        key = str(number).encode()
        slot, _ = table.room(key, 5)
        assert slot is not None
        table.charge(slot, key, 1, 5)
    table.close()


class Readings:
    """A clock whose readings were taken too early, as by a thread that then stood still."""

    def __init__(self, *readings):
        self._readings = iter(readings)

    def now_ns(self):
        return next(self._readings)


def test_the_time_of_a_table_never_goes_back(monkeypatch):
    """Waits are counted from the caller's own reading, though."""
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    with Limiter("1 per 100ns", clock=Readings(100, 99)) as limiter:
        assert limiter.hit("a").admitted
        assert limiter.hit("a").retry_after_ns == 101, "from 99 to 200"


def test_a_late_reader_does_not_fall_behind_a_slot_taken_over(monkeypatch):
    """Its key's stamps of 50 and 100 are gone since 200: at 199 the one of 100 would count."""
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    early = [50] * 8 + [100]
    with Limiter("2 per 100ns", clock=Readings(*early, 200, 199), capacity=1) as limiter:
        for key in "a1234567a":
            assert limiter.hit(key).admitted
        assert limiter.hit("new").admitted, "in the slot of a, the first that is idle"
        decision = limiter.hit("a")
        assert (decision.admitted, decision.reset_after_ns) == (True, 101), "decided at 200"
