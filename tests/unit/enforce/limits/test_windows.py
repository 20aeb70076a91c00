"""Windows, as the three strategies of `limits` need them."""

import pytest

from rateproof import InvalidArgument, InvalidPolicy, Quota
from rateproof.enforce.limits_storage import counting_limit
from rateproof.enforce.stores.tables import check_quota

S = 1_000_000_000


def acquired(tables, times):
    """Number of so many entries that it lets a key take, of 5 in 10 seconds."""
    return [tables.acquire_entry("a", 5, 10) for _ in range(times)].count(True)


def test_a_moving_window_holds_its_limit_and_frees_an_entry_exactly_a_window_later(tables, clock):
    assert acquired(tables, 2) == 2
    clock.advance(4 * S)
    assert acquired(tables, 9) == 3
    clock.advance(6 * S - 1)
    assert acquired(tables, 1) == 0
    clock.advance(1)
    assert acquired(tables, 9) == 2


def test_a_moving_window_tells_its_oldest_entry_and_how_many_it_holds(tables, clock):
    assert tables.get_moving_window("a", 5, 10) == (clock.time(), 0)
    first = clock.time()
    tables.acquire_entry("a", 5, 10)
    clock.advance(4 * S)
    tables.acquire_entry("a", 5, 10, amount=4)
    assert tables.get_moving_window("a", 5, 10) == (pytest.approx(first, abs=1e-6), 5)
    clock.advance(6 * S)
    assert tables.get_moving_window("a", 5, 10) == (pytest.approx(first + 4, abs=1e-6), 4)


def test_entries_are_taken_all_or_none(tables):
    assert tables.acquire_entry("a", 5, 10, amount=3)
    assert not tables.acquire_entry("a", 5, 10, amount=3)
    assert not tables.acquire_entry("a", 5, 10, amount=6)
    assert tables.acquire_entry("a", 5, 10, amount=2)


def test_a_fixed_window_opens_with_its_first_hit_and_ends_a_window_later(tables, clock):
    clock.advance(7 * S)
    assert [tables.incr("a", 10), tables.incr("a", 10, 4), tables.get("a")] == [1, 5, 5]
    end = clock.time() + 10
    clock.advance(10 * S - 1)
    assert tables.incr("a", 10) == 6
    assert tables.get_expiry("a") == pytest.approx(end, abs=0.011)
    clock.advance(10_000_000)
    assert tables.get("a") == 0
    assert tables.get_expiry("a") == clock.time()
    assert tables.incr("a", 10) == 1


@pytest.mark.parametrize("expiry", [1, 60, 86_400])
def test_a_fixed_window_is_never_short_and_at_most_a_thousandth_long(tables, clock, expiry):
    tables.incr("a", expiry)
    length = tables.get_expiry("a") - clock.time()
    assert expiry - 1e-6 <= length <= expiry * 1.001


def test_fixed_windows_of_keys_and_lengths_are_apart(tables):
    for amount, (key, expiry) in enumerate([("a", 10), ("b", 10), ("c", 60)], start=1):
        assert tables.incr(key, expiry, amount) == amount
    assert [tables.get(key) for key in "abcd"] == [1, 2, 3, 0]


def test_what_a_fixed_window_cannot_count_exceeds_every_limit_that_it_can_keep(tables):
    bound = counting_limit(S)
    assert tables.incr("a", 1, bound - 1) == bound - 1
    assert tables.incr("a", 1, 2) > bound
    assert tables.incr("a", 1, bound + 1) > bound
    assert tables.incr("a", 1) == bound
    assert tables.incr("a", 1) > bound


@pytest.mark.parametrize("window_ns", [S, 2 * S, 60 * S, 134 * S, 135 * S, 86_400 * S, 2**59])
def test_the_greatest_count_of_a_fixed_window_is_the_greatest_that_a_table_takes(window_ns):
    limit = counting_limit(window_ns)
    check_quota(Quota(limit, window_ns, "first-hit-window"), 1)
    with pytest.raises((InvalidArgument, InvalidPolicy)):
        check_quota(Quota(2 * limit + 1, window_ns, "first-hit-window"), 1)


def test_a_sliding_window_counter_weighs_the_window_before_exactly(tables, clock):
    def take(amount):
        return tables.acquire_sliding_window_entry("a", 10, 10, amount)

    assert take(10)
    assert not take(1)
    clock.advance(10 * S + 1)
    assert not take(1)  # 9.999999999 + 1
    clock.advance(1 * S - 1)
    assert take(1)
    clock.advance(3 * S)
    assert not take(4)
    assert take(3)


def test_a_sliding_window_counter_tells_its_two_windows(tables, clock):
    assert tables.get_sliding_window("a", 10) == (0, 0.0, 0, 20.0)
    tables.acquire_sliding_window_entry("a", 10, 10, 4)
    clock.advance(3 * S)
    assert tables.get_sliding_window("a", 10) == (0, 0.0, 4, 17.0)
    clock.advance(9 * S)
    tables.acquire_sliding_window_entry("a", 10, 10, 2)
    assert tables.get_sliding_window("a", 10) == (4, 8.0, 2, 18.0)
    clock.advance(8 * S)
    assert tables.get_sliding_window("a", 10) == (2, 10.0, 0, 20.0)


def test_the_previous_count_is_exact_until_it_weighs_one_request(tables, clock):
    tables.acquire_sliding_window_entry("a", 100, 10, 77)
    clock.advance(10 * S)
    for _ in range(99):
        previous, left, current, _ = tables.get_sliding_window("a", 10)
        assert current == 0
        if 77 * left / 10 > 1:
            assert previous == 77
        else:
            assert 77 * left / 10 <= previous * left / 10 <= 1
        clock.advance(S // 10)


def test_sliding_window_counters_of_one_key_and_two_lengths_are_apart(tables):
    tables.acquire_sliding_window_entry("a", 5, 10, 4)
    tables.acquire_sliding_window_entry("a", 5, 60, 3)
    assert [tables.get_sliding_window("a", expiry)[2] for expiry in (10, 60, 90)] == [4, 3, 0]
    tables.clear_sliding_window("a", 10)
    assert [tables.get_sliding_window("a", expiry)[2] for expiry in (10, 60)] == [0, 3]


def test_looking_at_the_windows_changes_nothing(tables, clock):
    assert tables.acquire_sliding_window_entry("a", 5, 10, 3)
    for _ in range(3):
        tables.get_sliding_window("a", 10)
        clock.advance(1)
    assert not tables.acquire_sliding_window_entry("a", 5, 10, 3)
    assert tables.acquire_sliding_window_entry("a", 5, 10, 2)
    assert tables.get_sliding_window("a", 10)[:3] == (0, 0.0, 5)
