"""Clocks: manual ones move only when told, and none goes back."""

import pytest

from rateproof.clock import ManualClock, SystemClock
from rateproof.errors import InvalidArgument


def test_a_manual_clock_stands_still_until_it_is_advanced():
    clock = ManualClock(7)
    assert (clock.now_ns(), clock.now_ns()) == (7, 7)
    clock.advance(3)
    clock.advance(0)
    assert clock.now_ns() == 10


def test_a_manual_clock_never_steps_back():
    clock = ManualClock()
    with pytest.raises(InvalidArgument, match="-1"):
        clock.advance(-1)
    with pytest.raises(InvalidArgument, match="-5"):
        ManualClock(-5)
    assert clock.now_ns() == 0


def test_the_system_clock_never_decreases():
    clock = SystemClock()
    readings = [clock.now_ns() for _ in range(1000)]
    assert readings == sorted(readings)
