"""Recipes side by side: who has a seat, when each begins, and what came of each."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rateproof.events import Event, EventLog
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.rig import alone, keys_of
from rateproof.hunt.shrinking.bench import Bench
from rateproof.hunt.shrinking.reproduction import Tries
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate.behaviours.schedule import Schedule

SECOND = 1_000_000_000
FIVE = Recipe(Schedule(((0, 5), (SECOND, 1))))
POLICY = Policy.parse("5 per 5s")


def starts(bench):
    return [group.behaviour.steps[0][0] for group in bench.groups[: len(bench.owners)]]


@given(st.integers(1, 40), st.integers(3, 9), st.none() | st.floats(10, 1_000))
def test_clients_that_may_begin_any_time_are_never_more_than_a_server_can_answer(
    count, tries, max_rate
):
    bench = Bench.of([FIVE] * count, tries, max_rate=max_rate)
    seated = len(set(bench.owners))
    assert bench.owners == (*range(seated),) * tries
    rate = 500 if max_rate is None else min(500, max_rate)
    ordered = sorted(starts(bench))
    pairs = itertools.pairwise(ordered)
    assert all(b - a >= 5 / rate * SECOND - 2 for a, b in pairs)


@given(st.integers(1, 40), st.integers(1, 500), st.integers(3, 9), st.none() | st.floats(1, 1_000))
def test_beside_the_first_as_many_have_a_seat_as_can_begin_within_the_spread(
    count, requests, tries, max_rate
):
    recipe = Recipe(Schedule(((0, requests), (SECOND, 1))))
    bench = Bench.of([recipe] * count, tries, spread_ns=10 * SECOND, max_rate=max_rate)
    seated = len(set(bench.owners))
    taken = tries * requests / (500 if max_rate is None else min(500, max_rate))
    assert seated >= 1
    assert (seated - 1) * taken <= 10
    assert seated == count or seated * taken > 10


def test_a_recipe_alone_is_spread_over_the_phases_of_the_window():
    begun = starts(Bench.of([FIVE], 5, spread_ns=5 * SECOND))
    assert begun == [0, SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND]


def test_those_bound_to_a_phase_begin_in_it_as_many_as_go_together():
    window = 5 * SECOND
    bound = [Recipe(FIVE.schedule, phase=Phase(at * SECOND, window)) for at in (4, 4, 1, 2, 3, 0)]
    bench = Bench.of([*bound, FIVE], 3)
    assert bench.phase == bound[0].phase
    by_recipe = dict(zip(bench.owners, starts(bench), strict=True))
    assert by_recipe == {0: 0, 1: 0, 2: 2 * SECOND, 3: 3 * SECOND, 6: by_recipe[6]}
    assert 3 * 5 * len(bound[:4]) <= 64


def test_the_first_has_a_seat_whatever_its_size():
    huge = Recipe(Schedule(((0, 900),)), phase=Phase(0, SECOND))
    assert Bench.of([huge, huge], 3).owners == (0, 0, 0)


def test_what_saturating_clients_sent_leaves_room_for_what_may_do_the_same():
    huge = Recipe(Schedule(tuple((at * SECOND // 20, 900) for at in range(20))))
    assert Bench.of([huge, FIVE, FIVE], 6).owners == (0, 1, 2) * 6
    assert Bench.of([FIVE, huge, FIVE], 6).owners == (0, 2) * 6
    phase = Phase(0, SECOND)
    bound = [replace(recipe, phase=phase) for recipe in (FIVE, huge, FIVE)]
    assert set(Bench.of(bound, 6).owners) == {0, 2}


def test_others_come_once_with_all_the_clients():
    recipe = Recipe(Schedule(((0, 5), (SECOND, 5))), others=Schedule(((1, 100),)))
    bench = Bench.of([recipe, recipe], 3)
    assert starts(bench) == [0] * 6
    crowd = bench.groups[len(bench.owners) :]
    assert sum(group.clients * group.behaviour.identities for group in crowd) == 100


@given(st.integers(1, 30), st.none() | st.floats(10, 1_000))
def test_a_run_lasts_until_everything_is_sent(count, max_rate):
    bench = Bench.of([FIVE] * count, 3, max_rate=max_rate)
    last = max(group.behaviour.steps[-1][0] for group in bench.groups)
    is_slow = max_rate is not None and max_rate < 500  # then a turn is over before the next begins
    sent = 6 * len(set(bench.owners) if is_slow else bench.owners)
    assert bench.duration_ns > last + (0 if max_rate is None else sent / max_rate * SECOND)


def test_the_tally_counts_for_each_recipe_its_own_clients():
    huge = Recipe(Schedule(((0, 900),)), phase=Phase(0, SECOND))
    bench = Bench.of([huge, huge, FIVE], 3)
    assert bench.owners == (0, 0, 0, 2, 2, 2)
    tally = bench.tally([True, True, False, False, False, True])
    assert tally == [Tries(2, 3), None, Tries(1, 3)]


def test_each_key_is_judged_as_if_it_were_alone():
    log = EventLog({"scenario": {"namespace": "n"}})
    innocent, guilty, _absent = keys_of(log, 3)
    for at in range(6):
        log.append(event(guilty, at * 1_000))
        log.append(event(innocent, at * 2 * SECOND))
    claims = frozenset({"over-admission"})
    verdicts = [judge(own, POLICY, claims=claims) for own in alone(log, 3)]
    assert [verdict.outcome == "violated" for verdict in verdicts] == [False, True, False]


def event(key, sent_ns):
    return Event(key=key, sent_ns=sent_ns, received_ns=sent_ns + 10, status=200, outcome="admitted")
