"""Claims that a storage for `limits` keeps whatever the strategy."""

import pytest

from rateproof import InvalidArgument, Quota
from rateproof.enforce.limits_storage import counting_limit
from rateproof.enforce.stores.location import (
    COUNTERS_FILE,
    directory_of,
    locked_folder,
    stored_quotas,
    table_file,
)

S = 1_000_000_000


def acquired(tables, times, limit=5, expiry=10, key="a"):
    """Number of so many entries that it lets the key take."""
    return [tables.acquire_entry(key, limit, expiry) for _ in range(times)].count(True)


def test_clear_forgets_the_key_in_fixed_and_moving_windows_of_every_limit(tables):
    for key in "ab":
        acquired(tables, 5, key=key)
        acquired(tables, 3, limit=3, expiry=60, key=key)
        tables.incr(key, 10, 5)
        tables.acquire_sliding_window_entry(key, 5, 10, 5)
    tables.clear("a")
    assert [tables.get("a"), tables.get("b")] == [0, 5]
    assert [acquired(tables, 9, key="a"), acquired(tables, 9, key="b")] == [5, 0]
    assert acquired(tables, 9, limit=3, expiry=60, key="a") == 3
    assert not tables.acquire_sliding_window_entry("a", 5, 10)
    tables.clear_sliding_window("a", 10)
    assert tables.acquire_sliding_window_entry("a", 5, 10)
    assert not tables.acquire_sliding_window_entry("b", 5, 10)


def test_reset_forgets_every_key_of_every_strategy_and_counts_them(tables):
    for key in "abc":
        acquired(tables, 5, key=key)
        tables.incr(key, 10)
    tables.acquire_sliding_window_entry("a", 5, 10, 5)
    assert tables.reset() == 7
    assert [tables.get(key) for key in "abc"] == [0, 0, 0]
    assert [acquired(tables, 9, key=key) for key in "abc"] == [5, 5, 5]
    assert tables.acquire_sliding_window_entry("a", 5, 10, 5)


def test_tables_that_another_storage_opened_are_found(open_tables_at, shm_name, clock):
    ours, theirs, last = [open_tables_at(f"shm://{shm_name}") for _ in range(3)]
    theirs.incr("a", 10, 3)
    theirs.acquire_sliding_window_entry("a", 5, 10, 4)
    acquired(theirs, 5)
    assert ours.get("a") == 3
    assert ours.get_expiry("a") > clock.time()
    assert ours.get_sliding_window("a", 10)[2] == 4
    assert ours.reset() == 3
    assert (theirs.get("a"), theirs.get_sliding_window("a", 10)[2]) == (0, 0)
    acquired(theirs, 5)
    last.clear("a")
    assert acquired(theirs, 9) == 5


@pytest.mark.parametrize("take", ["acquire_entry", "acquire_sliding_window_entry"])
def test_an_amount_of_nothing_passes_and_counts_nothing(tables, take):
    tables.incr("a", 10, 2)
    assert tables.incr("a", 10, 0) == 2
    assert getattr(tables, take)("a", 5, 10, 5)
    assert getattr(tables, take)("a", 5, 10, 0)
    assert not getattr(tables, take)("a", 5, 10, 1)


def test_a_limit_of_0_admits_nothing(tables, clock):
    assert not tables.acquire_entry("a", 0, 10)
    assert not tables.acquire_sliding_window_entry("a", 0, 10)
    assert tables.get_moving_window("a", 0, 10) == (clock.time(), 0)


@pytest.mark.parametrize("method", ["acquire_entry", "acquire_sliding_window_entry"])
def test_a_negative_amount_and_a_limit_beyond_the_tables_are_refused_by_name(tables, method):
    with pytest.raises(InvalidArgument, match="amount -1"):
        getattr(tables, method)("a", 5, 10, -1)
    with pytest.raises(InvalidArgument, match="limit 2000000 "):
        getattr(tables, method)("a", 2_000_000, 10)
    with pytest.raises(InvalidArgument, match="amount -1"):
        tables.incr("a", 10, -1)


def test_a_key_without_room_is_denied_and_others_are_not_forgotten(open_tables_at, url, clock):
    tables = open_tables_at(url, capacity=1)
    keys = [str(number) for number in range(99)]
    counts = [tables.incr(key, 10) for key in keys]
    assert set(counts) == {1, counting_limit(10 * S) + 1}
    entered = [tables.acquire_entry(key, 5, 10) for key in keys]
    weighed = [tables.acquire_sliding_window_entry(key, 5, 10) for key in keys]
    for key, count, entry, weight in zip(keys, counts, entered, weighed, strict=True):
        assert tables.get(key) == (count == 1)
        assert (tables.get_expiry(key) > clock.time()) == (count == 1)
        assert (tables.get_moving_window(key, 5, 10)[1] == 5) is not entry
        assert tables.get_sliding_window(key, 10)[2] == weight


def test_any_text_is_a_key(tables):
    keys = ["", "é", "\ud800", "a" * 100_000, "a\0b"]
    assert [tables.incr(key, 10) for key in keys] == [1] * len(keys)


def test_the_quotas_of_a_store_are_those_that_have_tables(shm_name):
    quotas = {Quota(5, S), Quota(3, 1, "token-bucket", 7), Quota(10**9, 2**59, "fixed-window")}
    assert stored_quotas(shm_name) == []
    with locked_folder(shm_name):
        for name in (*map(table_file, quotas), COUNTERS_FILE):
            (directory_of(shm_name) / name).write_bytes(b"words")
        (directory_of(shm_name) / table_file(Quota(9, S))).touch()
    assert set(stored_quotas(shm_name)) == quotas
