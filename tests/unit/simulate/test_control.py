"""Claims about what somebody can do to a run: every wish is kept, whoever has it."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.errors import InvalidArgument
from rateproof.simulate.control import Control
from rateproof.simulate.run_metadata import control_metadata


def test_a_new_control_asks_for_nothing():
    control = Control()
    assert not control.stopping
    assert not control.paused
    assert control.bursts == control.extra_clients == 0


def test_whoever_sets_the_shared_event_stops_the_run():
    stop = threading.Event()
    control = Control(stop)
    stop.set()
    assert control.stopping
    assert control.wait(60)


def test_to_stop_sets_the_shared_event_and_is_for_good():
    stop = threading.Event()
    control = Control(stop)
    control.stop()
    control.resume()
    control.stop()
    assert stop.is_set()
    assert control.stopping


def test_waiting_ends_at_once_when_the_run_is_stopped_and_else_with_the_time():
    control = Control()
    assert not control.wait(0.01)
    threading.Timer(0.05, control.stop).start()
    before = time.monotonic()
    assert control.wait(60)
    assert time.monotonic() - before < 30


def test_pauses_do_not_add_up():
    control = Control()
    control.pause()
    control.pause()
    assert control.paused
    control.resume()
    assert not control.paused


@given(st.integers(-50, 0), st.integers(0, 50), st.lists(st.integers(-80, 80)), st.integers(0, 10))
def test_extra_clients_never_leave_their_bounds_and_never_stick_to_them(low, high, counts, before):
    control = Control()
    control.add_clients(before)
    control.bound_clients(low, high)
    expected = min(before, high)
    for count in counts:
        control.add_clients(count)
        expected = min(max(expected + count, low), high)
        assert control.extra_clients == expected
    control.add_clients(low - high)
    assert control.extra_clients == low


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(InvalidArgument, match="bounds of 1 to 0 clients"):
        Control().bound_clients(1, 0)


def test_no_wish_is_lost_when_many_threads_have_some():
    control = Control()

    def wish():
        for _ in range(500):
            control.burst()
            control.add_clients(2)
            control.add_clients(-1)

    threads = [threading.Thread(target=wish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert control.bursts == 4_000
    assert control.extra_clients == 4_000


def test_to_abandon_is_to_stop_as_well():
    control = Control()
    assert not control.abandoned
    control.stop()
    assert not control.abandoned
    control.abandon()
    assert control.abandoned
    fresh = Control()
    fresh.abandon()
    assert fresh.stopping


def test_what_was_done_is_noted_with_its_instant_and_what_changed_nothing_is_not():
    control = Control()
    before = time.monotonic_ns()
    control.resume()
    control.add_clients(0)
    control.pause()
    control.pause()
    control.burst()
    control.resume()
    control.add_clients(5)
    control.bound_clients(-1, 3)
    control.add_clients(1)
    control.stop()
    control.stop()
    control.abandon()
    control.abandon()
    actions = control.actions
    assert [action["what"] for action in actions] == (
        ["pause", "burst", "resume", "clients", "clients", "stop", "abandon"]
    )
    assert [action["clients"] for action in actions if "clients" in action] == [5, 3]
    instants = [before, *(action["at_ns"] for action in actions), time.monotonic_ns()]
    assert instants == sorted(instants)


def test_a_run_that_somebody_only_ended_was_not_steered():
    control = Control()
    assert control_metadata(control) == {}
    control.stop()
    assert control_metadata(control) == {}
    control.abandon()
    assert control_metadata(control) == {"control": control.actions}
