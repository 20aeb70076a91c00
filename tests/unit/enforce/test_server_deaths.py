"""The wait for a dead worker: pauses that double, and an end."""

from rateproof.enforce.server.granian_server import Deaths


def pauses(deaths, worker, times_s):
    return [deaths.pause_s([worker], at_s) for at_s in times_s]


def test_pauses_double_and_the_tenth_death_within_a_minute_is_the_last():
    found = pauses(Deaths(), 0, range(10))
    assert found == [0, 0.1, 0.30000000000000004, 0.7000000000000001, 1.5, 3.1, 5, 5, 5, None]


def test_deaths_that_are_a_minute_old_are_forgotten():
    deaths = Deaths()
    assert pauses(deaths, 0, range(0, 600, 7)).count(None) == 0
    assert pauses(deaths, 0, [700]) == [0]


def test_each_worker_has_its_own():
    deaths = Deaths()
    assert [deaths.pause_s([0, 1], at_s) for at_s in range(9)][-1] == 5
    assert deaths.pause_s([2], 9) == 0
    assert deaths.pause_s([1, 2], 9) is None
