"""Claims about the clock of a run: it stands still while paused, and maps back exactly."""

from hypothesis import given
from hypothesis import strategies as st

from rateproof.simulate.transports.runclock import RunClock

START = 1_000


def test_without_a_pause_it_is_the_time_since_the_start():
    clock = RunClock(START)
    assert clock.elapsed_ns(START) == 0
    assert clock.elapsed_ns(START + 7) == 7
    assert clock.monotonic_ns(7) == START + 7


def test_it_stands_still_while_paused_and_goes_on_from_there():
    clock = RunClock(START)
    clock.pause(START + 10)
    assert clock.paused
    assert [clock.elapsed_ns(START + later) for later in (9, 10, 11, 500)] == [9, 10, 10, 10]
    clock.resume(START + 60)
    assert not clock.paused
    assert [clock.elapsed_ns(START + later) for later in (9, 10, 60, 61)] == [9, 10, 10, 11]
    assert [clock.monotonic_ns(age) for age in (9, 10, 11)] == [START + 9, START + 10, START + 61]


def test_to_pause_or_resume_twice_changes_nothing():
    clock = RunClock(START)
    clock.resume(START + 5)
    clock.pause(START + 10)
    clock.pause(START + 20)
    clock.resume(START + 30)
    clock.resume(START + 40)
    assert clock.elapsed_ns(START + 50) == 30


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50))), st.integers(0, 3_000))
def test_it_counts_exactly_the_instants_outside_of_all_pauses(pauses, later):
    clock, now, outside = RunClock(START), START, []
    for going, standing in pauses:
        outside += range(now, now + going)
        now += going
        clock.pause(now)
        now += standing
        clock.resume(now)
    outside += range(now, max(now, START + later))
    age = sum(instant < START + later for instant in outside)
    assert clock.elapsed_ns(START + later) == age
    assert clock.elapsed_ns(clock.monotonic_ns(age)) == age
    assert clock.monotonic_ns(age) <= START + later
