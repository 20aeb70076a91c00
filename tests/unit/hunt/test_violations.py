"""Schedules that were cut short, and searches that were stopped: nothing is said that was not seen."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rateproof import hunt
from rateproof.events import Event, EventLog
from rateproof.hunt.iteration import Iteration
from rateproof.hunt.pursuit import Pursuit
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.replay import outcome_of, scheduled, told_if_cut_short
from rateproof.hunt.rig import Rig
from rateproof.hunt.server.watch import Crash
from rateproof.hunt.shrinking.crashes import shrunk_crash
from rateproof.hunt.shrinking.reproduction import Reproduction, Shrunk, Tries
from rateproof.hunt.shrinking.violations import shrunk_violations
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.identities import identity_of
from rateproof.simulate.scenario import Group
from rateproof.simulate.summary import Summary

SECOND = 1_000_000_000
NAMESPACE = "n"
RECIPE = Recipe(Schedule.parse("6 at 0s, 5 at 3s"))


@pytest.fixture
def settings(tmp_path):
    return hunt.TestSettings.told(
        url="http://127.0.0.1:1/",
        policy=Policy.parse("7 per 5s"),
        seed=7,
        claim="over-admission",
        timeout_ns=SECOND,
        out=tmp_path,
        nemesis="kill",
    )


@pytest.fixture
def iteration_of(settings):
    """The iteration in which clients were admitted so many requests each, a millisecond apart."""

    def make(*requests, crashes=(), nemesis=()):
        scenario = {"namespace": NAMESPACE}
        log = EventLog({"fresh_keys": True, "valid": True, "scenario": scenario})
        for number, count in enumerate(requests):
            for place in range(count):
                at_ns = place * 1_000_000
                log.append(
                    Event(
                        key=identity_of(NAMESPACE, number),
                        sequence=place + 1,
                        sent_ns=at_ns,
                        received_ns=at_ns + 500_000,
                        done_ns=at_ns + 500_000,
                        status=200,
                        outcome="admitted",
                    )
                )
        draw = SimpleNamespace(clients=len(requests), iteration=3)
        verdict = judge(log, settings.policy, claims=settings.claims)
        return Iteration(
            draw,
            log,
            Summary.of(log),
            tuple(crashes),
            verdict,
            elapsed_s=1.0,
            stopped=True,
            nemesis=tuple(nemesis),
        )

    return make


def stopped():
    event = threading.Event()
    event.set()
    return event


def later(seconds=30):
    return time.monotonic_ns() + seconds * SECOND


def never_sent(*_, **__):
    raise AssertionError("stopped before it was sent")


def test_a_client_who_was_stopped_tried_nothing(iteration_of, settings):
    cut = iteration_of(6, 6, 6)
    assert outcome_of(RECIPE, cut, Rig(settings, never_sent, threading.Event())).tries == Tries(
        0, 0
    )
    assert (
        "cut short"
        in outcome_of(RECIPE, cut, Rig(settings, never_sent, threading.Event())).how_often()
    )
    assert outcome_of(
        Recipe(Schedule.parse("6 at 0s")), cut, Rig(settings, never_sent, threading.Event())
    ).tries == Tries(0, 3)
    assert outcome_of(
        RECIPE, iteration_of(6, 8, 11), Rig(settings, never_sent, threading.Event())
    ).tries == Tries(2, 2)


def test_a_schedule_that_nobody_finished_is_inconclusive_and_says_that_it_was_cut_short(
    iteration_of,
):
    told = told_if_cut_short(RECIPE, iteration_of(6, 6)).verdict
    assert told.outcome == "inconclusive"
    assert told.reasons[0] == ("the schedule was cut short: none of 2 clients had sent all of it")
    assert "cut-short" in told.causes


def test_a_phase_beyond_the_budget_is_not_waited_for_and_makes_it_inconclusive(
    iteration_of, settings
):
    recipe = Recipe(Schedule.parse("6 at 0s"), phase=Phase(0, 1000 * 3_600 * SECOND))
    assert scheduled(recipe, 1, settings)[1] is None
    for bound_ns in (0, 2**60):
        assert scheduled(recipe, 1, replace(settings, shrink_time_ns=bound_ns))[1] == recipe.phase
    told = told_if_cut_short(recipe, iteration_of(6, 6), timely=False).verdict
    assert told.outcome == "inconclusive"
    assert told.reasons[0].endswith("beyond --shrink-time: it begins at once")
    found = iteration_of(9)
    assert told_if_cut_short(recipe, found, timely=False) is found


def test_a_test_ends_once_as_many_requests_were_sent_as_it_may(settings):
    asked = []

    def send(scenario, *, control, observe):
        asked.append(scenario.max_requests)
        if not control.stopping:
            observe(rows(min(4, scenario.max_requests)))
        return EventLog({"scenario": {"namespace": NAMESPACE}})

    def rows(count):
        log = EventLog({})
        event = Event(key=b"a", sent_ns=1, received_ns=2, status=200, outcome="admitted")
        log.extend([event] * count)
        return log

    rig = Rig(replace(settings, max_requests=10), send, threading.Event())
    scenario = rig.scenario((Group(Schedule.parse("4 at 0s")),), SECOND)
    for stopped in (False, False, True, True):
        rig.send(scenario)
        assert rig.stop.is_set() is stopped
    assert asked == [10, 6, 2, 0]
    assert rig.sent["requests"] == 10


@pytest.mark.parametrize(("after_s", "said"), [(12.4, "waiting 12 s for the next window"), (0, "")])
def test_no_wait_is_silent(settings, capsys, after_s, said):
    def send(_scenario, **_):
        return EventLog({})

    start_ns = time.monotonic_ns() + round(after_s * SECOND)
    Rig(settings, send, threading.Event()).send(SimpleNamespace(start_ns=start_ns))
    assert capsys.readouterr().err.strip() == said


@pytest.mark.parametrize("schedule", ["6 at 0s", "9 at 0s"])
def test_what_was_finished_or_violated_stands_as_it_is(iteration_of, schedule):
    iteration = iteration_of(6, 8 if schedule[0] == "9" else 6)
    assert told_if_cut_short(Recipe(Schedule.parse(schedule)), iteration) is iteration


def test_a_search_that_was_stopped_before_it_tried_gives_what_was_seen(iteration_of, settings):
    (found,) = shrunk_violations(
        iteration_of(9), Rig(settings, never_sent, stopped()), set(), later()
    )
    assert found.tries == Tries(0, 0)
    assert found.recipe.requests == 8
    assert "no time to try it again" in found.describe()
    assert "--schedule" in found.repeat


def test_what_would_not_be_over_in_time_is_not_tried(iteration_of, settings):
    """Of windows of an hour only what needs no waiting."""
    settings = replace(settings, policy=Policy.parse("7 per 1h"))
    durations_ns = []

    def send(scenario, *, control, **_):
        assert not control.stopping
        durations_ns.append(scenario.duration_ns)
        return EventLog({"scenario": {"namespace": NAMESPACE}})

    rig = Rig(settings, send, threading.Event())
    (found,) = shrunk_violations(iteration_of(9), rig, set(), later())
    assert found.tries == Tries(0, 6)
    assert found.recipe is None
    assert "not again with any of 6 fresh clients" in found.describe()
    assert found.repeat.endswith("--seed 7 --iterations 3")
    assert max(durations_ns) < 30 * SECOND
    (found,) = shrunk_violations(iteration_of(9), rig, set(), later(1))
    assert found.tries == Tries(0, 0)
    far = Shrunk(replace(RECIPE, phase=Phase(1, 3_600 * SECOND)), Tries(0, 0), complete=False)
    assert Reproduction.shrunk(settings, "over-admission", far, 3).recipe == RECIPE


def test_a_crash_whose_search_was_stopped_gives_what_was_seen(iteration_of, settings):
    crashed = iteration_of(4, crashes=[Crash(0.1, "server died", at_ns=SECOND)])
    found = shrunk_crash(crashed, Rig(settings, never_sent, stopped()), None, later())
    assert found.recipe.requests == 4
    assert "no time to try it again" in found.describe()


def pursued(settings, iteration):
    return Pursuit(settings).reproductions(Rig(settings, never_sent, stopped()), iteration)


def test_what_takes_the_nemesis_is_repeated_with_it_its_seed_and_as_many_iterations(
    iteration_of, settings
):
    under_it = iteration_of(9, nemesis=["killed"])
    (found,) = pursued(settings, under_it)
    assert found.repeat.endswith("--nemesis kill --seed 7 --iterations 3")
    assert found.to_json()["schedule"] is None
    assert "schedule  the iteration as a whole\n" in found.describe()


@pytest.mark.parametrize("nemesis", [(), ("kill",)])
def test_without_shrinking_each_kind_of_violation_is_repeated_from_its_seed_once(
    iteration_of, settings, nemesis
):
    settings = replace(settings, shrink_time_ns=0, nemesis=nemesis)
    crash = Crash(0.1, "server died", at_ns=SECOND)
    rig, seen = Rig(settings, never_sent, threading.Event()), Pursuit(settings)
    (found,) = seen.reproductions(rig, iteration_of(9))
    (crashed,) = seen.reproductions(rig, iteration_of(9, crashes=[crash]))
    assert seen.reproductions(rig, iteration_of(9, crashes=[crash])) == []
    assert [found.kind, crashed.kind] == ["over-admission", "crash"]
    deeds = " --nemesis kill" if nemesis else ""
    for each in (found, crashed):
        assert each.repeat.endswith(
            f"--timeout 1s --claim over-admission{deeds} --seed 7 --iterations 3"
        )
        assert "no shorter schedule was looked for" in each.describe()


def test_a_violation_that_no_schedule_can_show_is_repeated_from_its_seed(iteration_of, settings):
    """Header fields that lie are no matter of one client's schedule."""
    settings = replace(settings, claim="headers", nemesis=())
    seen = iteration_of(5)
    lie = replace(seen.verdict, outcome="violated", reasons=("headers: 1 of 2 were false",))
    (found,) = pursued(settings, replace(seen, verdict=lie))
    assert found.kind == "headers"
    assert found.repeat.endswith("--timeout 1s --claim headers --seed 7 --iterations 3")


def test_what_keeps_its_promise_has_nothing_to_repeat(iteration_of, settings):
    settings = replace(settings, shrink_time_ns=0)
    assert pursued(settings, iteration_of(5)) == []


def test_a_schedule_under_a_nemesis_is_repeated_with_it(iteration_of, settings):
    found = outcome_of(RECIPE, iteration_of(11), Rig(settings, never_sent, threading.Event()))
    assert "--nemesis kill --seed 7 --iterations 3 --schedule" in found.repeat
