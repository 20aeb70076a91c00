"""Bounds of a plan: whatever the true instants are, no rule rejects less or more than they say."""

import random
import struct
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.core import required_native
from rateproof.enforce.algorithms import RULES
from rateproof.plan.bounds import gates
from rateproof.policy import Policy
from tests.samples import quick_first, samples

SECOND = 10**9
UNIT = 1 << 16
START = 10**18
GRID = (START, SECOND, 10)
ALGORITHMS = sorted(RULES)


def traffic(intervals, unseen=frozenset()):
    """One client's requests, decided somewhere in these intervals."""
    native = required_native("a test")
    sent, received = (bytes(array("q", ends)) for ends in zip(*intervals, strict=True))
    status = bytes(array("q", [499 if at in unseen else 200 for at in range(len(intervals))]))
    widths, *_ = native.request_widths(sent, received, status, [499])
    told = zip(intervals, array("I", widths), strict=True)
    rows = (struct.pack("=iqIII", 0, ends[0], width, 0, 0) for ends, width in told)
    return native.Traffic(b"".join(rows), 1)


def rejected(policy, instants, phases):
    """Rejections of the rules themselves."""
    states = [(0,) * RULES[one.algorithm].width(one) for one in policy.quotas]
    count = 0
    for instant in sorted(instants):
        told = list(zip(policy.quotas, states, phases, strict=True))
        if any(
            RULES[one.algorithm].retry_after_ns(one, state, instant + at, 1)
            for one, state, at in told
        ):
            count += 1
        else:
            states = [
                RULES[one.algorithm].charged(one, state, instant + at, 1) for one, state, at in told
            ]
    return count


def drawn(draw, algorithms):
    """A policy of these algorithms, intervals and true instants of one client."""
    quotas = []
    for name in algorithms:
        burst = f" burst {draw.randint(1, 6)}" if name == "token-bucket" else ""
        quotas.append(f"{name} {draw.randint(1, 6)} per {draw.choice((1, 2, 6))}s{burst}")
    policy = Policy.parse("; ".join(quotas))
    widest = draw.choice((0, UNIT, SECOND // 20, SECOND, 3 * SECOND))
    span = draw.choice((1, 5, 20)) * SECOND
    intervals = []
    for _ in range(draw.randint(1, 40)):
        sent, wide = START + draw.randrange(span), draw.randint(0, widest)
        if draw.random() < 0.03:
            wide += 30 * SECOND  # a slow upload
        intervals.append((sent, sent + wide))
    return policy, intervals


def holds(draw, policy, intervals, dropped=0.05):
    unseen = {at for at in range(len(intervals)) if draw.random() < dropped}
    [[least, most, *_]] = traffic(intervals, unseen).bounds([gates(policy)], GRID)
    for _ in range(5):
        seen = [
            ends for at, ends in enumerate(intervals) if at not in unseen or draw.random() < 0.5
        ]
        instants = [draw.choice((*ends, draw.randint(*ends))) for ends in seen]
        phases = [draw.randrange(one.window_ns) for one in policy.quotas]
        assert least <= rejected(policy, instants, phases) <= most, (str(policy), intervals)
    return least, most


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_hundred_runs_of_a_rule_reject_within_bounds(algorithm):
    draw = random.Random(algorithm)
    for _ in range(100):
        holds(draw, *drawn(draw, [algorithm]))


@given(
    st.randoms(use_true_random=False), st.lists(st.sampled_from(ALGORITHMS), min_size=1, max_size=3)
)
@settings(max_examples=samples(25), deadline=None)
def test_no_rules_reject_less_or_more_than_the_bounds(draw, algorithms):
    holds(draw, *drawn(draw, algorithms))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_connections_that_last_for_days_may_have_been_rejected_or_not(algorithm):
    """Of when they were decided nothing is known."""
    policy, day = Policy.parse(f"{algorithm} 5 per 10s"), 86_400 * SECOND
    intervals = [(START + at, START + at + 3 * day) for at in range(12)]
    [[least, most, *_]] = traffic(intervals).bounds([gates(policy)], GRID)
    assert (least, most) == (0, 12)
    intervals += [(START, START)] * 8
    [[least, most, *_]] = traffic(intervals).bounds([gates(policy)], GRID)
    assert (least, most) in {(3, 15), (0, 15)}  # two windows may take all 8


@given(st.randoms(use_true_random=False))
@settings(max_examples=samples(25), deadline=None)
def test_a_quota_that_is_there_twice_rejects_what_it_does_alone(draw):
    """One log by itself is replayed in a shorter way than several."""
    policy, intervals = drawn(draw, ["sliding-log"])
    alone, twice = gates(policy), gates(policy) * 2
    one, other = traffic(intervals, {3, 5}).bounds([alone, twice], GRID)
    assert one == other


@given(st.randoms(use_true_random=False))
@settings(max_examples=samples(25), deadline=None)
def test_no_window_holds_less_or_more_than_the_peaks(draw):
    _, intervals = drawn(draw, ["sliding-log"])
    window_ns = draw.choice((SECOND // 10, SECOND, 10 * SECOND))
    [(least, most)], _ = traffic(intervals).peaks([(window_ns, window_ns)], GRID)
    least, most = array("i", least)[0], array("i", most)[0]
    for _ in range(5):
        instants = sorted(draw.choice((*ends, draw.randint(*ends))) for ends in intervals)
        peak = max(
            sum(begun <= each < begun + window_ns for each in instants) for begun in instants
        )
        assert least <= peak <= most, intervals


@pytest.mark.parametrize("algorithm", ["sliding-log", "token-bucket"])
@pytest.mark.parametrize("load", quick_first([1.0, 0.7, 1.25, 2.0]))
def test_bounds_of_poisson_traffic_are_within_a_twentieth(algorithm, load):
    """Stamps in ms, requests of at most 1 % of the window, 20 in it, a server's clock 10 ms late."""
    draw = random.Random(f"{algorithm} {load}")
    for window_s, limit in ((1, 20), (60, 1_000)):
        policy = Policy.parse(f"{algorithm} {limit} per {window_s}s")
        now, intervals = START, []
        for _ in range(2_000):
            now += int(draw.expovariate(load * limit / window_s) * SECOND)
            lasted = draw.randrange(window_s * SECOND // 100)
            ended = (now + lasted) // 1_000_000 * 1_000_000
            sent = ended - lasted // 1_000_000 * 1_000_000 - 1_000_000
            intervals.append((sent - 10_000_000, ended + 999_999 + 10_000_000))
        least, most = holds(draw, policy, intervals, dropped=0)
        assert most - least <= len(intervals) / 20, (window_s, limit, least, most)
