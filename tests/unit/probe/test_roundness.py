"""A round figure is said only where the bounds are close to it and hold no other."""

import pytest

from rateproof.probe.roundness import rate_in, window_in

MS = 1_000_000


@pytest.mark.parametrize(
    ("low_ms", "high_ms", "interval_ms", "window_ms", "round_"),
    [
        (996, 1004, 1, 1000, True),
        (985, 1012, 1, 998, False),
        (985, 1012, 10, 1000, True),
        (900, 1100, 10, 995, False),
        (4980, 5020, 1, 5000, True),
        (59_800, 60_200, 1, 60_000, True),
        (1299, 1304, 1, 1300, True),
        (4373, 4414, 1, 4393, False),
        (46, 53, 1, 49, False),
        (1371, 1373, 1, 1372, False),
    ],
)
def test_a_round_window_is_close_to_both_bounds(low_ms, high_ms, interval_ms, window_ms, round_):
    figure = window_in(low_ms * MS, high_ms * MS, interval_ms * MS)
    assert abs(figure.window_ns - window_ms * MS) <= MS
    assert figure.round == round_
    assert figure.window_ns - figure.error_ns <= low_ms * MS
    assert figure.window_ns + figure.error_ns >= high_ms * MS


def test_two_round_figures_between_the_bounds_are_none():
    assert window_in(950 * MS, 2100 * MS, 1000 * MS).round is False


@pytest.mark.parametrize(
    ("low_ms", "high_ms", "limit", "window_ms"),
    [
        (199.4, 200.5, 5, 1000),
        (996, 1004, 1, 1000),
        (598, 602, 100, 60_000),
        (332, 334.5, 3, 1000),
        (29_900, 30_100, 1, 30_000),
    ],
)
def test_a_round_rate_between_two_bounds(low_ms, high_ms, limit, window_ms):
    figure = rate_in(int(low_ms * MS), int(high_ms * MS), MS)
    assert (figure.limit, figure.window_ns, figure.round) == (limit, window_ms * MS, True)
