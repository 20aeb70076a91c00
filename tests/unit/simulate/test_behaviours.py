"""Claims about behaviours: when each sends next, and that a seed repeats it."""

from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError
from itertools import islice, pairwise
from random import Random

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, REJECTED, UNKNOWN
from rateproof.policy import Policy
from rateproof.simulate import arrivals
from rateproof.simulate.behaviours import (
    BEHAVIOURS,
    Answer,
    Behaviour,
    Boundary,
    Burst,
    Constant,
    Poisson,
    Polite,
    Saturate,
    Think,
    describe,
    make_behaviour,
)

SECOND = 10**9
OPEN = (Poisson(SECOND), Constant(SECOND), Boundary(5, 5 * SECOND), Burst(6, 6 * SECOND))

Answering = Callable[[int], Answer]


def quick(intended_ns: int) -> Answer:
    """An answer after one millisecond."""
    return Answer(intended_ns, intended_ns + 1_000_000, ADMITTED)


def slow(intended_ns: int) -> Answer:
    """A rejection after an hour."""
    return Answer(intended_ns, intended_ns + 3_600 * SECOND, REJECTED, 10**18)


def instants(
    behaviour: Behaviour, count: int, answer: Answering = quick, seed: int = 1
) -> list[int]:
    plan = behaviour.plan(Random(seed))
    found = [next(plan)]
    while len(found) < count:
        found.append(plan.send(answer(found[-1])))
    return found


def gaps(values: list[int]) -> list[int]:
    return [after - before for before, after in pairwise(values)]


@pytest.mark.parametrize("behaviour", OPEN, ids=lambda behaviour: behaviour.name)
def test_an_open_behaviour_has_the_same_instants_whatever_the_answers(behaviour: Behaviour) -> None:
    assert instants(behaviour, 200, quick) == instants(behaviour, 200, slow)


@pytest.mark.parametrize("kind", BEHAVIOURS.values(), ids=list(BEHAVIOURS))
def test_the_same_seed_and_answers_give_the_same_instants(kind: type[Behaviour]) -> None:
    assert instants(kind(), 100) == instants(kind(), 100)


@pytest.mark.parametrize("kind", set(BEHAVIOURS.values()) - {Saturate}, ids=lambda kind: kind.name)
def test_another_seed_gives_other_instants(kind: type[Behaviour]) -> None:
    assert instants(kind(), 3, seed=1) != instants(kind(), 3, seed=2)


@pytest.mark.parametrize("behaviour", OPEN, ids=lambda behaviour: behaviour.name)
def test_open_instants_never_go_back(behaviour: Behaviour) -> None:
    values = instants(behaviour, 500)
    assert values[0] >= 0
    assert min(gaps(values)) >= 0


def test_think_pauses_between_an_answer_and_the_next_request() -> None:
    pause = arrivals.Uniform(SECOND, 2 * SECOND)
    plan = Think(pause).plan(Random(3))
    draws = Random(3)
    first = next(plan)
    assert first == pause.draw(draws)
    assert plan.send(Answer(first, first + 7 * SECOND, ADMITTED)) == (
        first + 7 * SECOND + pause.draw(draws)
    )


def test_saturate_sends_as_soon_as_the_answer_is_there() -> None:
    plan = Saturate().plan(Random(1))
    assert next(plan) == 0
    assert plan.send(Answer(0, 123, REJECTED, 5 * SECOND)) == 123
    assert plan.send(Answer(123, 456, ADMITTED)) == 456


def test_saturate_pauses_after_a_failure_so_that_a_dead_server_is_not_hammered() -> None:
    plan = Saturate(failure_pause_ns=50).plan(Random(1))
    next(plan)
    assert plan.send(Answer(0, 1_000, UNKNOWN)) == 1_050
    assert plan.send(Answer(1_050, 2_000, ADMITTED)) == 2_000


def test_poisson_adds_exponential_gaps_to_its_own_instants() -> None:
    draws, gap = Random(1), arrivals.Exponential(SECOND)
    expected, now = [], 0
    for _ in range(50):
        now += gap.draw(draws)
        expected.append(now)
    assert instants(Poisson(SECOND), 50) == expected


def test_constant_keeps_its_distance_exactly_from_a_phase_within_one_interval() -> None:
    values = instants(Constant(333_333_333), 1_000)
    assert 0 <= values[0] <= 333_333_333
    assert set(gaps(values)) == {333_333_333}


def test_boundary_opens_a_window_and_presses_on_both_sides_of_its_end() -> None:
    """The schedule 1@0, 4@4.9, 5@5.1 for 5 per 5 s."""
    values = instants(Boundary(5, 5 * SECOND), 10)
    offsets = [(value - values[0]) / SECOND for value in values]
    assert offsets == [0] + [4.9] * 4 + [5.1] * 5


def test_boundary_is_silent_for_more_than_a_window_between_rounds() -> None:
    values = instants(Boundary(5, 5 * SECOND), 200)
    silences = [values[start] - values[start - 1] for start in range(10, 200, 10)]
    assert all(5 * SECOND < silence <= 10 * SECOND for silence in silences)
    assert len(set(silences)) > 10  # each round from another phase


