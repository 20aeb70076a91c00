"""Claims about behaviours: when each sends next, and that a seed repeats it."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError
from itertools import islice, pairwise

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, REJECTED, UNKNOWN
from rateproof.policy import Policy
from rateproof.simulate.behaviour import Behaviour, describe
from rateproof.simulate.behaviours import BEHAVIOURS, make_behaviour
from rateproof.simulate.behaviours.backoff import Backoff
from rateproof.simulate.behaviours.boundary import Boundary
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.drip import Drip
from rateproof.simulate.behaviours.herd import Herd
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.polite import Polite
from rateproof.simulate.behaviours.race import Race
from rateproof.simulate.behaviours.ramp import Ramp
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.behaviours.storm import Storm
from rateproof.simulate.behaviours.sybil import Sybil
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.behaviours.zipf import Zipf
from rateproof.simulate.programs import arrivals
from rateproof.simulate.programs.program import Reply, Send
from rateproof.simulate.programs.rng import Rng

SECOND = 10**9
OPEN = (
    Poisson(SECOND),
    Constant(SECOND),
    Boundary(5, 5 * SECOND),
    Burst(6, 6 * SECOND),
    Race(6 * SECOND),
    Ramp(1, 5, 10 * SECOND),
    Zipf(100, 1.0, SECOND),
)
WITHOUT_CHANCE: set[type[Behaviour]] = {Saturate, Herd, Schedule}

Answering = Callable[[int], Reply]


def quick(intended_ns: int) -> Reply:
    """An answer after one millisecond."""
    return Reply(intended_ns + 1_000_000, ADMITTED)


def slow(intended_ns: int) -> Reply:
    """A rejection after an hour."""
    return Reply(intended_ns + 3_600 * SECOND, REJECTED, 10**18)


def sends(
    behaviour: Behaviour, count: int, answer: Answering = quick, seed: str = "1"
) -> list[Send]:
    plan = behaviour.program().plan(Rng(seed))
    found = [next(plan)]
    with contextlib.suppress(StopIteration):
        while len(found) < count:
            found.append(plan.send(answer(found[-1].intended_ns)))
    return found


def instants(
    behaviour: Behaviour, count: int, answer: Answering = quick, seed: str = "1"
) -> list[int]:
    return [send.intended_ns for send in sends(behaviour, count, answer, seed)]


def answered(behaviour: Behaviour, *answers: Reply) -> list[Send]:
    """Requests of a behaviour that hears these answers."""
    plan = behaviour.program().plan(Rng("1"))
    return [next(plan), *(plan.send(answer) for answer in answers)]


def gaps(values: list[int]) -> list[int]:
    return [after - before for before, after in pairwise(values)]


@pytest.mark.parametrize("behaviour", OPEN, ids=lambda behaviour: behaviour.name)
def test_an_open_behaviour_has_the_same_instants_whatever_the_answers(behaviour: Behaviour) -> None:
    assert instants(behaviour, 200, quick) == instants(behaviour, 200, slow)


@pytest.mark.parametrize("kind", BEHAVIOURS.values(), ids=list(BEHAVIOURS))
def test_the_same_seed_and_answers_give_the_same_instants(kind: type[Behaviour]) -> None:
    assert instants(kind(), 100) == instants(kind(), 100)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in BEHAVIOURS.values() if kind not in WITHOUT_CHANCE],
    ids=lambda kind: kind.name,
)
def test_another_seed_gives_other_instants(kind: type[Behaviour]) -> None:
    assert instants(kind(), 3, seed="1") != instants(kind(), 3, seed="2")


@pytest.mark.parametrize("behaviour", OPEN, ids=lambda behaviour: behaviour.name)
def test_open_instants_never_go_back(behaviour: Behaviour) -> None:
    values = instants(behaviour, 500)
    assert values[0] >= 0
    assert min(gaps(values)) >= 0


def test_think_pauses_between_an_answer_and_the_next_request() -> None:
    pause = arrivals.Uniform(SECOND, 2 * SECOND)
    plan = Think(pause).program().plan(Rng("3"))
    draws = Rng("3")
    first = next(plan)
    assert first.intended_ns == pause.draw(draws)
    done_ns = first.intended_ns + 7 * SECOND
    after = plan.send(Reply(done_ns, ADMITTED))
    assert after.intended_ns == done_ns + pause.draw(draws)


def test_saturate_sends_as_soon_as_the_answer_is_there() -> None:
    told = answered(Saturate(), Reply(123, REJECTED, 5 * SECOND), Reply(456, ADMITTED))
    assert told == [Send(0), Send(123), Send(456)]


def test_saturate_pauses_after_a_failure_so_that_a_dead_server_is_not_hammered() -> None:
    answers = Reply(1_000, UNKNOWN), Reply(2_000, ADMITTED)
    assert answered(Saturate(50), *answers) == [Send(0), Send(1_050), Send(2_000)]
    assert answered(Saturate(0), *answers) == [Send(0), Send(1_000), Send(2_000)]


def test_poisson_adds_exponential_gaps_to_its_own_instants() -> None:
    draws, gap = Rng("1"), arrivals.Exponential(SECOND)
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
    told = answered(
        Polite(arrivals.Fixed(7)),
        Reply(100, REJECTED, 5 * SECOND),
        Reply(200, REJECTED, 0),
    )
    assert told == [Send(7), Send(100 + 5 * SECOND), Send(200)]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(100, REJECTED),
        Reply(100, ADMITTED, 5 * SECOND),
        Reply(100, UNKNOWN, 5 * SECOND),
    ],
)
def test_polite_only_thinks_after_any_other_answer(answer: Reply) -> None:
    assert answered(Polite(arrivals.Fixed(7)), answer) == [Send(7), Send(107)]


def test_backoff_pauses_longer_after_each_failure_and_starts_over_once_admitted() -> None:
    """The k-th repetition comes within base * 2**k of the last answer, and within the cap."""
    behaviour = Backoff(100, 350, retries=9, pause=arrivals.Fixed(7))
    plan = behaviour.program().plan(Rng("1"))
    assert next(plan) == Send(7)
    for attempt, most_ns in enumerate([100, 200, 350, 350], start=1):
        done_ns = attempt * SECOND
        outcome = REJECTED if attempt % 2 else UNKNOWN
        send = plan.send(Reply(done_ns, outcome, 10 * SECOND))
        assert send.attempt == attempt
        assert 0 <= send.intended_ns - done_ns <= most_ns
    assert plan.send(Reply(9 * SECOND, ADMITTED)) == Send(9 * SECOND + 7)


def test_storm_repeats_at_once_until_admitted() -> None:
    told = answered(
        Storm(retries=5, pause=arrivals.Fixed(7)),
        Reply(10, REJECTED, 5 * SECOND),
        Reply(20, UNKNOWN),
        Reply(30, ADMITTED),
        Reply(40, REJECTED),
    )
    assert told == [Send(7), Send(10, 0, 1), Send(20, 0, 2), Send(37), Send(40, 0, 1)]


@pytest.mark.parametrize(
    "behaviour",
    [
        Storm(retries=2, pause=arrivals.Fixed(7)),
        Backoff(1, 1, retries=2, pause=arrivals.Fixed(7)),
    ],
    ids=lambda behaviour: behaviour.name,
)
def test_a_request_is_given_up_after_so_many_repetitions(behaviour: Behaviour) -> None:
    told = answered(behaviour, *(Reply(10 * k, REJECTED) for k in range(1, 6)))
    assert [send.attempt for send in told] == [0, 1, 2, 0, 1, 2]
    assert told[3].intended_ns == 37


def test_every_connection_of_a_racing_client_releases_at_the_same_instants() -> None:
    values = instants(Race(SECOND), 5)
    assert 0 <= values[0] <= SECOND
    assert gaps(values) == [SECOND] * 4
    assert values == instants(Race(SECOND), 5, slow)


def test_sybil_takes_a_new_identity_after_so_many_requests_and_never_an_old_one() -> None:
    aliases = [send.alias for send in sends(Sybil(3), 12, slow)]
    assert aliases == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_zipf_stays_within_its_identities() -> None:
    assert {send.alias for send in sends(Zipf(3, 0.5, SECOND), 200)} == {0, 1, 2}
    assert {send.alias for send in sends(Zipf(1, 0.5, SECOND), 50)} == {0}


def test_herd_presses_until_rejected_and_comes_back_when_the_server_said() -> None:
    told = answered(
        Herd(requests=9, wait_ns=70),
        Reply(10, ADMITTED),
        Reply(20, REJECTED, 5 * SECOND),
        Reply(5 * SECOND + 30, REJECTED),
        Reply(5 * SECOND + 110, UNKNOWN, 3 * SECOND),
    )
    back = 5 * SECOND
    assert [send.intended_ns for send in told] == [0, 10, back + 20, back + 100, back + 180]


@pytest.mark.parametrize("requests", [1, 3])
def test_herd_waits_after_a_burst_that_was_admitted(requests: int) -> None:
    told = answered(Herd(requests, wait_ns=1_000), *(Reply(10 * k, ADMITTED) for k in range(1, 7)))
    waits = [send.intended_ns - 10 * k for k, send in enumerate(told)]
    assert waits == [0 if k == 0 or k % requests else 1_000 for k in range(7)]


def test_drip_asks_for_every_header_to_trickle() -> None:
    told = answered(Drip(SECOND, arrivals.Fixed(7)), Reply(100, ADMITTED))
    assert told == [Send(7, over_ns=SECOND), Send(107, over_ns=SECOND)]


def test_a_ramp_down_to_nothing_ends_its_client() -> None:
    plan = Ramp(100, 0, SECOND).program().plan(Rng("1"))
    values = [next(plan).intended_ns]
    with contextlib.suppress(StopIteration):
        while len(values) < 1_000:
            values.append(plan.send(quick(values[-1])).intended_ns)
    assert 20 < len(values) < 100
    assert max(values) < SECOND


def test_a_ramp_keeps_its_last_rate() -> None:
    """Within 4 standard deviations of a Poisson count."""
    values = [value for value in instants(Ramp(0, 100, SECOND), 1_500) if value >= 5 * SECOND]
    seconds = (values[-1] - values[0]) / SECOND
    assert abs(len(values) - 100 * seconds) < 4 * (100 * seconds) ** 0.5


@pytest.mark.parametrize("kind", BEHAVIOURS.values(), ids=list(BEHAVIOURS))
def test_every_behaviour_is_registered_by_name_frozen_and_complete_without_arguments(
    kind: type[Behaviour],
) -> None:
    behaviour = kind()
    assert BEHAVIOURS[behaviour.name] is kind
    assert behaviour == kind()
    assert hash(behaviour) == hash(kind())
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        behaviour.name = "other"


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
        Race,
        Storm,
        Sybil,
        Herd,
        Drip,
        Zipf,
        lambda value: Backoff(retries=value),
        lambda value: Ramp(over_ns=value),
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
    with pytest.raises(InvalidArgument, match=r"^edge(: -1ns is out of range| is 250000001ns)"):
        Boundary(5, SECOND, value)


@pytest.mark.parametrize("build", [Think, Polite, Storm, Sybil, Drip, Backoff])
def test_a_pause_that_is_no_distribution_is_refused(build: Callable[..., Behaviour]) -> None:
    with pytest.raises(InvalidArgument, match="pause"):
        build(pause=5)


def test_parameters_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="base_ns <= cap_ns"):
        Backoff(2, 1)
    with pytest.raises(InvalidArgument, match="millionth"):
        Ramp(0, 1e-7)
    for exponent in (0, -1, 10.1, float("nan"), "1"):
        with pytest.raises(InvalidArgument, match="exponent"):
            Zipf(5, exponent)


def test_a_rate_becomes_the_mean_interval() -> None:
    assert make_behaviour("poisson", rate_per_s=4) == Poisson(SECOND // 4)
    assert make_behaviour("constant", rate_per_s=0.5) == Constant(2 * SECOND)
    assert make_behaviour("think", rate_per_s=10) == Think(arrivals.Exponential(SECOND // 10))
    assert make_behaviour("polite", rate_per_s=10) == Polite(arrivals.Exponential(SECOND // 10))
    assert make_behaviour("storm", rate_per_s=10) == Storm(pause=arrivals.Exponential(SECOND // 10))
    assert make_behaviour("zipf", rate_per_s=4) == Zipf(mean_interval_ns=SECOND // 4)
    assert make_behaviour("race", rate_per_s=4) == Race(SECOND // 4)
    assert make_behaviour("ramp", rate_per_s=4) == Ramp(0, 4)
    assert make_behaviour("burst", rate_per_s=3) == Burst(6, 2 * SECOND - 2)  # 6 * 333333333


def test_attackers_aim_at_the_policy() -> None:
    policy = Policy.parse("3 per 2s")
    assert make_behaviour("boundary", policy=policy) == Boundary(3, 2 * SECOND)
    assert make_behaviour("burst", policy=policy) == Burst(4, 2 * SECOND + 2 * SECOND // 5)
    assert make_behaviour("race", policy=policy) == Race(2 * SECOND + 2 * SECOND // 5)
    assert make_behaviour("sybil", policy=policy) == Sybil(3)
    assert make_behaviour("herd", policy=policy) == Herd(4, 2 * SECOND)
    assert make_behaviour("boundary") == Boundary(5, 5 * SECOND)


@pytest.mark.parametrize("policy", ["1 per 1ns", "1000000 per 26000 days"])
@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_behaviour_can_face_the_extremes_of_a_policy(name: str, policy: str) -> None:
    behaviour = make_behaviour(name, policy=Policy.parse(policy))
    assert len(sends(behaviour, 3)) == 3


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_name_makes_its_behaviour(name: str) -> None:
    assert make_behaviour(name).name == name


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e7, 1e-12])
def test_a_rate_out_of_bounds_is_refused(rate: float) -> None:
    with pytest.raises(InvalidArgument, match="rate"):
        make_behaviour("think", rate_per_s=rate)


def test_an_unknown_name_and_a_rate_that_means_nothing_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="one of backoff, boundary"):
        make_behaviour("thnik")
    for name in ("saturate", "boundary", "herd"):
        with pytest.raises(InvalidArgument, match="has no rate"):
            make_behaviour(name, rate_per_s=1)


def test_a_plan_does_no_more_than_it_is_asked() -> None:
    """Endless plans are lazy: taking three instants ends."""
    plan: Iterable[Send] = Constant(5).program().plan(Rng("1"))
    assert len(list(islice(plan, 3))) == 3
