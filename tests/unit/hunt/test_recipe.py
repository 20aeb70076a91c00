"""Recipes: what they refuse, what they say, and that what they say can be read again."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof import hunt
from rateproof.errors import InvalidArgument
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.options.arguments import parse
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.target import Target

SECOND = 1_000_000_000
TARGET = Target.parse("http://127.0.0.1:8080")

schedules = st.dictionaries(st.integers(0, 10**12), st.integers(1, 1_000), min_size=1).map(
    lambda steps: Schedule(tuple(sorted(steps.items())))
)
phases = st.integers(1, 10**12).flatmap(
    lambda of_ns: st.integers(0, of_ns - 1).map(lambda at_ns: Phase(at_ns, of_ns))
)


@st.composite
def recipes(draw):
    schedule = draw(schedules)
    last_ns = schedule.steps[-1][0]
    others = None
    if last_ns and draw(st.booleans()):
        others = Schedule(((draw(st.integers(0, last_ns - 1)), draw(st.integers(1, 5_000))),))
    phase = draw(st.none() | phases)
    return Recipe(schedule, draw(st.integers(1, 100)), others, phase)


def told(*argv):
    return hunt.TestSettings.told(**vars(parse(argv))).recipe


@given(recipes())
def test_its_options_give_the_recipe_again(recipe):
    assert told("test", *recipe.options()) == recipe


@given(recipes())
def test_it_makes_a_scenario_of_one_client_and_the_others(recipe):
    scenario = Scenario(target=TARGET, groups=(recipe.client(), *recipe.crowd()), seed=1)
    client, *lanes = scenario.clients()
    assert client.group.connections == recipe.connections
    sent = 0
    for lane in lanes:
        sent += lane.group.behaviour.identities
    assert sent == recipe.other_clients


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("20 at 0s, 20 at 0.25s, 20 at 0.5s, 20 at 0.75s", "20 every 0.25 s, 4 times"),
        ("1 at 0s, 1 at 1s, 1 at 2s", "1 at 0 s, 1 at 1 s, 1 at 2 s"),
        (
            "3 at 0s, 2 at 1s, 2 at 2s, 2 at 3s, 2 at 4s",
            "3 at 0 s, 2 every 1 s from 1 s on, 4 times",
        ),
        ("1 at 0s, 1 at 1s, 1 at 2s, 1 at 3s, 5 at 4s", "1 every 1 s, 4 times, 5 at 4 s"),
    ],
)
def test_equal_steps_are_told_together_and_repeated_one_by_one(schedule, told):
    recipe = Recipe(Schedule.parse(schedule))
    assert str(recipe) == told
    assert Schedule.parse(recipe.options()[1]) == recipe.schedule


def test_every_other_client_has_a_name_of_its_own():
    recipe = Recipe(Schedule(((0, 1), (SECOND, 1))), others=Schedule(((5, 37),)))
    scenario = Scenario(target=TARGET, groups=tuple(recipe.crowd()), seed=1)
    names = [
        lane.identity(alias)
        for lane in scenario.clients()
        for alias in range(lane.group.behaviour.identities)
    ]
    assert len(set(names)) == len(names) == 37


def test_it_is_told_in_a_sentence():
    recipe = Recipe(
        Schedule(((0, 1), (4_900_000_000, 4), (5_100_000_000, 2))),
        connections=3,
        others=Schedule(((SECOND, 2_000),)),
        phase=Phase(4 * SECOND, 5 * SECOND),
    )
    assert str(recipe) == (
        "1 at 0 s, 4 at 4.9 s, 2 at 5.1 s; on 3 connections; meanwhile other clients: "
        "2000 at 1 s; from Unix time modulo 5 s = 4 s on"
    )


def test_connections_that_would_have_nothing_to_send_are_left_out():
    assert Recipe(Schedule(((0, 3), (5, 7))), connections=50).connections == 7


def test_others_who_come_too_late_to_matter_are_refused():
    with pytest.raises(InvalidArgument, match="others at 2 s"):
        Recipe(Schedule(((0, 1), (SECOND, 1))), others=Schedule(((2 * SECOND, 9),)))


@pytest.mark.parametrize("text", ["5s", "6s", "1s of 1s", "soon", "", "1s of", "-1s", "1s of 0s"])
def test_a_phase_outside_its_window_is_refused(text):
    with pytest.raises(InvalidArgument):
        Phase.parse(text, 5 * SECOND)


def test_a_phase_may_name_its_window():
    assert Phase.parse("4.9s", 5 * SECOND) == Phase(4_900_000_000, 5 * SECOND)
    assert Phase.parse("7 s of 1m", 5 * SECOND) == Phase(7 * SECOND, 60 * SECOND)


@pytest.mark.parametrize("option", ["connections", "others", "phase"])
def test_what_belongs_to_a_schedule_is_refused_without_one(option):
    value = {"connections": "2", "others": "9 at 1s", "phase": "1s"}[option]
    with pytest.raises(InvalidArgument, match=f"--{option} without --schedule"):
        told("test", f"--{option}", value)


@pytest.mark.parametrize("unix_ns", [0, 49_999_999, 50_000_000, 50_000_001, 999_999_999])
def test_the_next_instant_of_a_phase_is_soon_and_right(monkeypatch, unix_ns):
    clocks = SimpleNamespace(time_ns=lambda: unix_ns, monotonic_ns=lambda: 7)
    monkeypatch.setattr("rateproof.hunt.recipe.time", clocks)
    ahead_ns = Phase(300_000_000, SECOND).next_ns() - 7
    assert SECOND // 4 <= ahead_ns < SECOND // 4 + SECOND
    assert (unix_ns + ahead_ns) % SECOND == 300_000_000
