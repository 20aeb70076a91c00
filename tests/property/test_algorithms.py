"""Laws that hold for every algorithm in every state that it can come into."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.enforce.algorithms import RULES
from rateproof.policy import ALGORITHMS, Quota
from tests.samples import samples

# What can pass, at which distance from the attempt before in tenths of a window and ns.
attempts = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(1, 7)), min_size=5, max_size=20
)
limits = st.integers(1, 9)
laws = settings(max_examples=samples(15))


def quota_of(algorithm, limit, burst):
    """One that a table accepts."""
    window_ns = 4000 + limit if algorithm == "first-hit-window" else 20
    if algorithm == "token-bucket":
        return Quota(limit, 1000 * limit + 3, algorithm, burst)
    blocks = 4 if ALGORITHMS[algorithm].parameter.most else 0
    return Quota(limit, window_ns, algorithm, parameter=blocks)


class Run:
    """The state after some attempts, and the time of the last."""

    def __init__(self, quota, attempts):
        self.quota = quota
        self.rule = RULES[quota.algorithm]
        self.new = (0,) * self.rule.width(quota)
        self.state = self.new
        self.now = 0
        for tenths, ns, wanted in attempts:
            self.now += tenths * quota.window_ns // 10 + ns
            cost = min(wanted, quota.burst)
            if self.retry(0, cost) == 0:
                self.state = self.rule.charged(quota, self.state, self.now, cost)

    def times(self):
        """Waits after which anything may change, and some between."""
        ends = {self.retry(0, cost) for cost in range(1, self.quota.burst + 1)}
        window_ns = self.quota.window_ns
        base = {0, *ends, *range(0, 3 * window_ns, -(-window_ns // 8))}
        return sorted({max(0, wait + near) for wait in base for near in (-1, 0, 1)})

    def retry(self, wait, cost, state=None):
        state = self.state if state is None else state
        return self.rule.retry_after_ns(self.quota, state, self.now + wait, cost)

    def reset(self, wait):
        return self.rule.reset_after_ns(self.quota, self.state, self.now + wait)

    def remaining(self, wait, state=None):
        state = self.state if state is None else state
        return self.rule.remaining(self.quota, state, self.now + wait)


@pytest.mark.parametrize("algorithm", RULES)
@given(attempts=attempts, limit=limits, burst=limits)
@laws
def test_a_wait_told_is_exact_at_any_time_while_nothing_else_passes(
    algorithm, attempts, limit, burst
):
    run = Run(quota_of(algorithm, limit, burst), attempts)
    for wait in run.times():
        for cost in range(1, run.quota.burst + 1):
            assert run.retry(wait, cost) == max(0, run.retry(0, cost) - wait)
        assert run.reset(wait) == max(0, run.reset(0) - wait)


@pytest.mark.parametrize("algorithm", RULES)
@given(attempts=attempts, limit=limits, burst=limits)
@laws
def test_remaining_is_the_greatest_cost_that_passes(algorithm, attempts, limit, burst):
    run = Run(quota_of(algorithm, limit, burst), attempts)
    for wait in run.times():
        passing = [cost for cost in range(1, run.quota.burst + 1) if run.retry(wait, cost) == 0]
        assert run.remaining(wait) == max(passing, default=0)


@pytest.mark.parametrize("algorithm", RULES)
@given(attempts=attempts, limit=limits, burst=limits)
@laws
def test_the_quota_is_all_free_exactly_when_the_state_binds_nobody(
    algorithm, attempts, limit, burst
):
    """So that a slot with such a state can be given to another key as it is."""
    run = Run(quota_of(algorithm, limit, burst), attempts)
    idle_from = run.reset(0)
    if idle_from:
        assert run.remaining(idle_from - 1) < run.quota.burst
    for wait in run.times():
        if wait >= idle_from:
            assert run.remaining(wait) == run.quota.burst
            used, fresh = (
                run.rule.charged(run.quota, state, run.now + wait, 1)
                for state in (run.state, run.new)
            )
            for later in run.times():
                if later >= wait:
                    assert run.remaining(later, used) == run.remaining(later, fresh)


@pytest.mark.parametrize("algorithm", RULES)
@given(attempts=attempts, limit=limits, burst=limits)
@laws
def test_who_dies_between_two_words_of_a_charge_loosens_nothing(algorithm, attempts, limit, burst):
    """Words are stored from left to right; the old state, or a stricter one, is left behind."""
    run = Run(quota_of(algorithm, limit, burst), attempts)
    for wait in run.times():
        for cost in {1, run.remaining(wait)} if run.remaining(wait) else ():
            after = run.rule.charged(run.quota, run.state, run.now + wait, cost)
            part = {after[:stored] + run.state[stored:] for stored in range(1, len(after))}
            part -= {after, run.state}  # then it died before the charge, or after it
            for later in run.times() if part else ():
                if later >= wait:
                    least, most = run.remaining(later, after), run.remaining(later)
                    for left in part:
                        assert least <= run.remaining(later, left) <= most
