"""The specification itself, on stamps without storage."""

import pytest

from rateproof.enforce.algorithms import answer, cells_to_take, wait_ns


def test_a_cell_is_busy_until_exactly_one_window_after_its_stamp():
    assert not answer([10], limit=1, window_ns=5, now_ns=14, cost=1).admitted
    assert answer([10], limit=1, window_ns=5, now_ns=15, cost=1).admitted


def test_cells_never_taken_are_free():
    assert answer([], limit=3, window_ns=5, now_ns=0, cost=3) == (True, False, 3, 0, 0)


def test_a_stamp_from_the_future_is_busy():
    """A reader whose clock reading is older than the writer's denies: never looser."""
    assert answer([20], limit=1, window_ns=5, now_ns=10, cost=1) == (False, False, 0, 15, 15)


@pytest.mark.parametrize(("count", "wait"), [(1, 0), (2, 2), (3, 4)])
def test_waits_for_as_many_cells_as_are_missing(count, wait):
    assert wait_ns([12, 10], limit=3, window_ns=5, now_ns=13, count=count) == wait


def test_takes_the_cells_with_the_oldest_stamps():
    assert cells_to_take([9, 0, 3, 0, 7], cost=3) == [1, 3, 2]
