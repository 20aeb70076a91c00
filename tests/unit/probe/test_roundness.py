"""What people write is what is guessed, and only where nothing as round is near."""

import pytest

from rateproof.probe.roundness import rate_in, window_in

MS = 1_000_000


@pytest.mark.parametrize(
    ("low_ms", "high_ms", "window_ms", "pinned"),
    [
        (985, 1012, 1000, True),
        (960, 1040, 1000, True),
        (900, 1100, 1000, False),
        (4900, 5100, 5000, True),
        (59_000, 61_000, 60_000, True),
        (1299, 1304, 1300, True),
        (1240, 1360, 1300, False),
        (46, 53, 50, True),
        (1365, 1372, 1370, False),
        (1371, 1373, 1372, True),
    ],
)
def test_the_roundest_window_between_two_bounds(low_ms, high_ms, window_ms, pinned):
    guess = window_in(low_ms * MS, high_ms * MS)
    assert abs(guess.window_ns - window_ms * MS) <= 2 * MS
    assert guess.pinned == pinned


def test_ten_thousand_an_hour_is_no_round_rate():
    assert rate_in(327 * MS, 369 * MS).pinned is False


@pytest.mark.parametrize(
    ("low_ms", "high_ms", "limit", "window_ms"),
    [
        (193, 205, 5, 1000),
        (990, 1010, 1, 1000),
        (590, 610, 100, 60_000),
        (331, 336, 3, 1000),
        (29_500, 30_400, 1, 30_000),
    ],
)
def test_the_roundest_rate_between_two_bounds(low_ms, high_ms, limit, window_ms):
    assert rate_in(low_ms * MS, high_ms * MS) == (limit, window_ms * MS, True)