def test_boundary_would_exceed_a_window_that_the_first_request_opens() -> None:
    """A model of such a limiter admits 2N - 1 within twice the edge."""
    limit, window = 5, 5 * SECOND
    opened, count, admitted = -window, 0, []
    for instant in instants(Boundary(limit, window), 10):
        if instant >= opened + window:
            opened, count = instant, 0
        if count < limit:
            count += 1
            admitted.append(instant)
    late = [instant for instant in admitted if instant > admitted[0]]
    assert len(late) == 2 * limit - 1
    assert late[-1] - late[0] < window


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_boundary_sends_twice_its_limit_in_a_round(limit: int) -> None:
    values = instants(Boundary(limit, SECOND, 1), 2 * limit + 1)
    assert values[2 * limit - 1] - values[0] == SECOND + 1
    assert values[2 * limit] - values[2 * limit - 1] > SECOND


def test_burst_sends_together_and_then_waits() -> None:
    values = instants(Burst(3, SECOND), 9)
    assert gaps(values) == [0, 0, SECOND, 0, 0, SECOND, 0, 0]


def test_polite_waits_out_a_rejection() -> None:
    plan = Polite(arrivals.Constant(7)).plan(Random(1))
    assert next(plan) == 7
    assert plan.send(Answer(7, 100, REJECTED, 5 * SECOND)) == 100 + 5 * SECOND
    assert plan.send(Answer(100, 200, REJECTED, 0)) == 200


@pytest.mark.parametrize(
    "answer",
    [
        Answer(7, 100, REJECTED),
        Answer(7, 100, ADMITTED, 5 * SECOND),
        Answer(7, 100, UNKNOWN, 5 * SECOND),
    ],
)
def test_polite_only_thinks_after_any_other_answer(answer: Answer) -> None:
    plan = Polite(arrivals.Constant(7)).plan(Random(1))
    next(plan)
    assert plan.send(answer) == 107


@pytest.mark.parametrize("kind", BEHAVIOURS.values(), ids=list(BEHAVIOURS))
def test_every_behaviour_is_registered_by_name_frozen_and_complete_without_arguments(
    kind: type[Behaviour],
) -> None:
    behaviour = kind()
    assert BEHAVIOURS[behaviour.name] is kind
    assert behaviour == kind()
    assert hash(behaviour) == hash(kind())
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        behaviour.name = "other"  # type: ignore[misc]


def test_a_description_is_plain_data_with_every_parameter() -> None:
    assert describe(Think(arrivals.LogNormal(SECOND, 0.5))) == {
        "name": "think",
        "pause": {"name": "lognormal", "median_ns": SECOND, "sigma": 0.5},
    }
    assert describe(Boundary(5, 5 * SECOND)) == {
        "name": "boundary",
        "limit": 5,
        "window_ns": 5 * SECOND,
        "edge_ns": SECOND // 10,
    }


@pytest.mark.parametrize(
    "build",
    [
        Poisson,
        Constant,
        lambda value: Burst(6, value),
        Burst,
        Boundary,
        lambda value: Boundary(5, value),
    ],
)
@pytest.mark.parametrize("value", [0, -1, 2**61, 0.5, "1", True])
def test_a_value_out_of_bounds_is_refused_and_named(
    build: Callable[[object], Behaviour], value: object
) -> None:
    with pytest.raises(InvalidArgument, match=repr(value)):
        build(value)


@pytest.mark.parametrize("value", [-1, SECOND // 4 + 1])
def test_an_edge_outside_a_quarter_of_the_window_is_refused(value: int) -> None:
    with pytest.raises(InvalidArgument, match="edge_ns"):
        Boundary(5, SECOND, value)


def test_a_rate_becomes_the_mean_interval() -> None:
    assert make_behaviour("poisson", rate_per_s=4) == Poisson(SECOND // 4)
    assert make_behaviour("constant", rate_per_s=0.5) == Constant(2 * SECOND)
    assert make_behaviour("think", rate_per_s=10) == Think(arrivals.Exponential(SECOND // 10))
    assert make_behaviour("polite", rate_per_s=10) == Polite(arrivals.Exponential(SECOND // 10))
    assert make_behaviour("burst", rate_per_s=3) == Burst(6, 2 * SECOND - 2)  # 6 * 333333333


def test_attackers_aim_at_the_policy() -> None:
    policy = Policy.parse("3 per 2s")
    assert make_behaviour("boundary", policy=policy) == Boundary(3, 2 * SECOND)
    assert make_behaviour("burst", policy=policy) == Burst(4, 2 * SECOND + 2 * SECOND // 5)
    assert make_behaviour("boundary") == Boundary(5, 5 * SECOND)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_name_makes_its_behaviour(name: str) -> None:
    assert make_behaviour(name).name == name


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e7, 1e-12])
def test_a_rate_out_of_bounds_is_refused(rate: float) -> None:
    with pytest.raises(InvalidArgument, match="rate"):
        make_behaviour("think", rate_per_s=rate)


def test_an_unknown_name_and_a_rate_that_means_nothing_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="one of think, saturate"):
        make_behaviour("thnik")
    for name in ("saturate", "boundary"):
        with pytest.raises(InvalidArgument, match="has no rate"):
            make_behaviour(name, rate_per_s=1)


def test_a_plan_does_no_more_than_it_is_asked() -> None:
    """Endless plans are lazy: taking three instants ends."""
    plan: Iterable[int] = Constant(5).plan(Random(1))
    assert len(list(islice(plan, 3))) == 3
