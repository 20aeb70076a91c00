"""The first keys of a probe, on a virtual clock."""

from itertools import accumulate, pairwise

import pytest

from rateproof.probe.budget import Budget, Spending
from rateproof.probe.course import Course
from rateproof.probe.limit_search import LimitSearch, delays

S = 1_000_000_000


def test_a_key_of_which_every_answer_is_lost_tells_nothing_of_counters(simulated):
    """As where an error comes back to all that is sent at once."""
    sender = simulated.Sender(simulated.make("sliding-log", 5, S), 1)
    sender.hitter = lambda **_: lambda *_: []
    course = Course(limit=5, alone=5, held_ns=S)
    LimitSearch(sender, course, Spending(sender, Budget()), [S]).scatter()
    assert course.several is None


def searched(simulated, name, limit, seed):
    """A search for a limit in windows of 5 s, the recovery, and the two keys that it filled."""
    sender = simulated.Sender(simulated.make(name, limit, 5 * S), seed, slow=0)
    budget, course = Budget(), Course()
    search = LimitSearch(sender, course, Spending(sender, budget), delays(budget.time_ns, ()))
    return search, search.find(), course.keys[:2]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "name", ["window that each request pushes on", "window that each denial pushes on"]
)
def test_one_of_two_keys_is_back_in_time_though_denials_put_it_off(name, seed, simulated):
    """Each is asked every second time; the other one is not back then."""
    _, recovery, keys = searched(simulated, name, 4, seed)
    assert recovery.admitted_ns - recovery.filled_ns < 15 * S
    assert sorted(key[-1].admitted for key in keys) == [0, 1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["sliding-log", "first-hit-window", "fixed-window"])
def test_where_no_denial_puts_off_both_keys_are_back(name, seed, simulated):
    """Which refutes that any does."""
    _, recovery, keys = searched(simulated, name, 4, seed)
    assert recovery.denied_ns - recovery.filled_ns < 5 * S
    assert [key[-1].admitted for key in keys] == [1, 1]


def test_a_key_of_a_limit_of_one_is_left_alone_from_the_start(simulated):
    """Asked once, and by nobody until it is known how long that has to be."""
    search, recovery, _ = searched(simulated, "sliding-log", 1, 1)
    _, key = search.idle
    assert [(seen.admitted, seen.denied) for seen in key] == [(1, 0)]
    assert key[0].sent_ns < recovery.denied_ns
    search, _, _ = searched(simulated, "sliding-log", 4, 1)
    assert search.idle is None


@pytest.mark.parametrize(("name", "filled"), [("sliding-log", True), ("token-bucket", False)])
def test_a_key_that_is_back_is_filled_again_unless_all_comes_back_one_by_one(
    name, filled, simulated
):
    """A bucket of 40 per 2 s denies the next request: 39 more tell nothing."""
    sender = simulated.Sender(simulated.make(name, 40, 2 * S), 1, slow=0)
    budget, course = Budget(), Course()
    LimitSearch(sender, course, Spending(sender, budget), delays(budget.time_ns, ())).find()
    again = course.keys[1][1:]
    assert (max(seen.admitted + seen.denied for seen in again) >= 39) is filled


def test_polls_are_so_close_that_a_window_is_known_to_a_third():
    instants = [*accumulate(delays(60 * S, ()))]
    assert all(3 * later <= 4 * earlier for earlier, later in pairwise(instants))
    assert instants[-1] > 45 * S


def test_a_denial_on_one_connection_tells_the_limit_though_no_requests_are_left_for_many(simulated):
    """Of 60 requests 51 fill the first key: 9 on a second one would tell nothing."""
    sender = simulated.Sender(simulated.make("sliding-log", 50, S), 1, slow=0)
    budget, course = Budget(60), Course()
    search = LimitSearch(sender, course, Spending(sender, budget), [S])
    assert search.find() is None
    assert (course.limit, course.several, sender.requests) == (50, None, 51)


def test_what_a_rate_leaves_no_time_for_is_not_left(simulated):
    sender = simulated.Sender(simulated.make("sliding-log", 5, S), 1, slow=0)
    spending = Spending(sender, Budget(2_100, 10 * S, max_rate=2))
    assert (spending.left, spending.spare(1, 5)) == (20, 20)
    sender.clock_ns += 9 * S
    assert spending.left == 2
    sender.clock_ns += 9 * S
    assert spending.left == 0
