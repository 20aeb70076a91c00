"""Every core and store answers as a plain list of all admissions does."""

import os
from itertools import product
from unittest.mock import patch
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.clock import ManualClock
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import remove
from rateproof.policy import Policy, Quota

VARIANTS = list(product(("python", "native"), ("memory", "shm")))


class ListOfAdmissions:
    """The promise itself: at most N admissions in any half-open window of W, for each quota."""

    def __init__(self, policy):
        self.quotas = policy.quotas
        self.admitted_at = {}

    def free(self, key, quota, now_ns):
        times = self.admitted_at.get(key, [])
        return quota.limit - sum(t > now_ns - quota.window_ns for t in times)

    def wait(self, key, quota, now_ns, count):
        """The least time after which `count` are free, found by trying when each falls out."""
        ends = [t + quota.window_ns - now_ns for t in self.admitted_at.get(key, [])]
        waits = sorted({0, *(end for end in ends if end > 0)})
        return next(w for w in waits if self.free(key, quota, now_ns + w) >= count)

    def peek(self, key, cost, now_ns):
        admitted = all(self.free(key, quota, now_ns) >= cost for quota in self.quotas)
        return admitted, self.states(key, cost, now_ns, admitted)

    def hit(self, key, cost, now_ns):
        admitted, states = self.peek(key, cost, now_ns)
        if admitted:
            self.admitted_at.setdefault(key, []).extend([now_ns] * cost)
            states = self.states(key, cost, now_ns, admitted)
        return admitted, states

    def states(self, key, cost, now_ns, admitted):
        return [
            (
                self.free(key, quota, now_ns),
                0 if admitted else self.wait(key, quota, now_ns, cost),
                self.wait(key, quota, now_ns, quota.limit),
            )
            for quota in self.quotas
        ]


quotas = st.builds(Quota, st.integers(1, 6), st.integers(1, 12))
policies = st.builds(lambda qs: Policy(tuple(qs)), st.lists(quotas, min_size=1, max_size=3))
steps = st.lists(
    st.tuples(
        st.sampled_from(["hit", "hit", "hit", "hit", "peek", "reset"]),
        st.sampled_from([b"", b"a", b"b"]),
        st.integers(1, 6),
        st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 12]),
    ),
    max_size=40,
)


def seen(decision):
    figures = [(s.remaining, s.retry_after_ns, s.reset_after_ns) for s in decision.quotas]
    remaining, retry_after, reset_after = zip(*figures, strict=True)
    assert decision.remaining == min(remaining)
    assert decision.retry_after_ns == max(retry_after)
    assert decision.reset_after_ns == max(reset_after)
    assert not decision.full
    return decision.admitted, figures


@pytest.mark.parametrize(("core", "kind"), VARIANTS, ids=map("-".join, VARIANTS))
@given(policy=policies, steps=steps, start=st.sampled_from([0, 3, 10**15]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_answers_as_a_list_of_all_admissions_does(core, kind, policy, steps, start):
    name = f"test-{uuid4().hex}"
    store = f"shm://{name}" if kind == "shm" else "memory://"
    clock = ManualClock(start)
    model = ListOfAdmissions(policy)
    largest = min(quota.limit for quota in policy.quotas)
    try:
        with (
            patch.dict(os.environ, RATEPROOF_CORE=core),
            Limiter(policy, store=store, clock=clock, capacity=256) as limiter,
        ):
            for operation, key, wanted, advance in steps:
                clock.advance(advance)
                cost = min(wanted, largest)
                if operation == "reset":
                    limiter.reset(key)
                    model.admitted_at.pop(key, None)
                    continue
                expected = getattr(model, operation)(key, cost, clock.now_ns())
                assert seen(getattr(limiter, operation)(key, cost)) == expected
    finally:
        remove(name)


@pytest.mark.parametrize(("core", "kind"), VARIANTS, ids=map("-".join, VARIANTS))
@given(
    limit=st.integers(1, 3),
    steps=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 2)), max_size=150),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_crowded_table_refuses_but_never_forgets_or_invents(core, kind, limit, steps):
    """Keys come and go over slots for eight: what is not `full` is as if each were alone."""
    policy = Policy((Quota(limit, 20),))
    name = f"test-{uuid4().hex}"
    store = f"shm://{name}" if kind == "shm" else "memory://"
    clock = ManualClock()
    model = ListOfAdmissions(policy)
    try:
        with (
            patch.dict(os.environ, RATEPROOF_CORE=core),
            Limiter(policy, store=store, clock=clock, capacity=8) as limiter,
        ):
            for number, advance in steps:
                clock.advance(advance)
                key = b"%d" % number
                decision = limiter.hit(key)
                if decision.full:
                    assert not decision.admitted
                    live = sum(
                        model.free(other, policy.quotas[0], clock.now_ns()) < limit
                        for other in model.admitted_at
                    )
                    assert live >= 8, "full while a slot was idle"
                    assert model.free(key, policy.quotas[0], clock.now_ns()) == limit
                else:
                    assert seen(decision) == model.hit(key, 1, clock.now_ns())
    finally:
        remove(name)
