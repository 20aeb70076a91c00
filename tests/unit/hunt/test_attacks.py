"""Attacks: each breaks the limiter that it was made for, and none breaks an exact one."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.hunt.exploration.attacks import FAMILIES, TICK_NS, attack
from rateproof.policy import Policy
from rateproof.prove import pressing
from rateproof.prove.over_admission.gaps import Stair
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.target import Target

SECOND = 1_000_000_000
N, W = 5, 5 * SECOND
POLICY = Policy.parse("5 per 5s")


def opened_by_the_first(times):
    opened, count = None, 0
    for at in times:
        if opened is None or at >= opened + W:
            opened, count = at, 0
        count += 1
        if count <= N:
            yield at


def on_the_epoch(times):
    counts = defaultdict(int)
    for at in times:
        counts[at // W] += 1
        if counts[at // W] <= N:
            yield at


def bucket(times):
    level, last = N, 0
    for at in times:
        level, last = min(N, level + (at - last) * N / W), at
        if level >= 1:
            level -= 1
            yield at


def credit_without_bound(times):
    level, last = N, 0
    for at in times:
        level, last = level + (at - last) * N / W, at
        if level >= 1:
            level -= 1
            yield at


def on_whole_seconds(times, window=60):
    admitted = []
    for at in times:
        if len(admitted) < N or at // SECOND - admitted[-N] // SECOND >= window:
            admitted.append(at)
            yield at


def spaced_with_one_saved(times):
    """One every W/N, and one more after a pause."""
    level, last = 1, 0
    for at in times:
        level, last = min(2, level + (at - last) * N / W), at
        if level >= 1:
            level -= 1
            yield at


def chained_after_a_first_that_holds(times):
    """A sliding log in its first window; then windows follow each other from the first hit."""
    times = list(times)
    admitted, counts = [], defaultdict(int)
    for at in times:
        turn = (at - times[0]) // W
        counts[turn] += 1
        log_holds = len(admitted) < N or at - admitted[-N] >= W
        if (counts[turn] <= N) if turn >= 2 else log_holds:
            admitted.append(at)
            yield at


def exact(times):
    admitted = []
    for at in times:
        if len(admitted) < N or at - admitted[-N] >= W:
            admitted.append(at)
            yield at


def worst(limiter, made, start=0):
    sent = [start + at for at, count in made.recipe.schedule.steps for _ in range(count)]
    admitted = list(limiter(sent))
    return max(sum(first <= at < first + W for at in admitted) for first in admitted)


@pytest.mark.parametrize(
    ("family", "limiter", "most"),
    [
        ("opening", opened_by_the_first, 9),
        ("turn", bucket, 9),
        ("drip", bucket, 9),
        ("idle", credit_without_bound, 10),
        ("rest", credit_without_bound, 10),
        ("late", spaced_with_one_saved, 6),
        ("chain", chained_after_a_first_that_holds, 9),
    ],
)
def test_a_family_breaks_what_it_was_made_for(family, limiter, most):
    assert worst(limiter, attack(family, POLICY, 0, W // 50)) >= most


def test_two_bursts_break_a_window_on_the_epoch_at_nearly_every_phase():
    made = attack("turn", POLICY, 0, W // 50)
    phases = range(0, W, W // 100)
    broken = [worst(on_the_epoch, made, phase) > N for phase in phases]
    assert sum(broken) >= 97


@pytest.mark.parametrize("limiter", [spaced_with_one_saved, chained_after_a_first_that_holds])
def test_what_has_an_attack_of_its_own_holds_against_the_others(limiter):
    own = {spaced_with_one_saved: "late", chained_after_a_first_that_holds: "chain"}[limiter]
    for family in FAMILIES.keys() - {own}:
        assert worst(limiter, attack(family, POLICY, 0, W // 50)) <= N


def test_a_clock_of_whole_seconds_breaks_a_moment_before_a_long_window_is_over():
    minute = Policy.parse("5 per 60s")
    phases = range(0, SECOND, SECOND // 20)

    def broken(family, edge_ns):
        made = attack(family, minute, 0, edge_ns)
        sent = [at for at, count in made.recipe.schedule.steps for _ in range(count)]
        return sum(len(list(on_whole_seconds(at + phase for at in sent))) > N for phase in phases)

    assert broken("turn", 60 * SECOND // 50) == 0, "its edge is too far away"
    assert broken("tick", TICK_NS) >= len(phases) / 2


@given(st.sampled_from(sorted(FAMILIES)), st.integers(1, W - 1), st.integers(0, W))
def test_no_family_breaks_an_exact_limiter(family, edge_ns, start):
    assert worst(exact, attack(family, POLICY, 0, edge_ns), start) <= N


@given(
    st.sampled_from(sorted(FAMILIES)),
    st.sampled_from(["5 per 5s", "1 per 1ns", "1000000000 per 1s", "5 per 1s; 20 per 10s"]),
    st.integers(1, 16),
    st.integers(0, 3_000),
)
def test_whatever_the_policy_an_attack_makes_a_scenario(family, text, fold, others):
    policy = Policy.parse(text)
    quota = len(policy.quotas) - 1
    edge_ns = max(1, policy.quotas[quota].window_ns // 50)
    made = attack(family, policy, quota, edge_ns, starts=(0, 7), fold=fold, others=others)
    groups = (*made.groups(), *made.crowd())
    Scenario(target=Target.parse("http://127.0.0.1:1"), groups=groups, seed=1)
    assert made.end_ns == 7 + made.recipe.span_ns


def test_beside_a_tighter_quota_a_burst_keeps_to_what_that_admits():
    policy = Policy.parse("5 per 1s; 20 per 10s")
    made = attack("turn", policy, 1, SECOND)
    steps = made.recipe.schedule.steps
    assert [count for _, count in steps] == [5] * 8
    pairs = itertools.pairwise(steps)
    assert all(b - a > SECOND for (a, _), (b, _) in pairs)
    first_of_second = steps[4][0]
    assert first_of_second == 9 * SECOND


@pytest.mark.parametrize(
    "text",
    [
        "5 per 5s; 100 per 1h",
        "5 per 1s; 20 per 10s; 50 per 1m",
        "token-bucket 2 per 1s burst 4; 9 per 1m",
    ],
)
def test_what_fills_a_quota_breaks_no_other_and_takes_little_longer_than_they_force(text):
    policy = Policy.parse(text)
    quota = len(policy.quotas) - 1
    made = attack("fill", policy, quota, 1)
    assert made.recipe.requests > policy.quotas[quota].limit
    sent = [at for at, count in made.recipe.schedule.steps for _ in range(count)]
    for each in policy.quotas[:-1]:
        stair = Stair.of(each)
        for first in range(len(sent)):
            for last in range(first, len(sent)):
                assert sent[last] - sent[first] >= stair.gap(last - first + 1)
    needs = pressing(policy)[quota]
    assert sent[needs.needs - 1] <= 1.2 * needs.needs_ns + 1


def test_a_race_has_a_connection_for_each_request():
    made = attack("race", POLICY, 0, 1, fold=4)
    assert made.recipe.requests == made.recipe.connections == 40
