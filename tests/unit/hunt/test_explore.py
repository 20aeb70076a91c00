"""Drawing iterations: reproducible from the seed, varied, and always pressing the limit."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.hunt.explore import SHAPES, draw
from rateproof.policy import Policy
from rateproof.simulate.behaviours import Answer
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.target import Target

POLICY = Policy.parse("5 per 5s")
SECOND = 1_000_000_000
TARGET = Target.parse("http://127.0.0.1:8080")

seeds = st.integers(0, 2**63 - 1)
policies = st.sampled_from(
    [
        "5 per 5s",
        "1 per 1ns",
        "1 per 1s",
        "1000000000 per 1s",
        "100 per 1h",
        "1 per 72 years",
        "5 per 5s; 100 per 1m",
        "token-bucket 1 per 1s burst 5",
    ]
).map(Policy.parse)


@given(seeds, st.integers(1, 10**6), policies)
def test_equal_seeds_draw_equal_iterations(seed, iteration, policy):
    first, second = draw(seed, iteration, policy), draw(seed, iteration, policy)
    assert first == second
    assert first.scenario_seed == second.scenario_seed


def test_a_draw_is_the_same_in_another_process():
    program = (
        "from rateproof.hunt.explore import draw; from rateproof.policy import Policy;"
        "d = draw(7, 3, Policy.parse('5 per 5s')); print(d, d.scenario_seed)"
    )
    here = draw(7, 3, POLICY)
    for hash_seed in "12":
        there = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == f"{here} {here.scenario_seed}"


def test_different_seeds_and_iterations_draw_different_traffic():
    assert len({str(draw(seed, 1, POLICY)) for seed in range(50)}) > 40
    assert len({str(draw(1, number, POLICY)) for number in range(1, 51)}) > 40
    assert len({draw(1, number, POLICY).scenario_seed for number in range(1, 51)}) == 50


@given(seeds, st.integers(0, 100))
def test_every_shape_comes_once_in_each_turn(seed, turn):
    numbers = range(turn * len(SHAPES) + 1, (turn + 1) * len(SHAPES) + 1)
    assert {draw(seed, number, POLICY).shape for number in numbers} == set(SHAPES)


@given(seeds, st.integers(1, 10**6), policies)
def test_what_is_drawn_is_within_bounds_and_makes_a_scenario(seed, iteration, policy):
    drawn = draw(seed, iteration, policy)
    assert 1 <= drawn.clients <= 100
    assert (drawn.rate_per_s is None) == (drawn.shape == "saturate")
    assert drawn.rate_per_s is None or 10 <= drawn.rate_per_s <= 300
    assert 2 * SECOND <= drawn.duration_ns <= 30 * SECOND
    Scenario(
        target=TARGET,
        groups=drawn.groups,
        seed=drawn.scenario_seed,
        duration_ns=drawn.duration_ns,
    )


@pytest.mark.parametrize("policy", ["5 per 5s", "20 per 1s", "100 per 1h"])
def test_whatever_the_shape_some_client_means_to_send_more_than_the_limit_at_once(policy):
    policy = Policy.parse(policy)
    limit = policy.quotas[0].limit
    for number in range(1, 2 * len(SHAPES)):
        drawn = draw(11, number, policy)
        race = drawn.groups[-1]
        client = next(iter(Scenario(target=TARGET, groups=(race,), seed=1).clients()))
        plan = client.behaviour.program().plan(client.rng())
        first = next(plan)
        assert first.intended_ns < drawn.duration_ns
        together = 1
        while plan.send(Answer(0, 0, "admitted")) == first:
            together += 1
        assert together * race.connections > limit


def test_each_quota_of_several_is_pressed_in_its_turn():
    policy = Policy.parse("5 per 1s; 20 per 10s")
    durations = [draw(3, number, policy).duration_ns for number in range(1, 9)]
    assert all(ns < 3 * SECOND for ns in durations[::2])
    assert all(ns >= 13 * SECOND for ns in durations[1::2]), "long enough for the wider window"
