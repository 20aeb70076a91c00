"""Drawing iterations: reproducible from the seed, varied, and always pressing the limit."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.hunt.exploration.attacks import FAMILIES, attack
from rateproof.hunt.exploration.draw import SHAPES, delayed, draw, filling
from rateproof.hunt.exploration.leads import Lead
from rateproof.policy import Policy
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
        "from rateproof.hunt.exploration.draw import draw; from rateproof.policy import Policy;"
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


def test_in_brief_each_kind_of_attack_is_named_once_and_nothing_else():
    for number in range(1, 30):
        drawn = draw(7, number, POLICY)
        told = drawn.brief.split("; ")
        assert len({*told}) == len(told)
        kinds = {FAMILIES[each.family].words for each in drawn.attacks}
        assert {kind.removesuffix(" among others") for kind in told} == kinds
        crowded = any(each.recipe.other_clients for each in drawn.attacks)
        assert (" among others" in drawn.brief) == crowded


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
    assert SECOND <= drawn.duration_ns <= 140 * SECOND
    assert all(attack.end_ns < drawn.duration_ns for attack in drawn.attacks)
    Scenario(
        target=TARGET,
        groups=drawn.groups,
        seed=drawn.scenario_seed,
        duration_ns=drawn.duration_ns,
    )


@pytest.mark.parametrize("policy", ["5 per 5s", "20 per 1s", "100 per 1h"])
def test_after_the_book_some_clients_race_and_some_press_an_edge_within_reach(policy):
    policy = Policy.parse(policy)
    families = set()
    for number in range(4, 44):
        race, *others = draw(11, number, policy).attacks
        assert race.family == "race"
        assert race.recipe.requests > policy.quotas[0].limit
        families |= {other.family for other in others}
    if policy.quotas[0].window_ns > 60 * SECOND:
        assert families == {"forget"}
    else:
        chains = {"chain"} if policy.quotas[0].window_ns < 3.5 * SECOND else set()
        assert families == (FAMILIES.keys() - {"chain", "rest"}) | chains


@given(seeds)
def test_the_opening_book_covers_every_family_of_faults_in_three_iterations(seed):
    attacks = [attack for number in (1, 2, 3) for attack in draw(seed, number, POLICY).attacks]
    families = {attack.family for attack in attacks}
    assert {"race", "opening", "turn", "drip", "forget", "tick", "late"} <= families
    assert max(attack.recipe.connections for attack in attacks) == 40
    assert max(attack.recipe.other_clients for attack in attacks) >= 2_000
    durations = [draw(seed, number, POLICY).duration_ns for number in (1, 2, 3)]
    assert durations[0] <= 1.5 * SECOND
    assert sum(durations) <= 15 * SECOND


@pytest.mark.parametrize(
    ("window", "pauses"),
    [("100ms", 4.25), ("1s", 4.25), ("2s", 2.5), ("2500ms", None), ("1h", None)],
)
def test_of_short_windows_the_opening_book_lets_a_key_rest_for_several(window, pauses):
    policy = Policy.parse(f"5 per {window}")
    drawn = [draw(1, number, policy) for number in (1, 2, 3)]
    spans = [
        each.recipe.span_ns / policy.quotas[0].window_ns
        for iteration in drawn
        for each in iteration.attacks
        if each.family == "rest"
    ]
    assert spans == ([] if pauses is None else [pauses])
    assert window == "1h" or max(each.duration_ns for each in drawn) < 5.5 * SECOND


@given(seeds)
def test_edges_are_pressed_at_many_phases(seed):
    starts = [at for attack in draw(seed, 2, POLICY).attacks for at in attack.starts]
    assert len(set(starts)) == len(starts) == 42


def test_each_quota_of_several_is_pressed_in_its_turn():
    policy = Policy.parse("5 per 1s; 20 per 10s")
    book = [draw(3, number, policy) for number in range(1, 5)]
    assert [each.attacks[0].quota for each in book] == [0, 0, 1, 0]
    durations = [draw(3, number, policy).duration_ns for number in range(5, 13)]
    assert all(ns < 5 * SECOND for ns in durations[::2])
    assert all(ns >= 10 * SECOND for ns in durations[1::2]), "long enough for the wider window"


def test_a_quota_that_others_delay_has_its_own_iteration_where_there_is_time():
    policy = Policy.parse("5 per 5s; 100 per 1h; 300 per 1d")
    (fill,) = delayed(policy, 120 * SECOND)
    assert fill.quota == 1
    assert delayed(policy, 99 * SECOND) == []
    drawn = filling(1, 4, fill)
    assert 100 * SECOND <= drawn.duration_ns <= 112 * SECOND
    assert "105 requests in 105 s" in str(drawn)
    assert delayed(Policy.parse("5 per 5s; 100 per 1m"), SECOND * 3_600) == [], "implied"


@pytest.mark.parametrize("text", ["100 per 1h; 200 per 1s", "200 per 1s; 100 per 1h", "100 per 1h"])
def test_a_quota_that_no_other_delays_is_pressed_by_a_burst_above_its_limit(text):
    policy = Policy.parse(text)
    quota = [each.limit for each in policy.quotas].index(100)
    for number in range(1, 9):
        drawn = draw(5, number, policy)
        assert {attack.quota for attack in drawn.attacks} == {quota}
        assert drawn.duration_ns < 60 * SECOND
    first = draw(5, 1, policy).attacks
    assert min(attack.recipe.requests for attack in first) > 100


@given(seeds, st.integers(1, 100), st.booleans())
def test_an_iteration_of_one_quota_of_5_s_is_over_in_8_s(seed, number, near):
    found = lead(100_000_000, 101_000_000, "late race") if near else None
    drawn = draw(seed, number, POLICY, lead=found)
    assert drawn.duration_ns <= 7.75 * SECOND


def lead(edge_ns, margin_ns, family="opening"):
    return Lead(attack(family, POLICY, 0, edge_ns), margin_ns)


@given(seeds, st.integers(0, 20))
def test_every_second_iteration_tries_the_lead_again_at_half_the_distance(seed, turn):
    found = lead(100_000_000, 101_000_000)
    closer, free = (draw(seed, number + 2 * turn, POLICY, lead=found) for number in (5, 4))
    assert {each.family for each in closer.attacks} == {"opening", "turn"}
    assert max(each.edge_ns for each in closer.attacks) == 50_000_000
    assert max(each.recipe.connections for each in closer.attacks) > 1
    assert "attack, closer than the 0.101 s that were left: bursts around a window's end" in str(
        closer
    )
    assert free == draw(seed, 4 + 2 * turn, POLICY)
    assert closer == draw(seed, 5 + 2 * turn, POLICY, lead=found), "same answers, same draw"


@given(seeds)
def test_a_limit_on_the_rate_bounds_the_others_too(seed):
    drawn = draw(seed, 3, POLICY, max_rate=100)
    assert 50 <= drawn.attacks[0].recipe.other_clients <= 200
