"""No run of any algorithm breaks the envelope that its policy declares, and some attain it."""

import os
from bisect import bisect_left
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.clock import ManualClock
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.policy import ALGORITHMS, Policy, Quota
from tests.samples import samples

S = 1_000_000_000
CORES = pytest.mark.parametrize("core", ["python", "native"])


@contextmanager
def opened(core, policy, clock):
    with (
        patch.dict(os.environ, RATEPROOF_CORE=core),
        Limiter(policy, clock=clock, capacity=1) as limiter,
    ):
        yield limiter


# Arrivals: where to go next, how far from there in ns, and how much to ask for at once.
arrivals = st.lists(
    st.tuples(
        st.sampled_from(["boundary", "drip", "retry", "reset", "here", "somewhere"]),
        st.integers(-1, 1),
        st.integers(1, 12),
    ),
    min_size=20,
    max_size=80,
)


@st.composite
def quotas(draw, algorithm):
    limit = draw(st.integers(1, 9))
    if algorithm == "token-bucket":
        window_ns = 1000 * limit + draw(st.integers(0, 999))
        return Quota(limit, window_ns, algorithm, draw(st.integers(1, 9)))
    blocks = 4 if ALGORITHMS[algorithm].parameter.most else 0
    return Quota(limit, draw(st.sampled_from([4001, 5000, 9999])), algorithm, parameter=blocks)


def admissions(limiter, clock, arrivals):
    """The instants of all admissions, one for each unit of cost."""
    quota = limiter.policy.quotas[0]
    found = []
    retry_after_ns = reset_after_ns = 0
    for place, near, wanted in arrivals:
        waits = {
            "boundary": quota.window_ns - clock.now_ns() % quota.window_ns,
            "drip": quota.window_ns // quota.limit,
            "retry": retry_after_ns,
            "reset": reset_after_ns,
            "here": 0,
            "somewhere": wanted * quota.window_ns // 13,
        }
        clock.advance(max(0, waits[place] + near))
        # As one call of a cost, and then one by one.
        for cost in [min(wanted, quota.burst), *[1] * (wanted // 2)]:
            decision = limiter.hit("a", cost)
            found += [clock.now_ns()] * cost * decision.admitted
            retry_after_ns, reset_after_ns = decision.retry_after_ns, decision.reset_after_ns
    return found


def most_in(times, window_ns):
    """The greatest number of the sorted times in a half-open window of this length."""
    return max(bisect_left(times, start + window_ns) - first for first, start in enumerate(times))


@CORES
@pytest.mark.parametrize("algorithm", RULES)
@given(data=st.data(), arrivals=arrivals, start=st.integers(0, 10_000))
@settings(max_examples=samples(8))
def test_no_run_breaks_the_envelope_of_its_quota(core, algorithm, data, arrivals, start):
    quota = data.draw(quotas(algorithm))
    policy = Policy((quota,))
    clock = ManualClock(start)
    with opened(core, policy, clock) as limiter:
        times = admissions(limiter, clock, arrivals)
    for m in range(1, len(times) + 1):
        spans = (last - first for first, last in zip(times, times[m - 1 :], strict=False))
        assert min(spans) >= quota.gap(m), f"{m} admissions in too short a time"
    for window_ns in (1, quota.window_ns // 2, quota.window_ns, 3 * quota.window_ns + 1):
        assert most_in(times, window_ns) <= policy.worst_case(window_ns)
    if algorithm == "sliding-counter":
        assert most_in(times, quota.window_ns) <= 2 * quota.limit - 1, "the weight is exact"


@CORES
@pytest.mark.parametrize(
    ("policy", "schedule", "most"),
    [
        ("sliding-log 5 per 5s", [(0, 5), (1, 5), (4.999, 5)], 5),
        ("fixed-window 5 per 5s", [(4.999, 5), (5, 5)], 10),
        ("first-hit-window 5 per 5s", [(0, 1), (4.9, 4), (5.1, 5)], 9),
        ("token-bucket 1 per 1s burst 5", [(0, 5), (1, 1), (2, 1), (3, 1), (4, 1)], 9),
        ("sliding-counter 5 per 5s", [(4.999, 5), (6, 1), (7, 1), (8, 1), (9, 1)], 9),
        ("sliding-blocks 5 per 5s", [(0, 5), (1, 5), (4.999, 5), (5.1, 5)], 5),
    ],
)
def test_the_worst_case_of_each_algorithm_is_attained(core, policy, schedule, most):
    """As docs/theory.md has them; `schedule` is how many ask for 1 at how many seconds."""
    clock = ManualClock()
    times = []
    with opened(core, policy, clock) as limiter:
        for second, count in schedule:
            clock.advance(round(second * S) - clock.now_ns())
            times += [clock.now_ns() for _ in range(count) if limiter.hit("a").admitted]
        declared = limiter.policy.worst_case(5 * S)
    assert most_in(times, 5 * S) == most
    # A counter's envelope allows for weights that are rounded down, as others have them.
    assert declared == (10 if "counter" in policy else most)
