"""The reach of a name says no more than what was tried."""

import pytest

from rateproof.probe.reach import reach_of
from rateproof.probe.seen import Seen


def _key(*rows):
    return [Seen(at, at + 1, admitted, denied) for at, admitted, denied in rows]


def test_admissions_are_told_with_the_time_of_the_key_that_got_them():
    """Of a key that is watched for longer but admitted less, only how long it was is told."""
    busy = _key((0, 5, 1), (10, 5, 1), (20, 5, 9), (29, 0, 1))
    idle = _key((0, 1, 0), (70, 1, 0))
    reach = reach_of([busy, idle], 10)
    assert (reach.requests, reach.denied) == (27, 12)
    assert (reach.watched_ns, reach.idle_ns) == (71, 69)
    assert (reach.admitted, reach.admitted_ns) == (15, 21)
    assert reach_of([], 10) == (0,) * 10


@pytest.mark.parametrize(("window_ns", "most"), [(1, 0), (2, 5), (6, 8), (20, 12)])
def test_of_all_keys_together_only_what_was_surely_within_a_window_counts(window_ns, most):
    keys = [_key((0, 5, 1)), _key((4, 3, 0), (9, 0, 7)), _key((17, 4, 0))]
    assert reach_of(keys, window_ns).together == most


@pytest.mark.parametrize(("window_ns", "most"), [(1, 0), (2, 7), (6, 7), (8, 8), (60, 9)])
def test_of_denials_only_those_of_one_key_within_a_window_count(window_ns, most):
    """A ban after more of them was not met by as many in many windows."""
    keys = [_key((0, 5, 1), (5, 0, 7), (50, 0, 1)), _key((4, 3, 5))]
    assert reach_of(keys, window_ns).denied_together == most


def test_keys_are_side_by_side_as_long_as_they_are_asked_again():
    """A limiter that forgets whoever is asked least shows it only to more keys than it has room for."""
    keys = [_key((0, 5, 1), (20, 1, 0)), _key((4, 3, 0), (9, 0, 7)), _key((15, 4, 0))]
    assert reach_of(keys, 1).keys == 2


_FILLED, _DENIED = (0, 5, 0), (95, 0, 1)


@pytest.mark.parametrize(
    ("rows", "returns"),
    [
        ((_FILLED, _DENIED), 0),
        ((_FILLED, _DENIED, (100, 5, 1)), 1),
        ((_FILLED, (60, 0, 1), (100, 5, 1)), 0),  # it may have been back for long
        ((_FILLED, (100, 5, 1), (200, 5, 1)), 0),  # never denied before
        (((0, 4, 0), _DENIED, (100, 4, 0)), 0),  # never full
        ((_FILLED, _DENIED, (100, 5, 1), (195, 0, 1), (200, 5, 1)), 2),
        ((_FILLED, _DENIED, (100, 5, 1), (150, 0, 1), (200, 5, 1), (295, 0, 1), (300, 1, 0)), 1),
    ],
)
def test_a_full_key_is_seen_to_come_back_between_a_denial_and_an_admission_that_are_close(
    rows, returns
):
    assert reach_of([_key((0, 1, 0)), _key(*rows)], 100, 5).returns == returns
