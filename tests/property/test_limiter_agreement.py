"""The reference core answers as a plain list of all admissions does, for every algorithm.

Every other store answers as the reference does: see `rateproof.testing.StoreAgreement`.
"""

import os
from bisect import bisect_left
from collections import defaultdict
from contextlib import contextmanager
from fractions import Fraction
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.clock import ManualClock
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.policy import Policy, Quota
from tests.samples import samples

# The models: whether `cost` fits at `now`, from the list of the key's admissions alone.


def fits_log(quota, admitted, now, cost):
    return cost + sum(now - quota.window_ns < t for t in admitted) <= quota.limit


def fits_bucket(quota, admitted, now, cost):
    """A bucket with a hole, into which admissions are poured: it must not run over."""
    drop = -(-quota.window_ns // quota.limit)
    level, before = 0, 0
    for t in admitted:
        level = max(0, level - (t - before)) + drop
        before = t
    return max(0, level - (now - before)) + cost * drop <= quota.burst * drop


def fits_fixed(quota, admitted, now, cost):
    start = now - now % quota.window_ns
    return cost + sum(start <= t for t in admitted) <= quota.limit


def fits_first_hit(quota, admitted, now, cost):
    count, end = 0, 0
    for t in admitted:
        if t >= end:
            count, end = 0, t + quota.window_ns
            while end % max(1, 2 ** (quota.limit.bit_length() - 2)):
                end += 1
        count += 1
    return cost + (count if now < end else 0) <= quota.limit


def fits_counter(quota, admitted, now, cost):
    window = quota.window_ns
    start = now - now % window
    weight = Fraction(start + window - now, window)
    previous = sum(start - window <= t < start for t in admitted)
    return cost + weight * previous + sum(start <= t for t in admitted) <= quota.limit


def fits_blocks(quota, admitted, now, cost):
    block = -(-quota.window_ns // quota.parameter)
    oldest = now // block - quota.parameter
    return cost + sum(t // block >= oldest for t in admitted) <= quota.limit


FITS = {
    "sliding-log": fits_log,
    "token-bucket": fits_bucket,
    "fixed-window": fits_fixed,
    "first-hit-window": fits_first_hit,
    "sliding-counter": fits_counter,
    "sliding-blocks": fits_blocks,
}


class ListOfAdmissions:
    """Instants at which each quota admitted each key; and answers found by trying.

    What fits keeps fitting while nothing is admitted, so bisection finds when it first does.
    """

    def __init__(self):
        self.admitted_at = defaultdict(list)

    def fits(self, key, quota, now, cost):
        return FITS[quota.algorithm](quota, self.admitted_at[key, quota], now, cost)

    def free(self, key, quota, now):
        return next(n for n in range(quota.burst, -1, -1) if self.fits(key, quota, now, n))

    def wait(self, key, quota, now, cost):
        waits = range(2 * quota.window_ns * (quota.burst + 1) + 8)
        return bisect_left(waits, 1, key=lambda wait: self.fits(key, quota, now + wait, cost))

    def peek(self, key, quotas, cost, now):
        admitted = all(self.fits(key, quota, now, cost) for quota in quotas)
        return admitted, self.states(key, quotas, cost, now, admitted)

    def hit(self, key, quotas, cost, now):
        admitted, states = self.peek(key, quotas, cost, now)
        if admitted:
            for quota in set(quotas):
                self.admitted_at[key, quota] += [now] * cost
            states = self.states(key, quotas, cost, now, admitted)
        return admitted, states

    def reset(self, key, quotas):
        for quota in quotas:
            self.admitted_at[key, quota] = []

    def states(self, key, quotas, cost, now, admitted):
        return [
            (
                self.free(key, quota, now),
                0 if admitted else self.wait(key, quota, now, cost),
                self.wait(key, quota, now, quota.burst),
            )
            for quota in quotas
        ]


def small(algorithm):
    return st.builds(Quota, st.integers(1, 7), st.integers(1, 12), st.just(algorithm))


QUOTAS = {name: small(name) for name in RULES} | {
    "token-bucket": st.builds(
        lambda limit, interval, rest, burst: Quota(
            limit, limit * interval + rest, "token-bucket", burst
        ),
        st.integers(1, 4),
        st.sampled_from([1000, 1001]),
        st.integers(0, 9),
        st.integers(1, 7),
    ),
    "sliding-blocks": st.builds(
        lambda limit, blocks, rest: Quota(
            limit, 1000 * blocks + rest, "sliding-blocks", parameter=blocks
        ),
        st.integers(1, 7),
        st.integers(1, 5),
        st.integers(0, 9),
    ),
    "first-hit-window": small("first-hit-window")
    | st.builds(Quota, st.integers(8, 9), st.integers(4000, 4009), st.just("first-hit-window")),
}


def policies(algorithms):
    quotas = st.sampled_from(algorithms).flatmap(QUOTAS.__getitem__)
    return st.lists(quotas, min_size=1, max_size=3).map(lambda found: Policy(tuple(found)))


# How far the clock moves: to about when something changes, as the last answer has it.
moves = st.tuples(st.sampled_from(["", "", "retry", "reset", "window"]), st.integers(-1, 5))
steps = st.lists(
    st.tuples(
        st.sampled_from(["hit", "hit", "hit", "hit", "peek", "reset"]),
        st.sampled_from([b"", b"a", b"b"]),
        st.integers(1, 7),
        moves,
    ),
    min_size=20,  # else hypothesis draws about five
    max_size=60,
)


def distance(move, policy, last):
    to, more = move
    base = {
        "": 0,
        "retry": last and last.retry_after_ns,
        "reset": last and last.reset_after_ns,
        "window": max(quota.window_ns for quota in policy.quotas) // 3,
    }[to]
    return max(0, (base or 0) + more)


def seen(decision):
    figures = [(s.remaining, s.retry_after_ns, s.reset_after_ns) for s in decision.quotas]
    remaining, retry_after, reset_after = zip(*figures, strict=True)
    assert decision.remaining == min(remaining)
    assert decision.retry_after_ns == max(retry_after)
    assert decision.reset_after_ns == max(reset_after)
    assert decision.reason == "quota"
    return decision.admitted, figures


@contextmanager
def opened(core, policy, clock):
    with (
        patch.dict(os.environ, RATEPROOF_CORE=core),
        Limiter(policy, clock=clock, capacity=256) as limiter,
    ):
        yield limiter


EACH_AND_MIXED = pytest.mark.parametrize(
    "algorithms", [*([name] for name in RULES), sorted(RULES)], ids=[*RULES, "mixed"]
)


@EACH_AND_MIXED
@given(data=st.data(), steps=steps, start=st.sampled_from([0, 3, 10**15, 2**59]))
@settings(max_examples=samples(6))
def test_answers_as_a_list_of_all_admissions_does(algorithms, data, steps, start):
    policy = data.draw(policies(algorithms))
    clock = ManualClock(start)
    model = ListOfAdmissions()
    most = min(quota.burst for quota in policy.quotas)
    last = None
    with opened("python", policy, clock) as limiter:
        for operation, key, wanted, move in steps:
            clock.advance(distance(move, policy, last))
            cost = min(wanted, most)
            if operation == "reset":
                limiter.reset(key)
                model.reset(key, policy.quotas)
                continue
            expected = getattr(model, operation)(key, policy.quotas, cost, clock.now_ns())
            last = getattr(limiter, operation)(key, cost)
            assert seen(last) == expected


class SteppingClock:
    """A clock that steps back, or that is read long before the reading is used."""

    reading = 10**6

    def now_ns(self):
        return self.reading


def late(states, lag):
    """Waits that count from a reading which lags behind the time of the decision."""
    return [(left, *(wait + lag if wait else 0 for wait in waits)) for left, *waits in states]


@EACH_AND_MIXED
@pytest.mark.parametrize("core", ["python", "native"])
@given(
    data=st.data(),
    steps=st.lists(
        st.tuples(st.integers(-9, 12), st.booleans(), st.integers(1, 3)), min_size=20, max_size=60
    ),
)
@settings(max_examples=samples(4))
def test_the_time_of_a_table_never_goes_back(core, algorithms, data, steps):
    """A reading counts as the latest that any of the tables asked has decided at."""
    policy = data.draw(policies(algorithms))
    clock = SteppingClock()
    model = ListOfAdmissions()
    latest = dict.fromkeys(policy.quotas, 0)
    step_ns = -(-min(quota.window_ns for quota in policy.quotas) // 10)
    with opened(core, policy, clock) as limiter:
        for tenths, alone, wanted in steps:
            clock.reading += tenths * step_ns
            quotas = policy.quotas[:1] if alone else policy.quotas
            cost = min(wanted, *(quota.burst for quota in quotas))
            now = max(clock.reading, *(latest[quota] for quota in quotas))
            latest.update(dict.fromkeys(quotas, now))
            admitted, states = model.hit(b"a", quotas, cost, now)
            decision = limiter.hit(b"a", cost, policy=Policy(quotas))
            assert seen(decision) == (admitted, late(states, now - clock.reading))
