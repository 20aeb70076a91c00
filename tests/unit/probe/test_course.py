"""Whole courses against simulated limiters, on a virtual clock."""

import random

import pytest

from rateproof.probe.course import Budget, run_course
from rateproof.probe.families import FAMILIES

S = 1_000_000_000
NAMES = [family.name for family in FAMILIES]
BUDGET = Budget(requests=250)
BEGIN_NS = 10**15


def _course(simulated, name, limit, window_ns, seed, budget=BUDGET, **options):
    rng = random.Random(seed)
    limiter = simulated.make(name, limit, window_ns, rng.randrange(window_ns))
    sender = simulated.VirtualSender(limiter, seed, BEGIN_NS + rng.randrange(10**12), **options)
    return run_course(sender, budget), sender


def _found(course):
    """Family, limit and window of everything that is left, as they would be reported."""
    kinds = [] if course.hypotheses is None else course.hypotheses.kinds()
    return {
        (kind.family.name, kind.limit, kind.guess.window_ns // kind.guess.limit, kind.guess.pinned)
        for kind in kinds
    }


def _truth(name, limit, window_ns):
    time_ns = window_ns // limit if name == "token-bucket" else window_ns
    return {(name, limit, time_ns, True)}


@pytest.mark.parametrize("name", NAMES)
def test_limit_window_and_family_are_found(name, simulated):
    course, sender = _course(simulated, name, 5, S, seed=1)
    assert _found(course) == _truth(name, 5, S)
    assert sender.requests <= BUDGET.narrowing(5)
    assert sender.now_ns() - BEGIN_NS - 10**12 <= 60 * S


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_nearly_all_are_found(name, simulated):
    """Limits of 2 to 10, windows of 500 ms to 5 s, any phase; `benchmarks/prove.py` has the rate."""
    hits = 0
    for seed in range(16):
        rng = random.Random(-seed)
        limit, window_ns = rng.choice((2, 3, 5, 10)), rng.choice((500, 1000, 5000)) * 10**6
        course, _ = _course(simulated, name, limit, window_ns, seed)
        hits += _found(course) == _truth(name, limit, window_ns)
    assert hits >= 14


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_certain_is_never_wrong_on_a_busy_machine(name, simulated):
    """One answer in ten takes up to 100 ms longer; the truth stays among what is left."""
    for seed in range(6):
        course, _ = _course(simulated, name, 5, S, seed, slow=0.1)
        assert any(found[0] == name for found in _found(course)), seed


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("limit", [1, 50])
def test_the_truth_is_among_what_is_left_at_extreme_limits(limit, name, simulated):
    for seed in range(2):
        course, _ = _course(simulated, name, limit, S, seed)
        assert any(found[0] == name for found in _found(course)), seed


def test_with_a_limit_of_1_a_log_a_window_and_a_bucket_are_one(simulated):
    course, _ = _course(simulated, "sliding-log", 1, S, seed=3)
    found = _found(course)
    for name in ("sliding-log", "first-hit-window", "token-bucket"):
        assert (name, 1, S, True) in found


def test_a_wrong_hint_changes_no_finding(simulated):
    limiter = simulated.make("sliding-log", 3, S)
    sender = simulated.VirtualSender(limiter, 5)
    course = run_course(sender, BUDGET, hints_ns=(S // 2, 7 * S, 3600 * S))
    assert _found(course) == _truth("sliding-log", 3, S)


def test_a_right_hint_saves_nothing_but_requests(simulated):
    limiter = simulated.make("sliding-log", 3, 7 * S)
    sender = simulated.VirtualSender(limiter, 5)
    course = run_course(sender, BUDGET, hints_ns=(7 * S,))
    assert _found(course) == _truth("sliding-log", 3, 7 * S)


def test_the_tighter_of_two_limits_is_found(simulated):
    both = simulated.Both(
        simulated.make("sliding-log", 3, S), simulated.make("sliding-log", 40, 60 * S)
    )
    course = run_course(simulated.VirtualSender(both, 2), BUDGET)
    assert _found(course) == _truth("sliding-log", 3, S)


def test_no_limit_takes_the_budget_and_no_more(simulated):
    course, sender = _course(simulated, "sliding-log", 1000, S, seed=1, budget=Budget(requests=90))
    assert (course.limit, course.burst, course.hypotheses) == (0, 90, None)
    assert sender.requests == 90


def test_a_window_beyond_the_horizon_leaves_the_limit_alone(simulated):
    budget = Budget(requests=90, time_ns=2 * S)
    course, _ = _course(simulated, "sliding-log", 4, 3600 * S, seed=1, budget=budget)
    assert (course.limit, course.hypotheses) == (4, None)
    assert S < course.held_ns <= 2 * S


def test_a_first_burst_across_a_boundary_is_made_up_for(simulated):
    """A clock's window that ends within the burst shows up to 2N at once."""
    limiter = simulated.make("fixed-window", 5, S, 2_000_000)
    begin_ns = BEGIN_NS - BEGIN_NS % S
    course = run_course(simulated.VirtualSender(limiter, 7, begin_ns, slow=0), BUDGET)
    assert course.burst > 5
    assert _found(course) == _truth("fixed-window", 5, S)


class Changing:
    """Another limiter from some request on, as after a reload of its policy."""

    def __init__(self, one, other, after):
        self.one, self.other, self.left = one, other, after

    def admits(self, key, now_ns):
        self.left -= 1
        return (self.one if self.left >= 0 else self.other).admits(key, now_ns)


def test_what_nothing_explains_is_forgotten_and_begun_anew(simulated):
    changing = Changing(
        simulated.make("sliding-log", 5, S // 3), simulated.make("sliding-log", 5, S), 60
    )
    course = run_course(simulated.VirtualSender(changing, 5), BUDGET)
    assert course.forgotten > 0
    assert _found(course) == _truth("sliding-log", 5, S)


class Everybody:
    """Fresh keys are nobody to it: all share one count, of which others may have used some."""

    def __init__(self, limiter, used, begin_ns):
        self.limiter = limiter
        for _ in range(used):
            limiter.admits("", begin_ns)

    def admits(self, _key, now_ns):
        return self.limiter.admits("", now_ns)


@pytest.mark.parametrize("used", [0, 1, 3, 5])
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_a_fresh_key_that_is_denied_at_once_shares_the_count_of_others(used, seed, simulated):
    """Whoever has a limit of his own is admitted at first; a number that is named is right."""
    limiter = Everybody(simulated.make("sliding-log", 5, S // 2), used, BEGIN_NS)
    course = run_course(simulated.VirtualSender(limiter, seed, BEGIN_NS), BUDGET)
    assert course.shared
    kinds = course.hypotheses.kinds() if course.hypotheses else []
    if kinds and kinds[0].guess.pinned:
        assert (kinds[0].limit, kinds[0].guess.window_ns) == (5, S // 2)
