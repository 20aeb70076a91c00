"""The feasibility search against every choice of instants, and its twin against it."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import pytest

from rateproof import core
from rateproof.clock import EXACT, Interval, Tolerance
from rateproof.policy import ALGORITHMS, Policy, Quota
from rateproof.prove.over_admission.breach import minimal_core
from rateproof.prove.over_admission.families import Model
from rateproof.prove.over_admission.feasible import _native_search, _search, segments
from rateproof.prove.over_admission.gaps import Earliest, Exhausted, Feasible, Infeasible, Stair
from rateproof.prove.over_admission.windows import (
    most_nested,
    most_touching,
    tightest_nests,
)

ENDLESS = 10**12
SEARCHES = [_search] if core.native() is None else [_search, _native_search]

both = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.__name__)
Search = Callable[[Sequence[Interval], Sequence[Stair], int], Feasible | Infeasible | Exhausted]


def a_stair(rng: random.Random) -> Stair:
    rise, parts = rng.choice([(rng.randint(1, 5), 1), (rng.randint(1, 12), rng.randint(2, 3))])
    return Stair(rng.randint(1, 3), rng.randint(0, 2), rise, parts, rng.choice([0, 0, 0, 1]))


def a_model(rng: random.Random) -> Model:
    return Model(tuple(a_stair(rng) for _ in range(rng.choice([1, 1, 2]))))


def some_jobs(rng: random.Random, most: int, times: int) -> list[Interval]:
    """Short intervals, with long ones that contain others among them."""
    jobs = []
    for _ in range(rng.randint(2, most)):
        sent = rng.randrange(times)
        jobs.append((sent, sent + rng.randrange(times if rng.random() < 0.2 else 4)))
    return jobs


def keeps_gaps(instants: Sequence[int], model: Model) -> bool:
    ordered = sorted(instants)
    return all(
        ordered[k] - ordered[q] >= model.gap(k - q + 1)
        for k in range(len(ordered))
        for q in range(k)
    )


def some_choice_works(jobs: Sequence[Interval], model: Model) -> bool:
    """Every choice of whole instants, one after the other."""
    choices = product(*(range(sent, received + 1) for sent, received in jobs))
    return any(keeps_gaps(instants, model) for instants in choices)


def some_branch_works(jobs: Sequence[Interval], model: Model, chosen: tuple[int, ...] = ()) -> bool:
    """The same, leaving out branches whose first instants break a gap already."""
    if len(chosen) == len(jobs):
        return True
    sent, received = jobs[len(chosen)]
    return any(
        keeps_gaps((*chosen, instant), model) and some_branch_works(jobs, model, (*chosen, instant))
        for instant in range(sent, received + 1)
    )


def judge_like_every_choice(rng: random.Random, instances: int) -> list[int]:
    """Compare so many instances, on both cores; how many were impossible, and needed barriers."""
    impossible = barriers = 0
    for number in range(instances):
        model = a_model(rng)
        jobs = some_jobs(rng, most=6, times=9)
        every = some_choice_works if number % 1_000 == 0 else some_branch_works
        possible = every(jobs, model)
        for search in SEARCHES:
            answer = search(jobs, model.stairs, ENDLESS)
            assert possible == isinstance(answer, Feasible), (jobs, model)
            if isinstance(answer, Feasible):
                assert keeps_gaps(answer.instants, model), (jobs, model)
                for (sent, received), instant in zip(jobs, answer.instants, strict=True):
                    assert sent <= instant <= received, (jobs, model)
            elif isinstance(answer, Infeasible):
                alone = [jobs[i] for i in answer.core]
                assert not some_branch_works(alone, model), (jobs, model)
        impossible += not possible
        barriers += answer.spent > 0
    return [impossible, barriers]


def test_answers_like_trying_every_choice():
    impossible, barriers = judge_like_every_choice(random.Random(1), 1_200)
    assert impossible > 150
    assert barriers > 45


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_answers_like_trying_every_choice_at_length(seed):
    """The other half is in `test_families`."""
    impossible, _ = judge_like_every_choice(random.Random(1_000 + seed), 20_000)
    assert impossible > 2_400


def crowded(rng: random.Random, n: int, limit: int) -> list[Interval]:
    """A stream near the limit of N per 1000, a tenth of it held back for long."""
    jobs, t = [], 0.0
    for _ in range(n):
        t += rng.expovariate(limit / 1000)
        length = rng.randrange(20_000) if rng.random() < 0.1 else rng.randrange(200)
        jobs.append((int(t), int(t) + length))
    return jobs


def twin_instances(rng: random.Random, instances: int) -> Iterator[tuple[list[Interval], Model]]:
    for _ in range(instances):
        limit = rng.randint(1, 7)
        algorithm = rng.choice(list(ALGORITHMS))
        quotas = (Quota(limit, 1000, algorithm), Quota(3 * limit, 4000))
        model = Model.of(Policy(quotas[: rng.randint(1, 2)]), Tolerance(rng.choice([0, 500]), 1))
        yield crowded(rng, rng.randint(2, 150), limit), model
        yield some_jobs(rng, most=12, times=25), a_model(rng)


@pytest.mark.parametrize(
    ("seed", "instances"), [(2, 250), pytest.param(3, 15_000, marks=pytest.mark.slow)]
)
def test_the_native_search_answers_exactly_as_the_reference(seed, instances):
    """witness, core and work spent."""
    kinds = set()
    for jobs, model in twin_instances(random.Random(seed), instances):
        expected = _search(jobs, model.stairs, 20_000)
        kinds.add(type(expected))
        for search in SEARCHES:
            assert search(jobs, model.stairs, 20_000) == expected, (jobs, model)
    assert {Feasible, Infeasible} <= kinds


@both
def test_gives_up_when_the_budget_is_spent_and_not_before(search):
    jobs, model = [(0, 10), (1, 1)], Model((Stair(1, 0, 4, 1, 0),))
    full = search(jobs, model.stairs, ENDLESS)
    assert isinstance(full, Feasible)
    assert search(jobs, model.stairs, full.spent) == full
    assert isinstance(search(jobs, model.stairs, full.spent - 1), Exhausted)


def test_every_job_of_a_minimal_core_is_needed():
    rng = random.Random(4)
    cores = 0
    while cores < 500:
        model, jobs = a_model(rng), some_jobs(rng, most=9, times=12)
        answer = _search(jobs, model.stairs, ENDLESS)
        if not isinstance(answer, Infeasible):
            continue
        cores += 1
        least = minimal_core(
            jobs,
            range(len(jobs)),
            lambda few, budget, model=model: _search(few, model.stairs, budget),
            ENDLESS,
        )
        assert least.minimal
        assert isinstance(_search([jobs[i] for i in least.jobs], model.stairs, ENDLESS), Infeasible)
        for left_out in least.jobs:
            rest = [jobs[i] for i in least.jobs if i != left_out]
            assert isinstance(_search(rest, model.stairs, ENDLESS), Feasible), (jobs, model, least)


def test_cutting_at_pauses_changes_no_answer():
    rng = random.Random(5)
    cut = 0
    for _ in range(4_000):
        model = a_model(rng)
        jobs = some_jobs(rng, most=10, times=60)
        parts = segments(jobs, model.stairs)
        assert sorted(i for part in parts for i in part) == list(range(len(jobs)))
        cut += len(parts) > 1
        apart = all(
            isinstance(_search([jobs[i] for i in part], model.stairs, ENDLESS), Feasible)
            for part in parts
        )
        assert apart == isinstance(_search(jobs, model.stairs, ENDLESS), Feasible), (jobs, model)
    assert cut > 1_000


def test_a_horizon_joins_any_two_stretches_and_no_shorter_pause_does():
    """But for the 2 ns that rounding may need."""
    for algorithm in ALGORITHMS:
        for limit in range(1, 6):
            stair = Stair.of(Quota(limit, 1000 * limit, algorithm))
            needed = max(
                stair.gap(a + b) - stair.gap(a) - stair.gap(b)
                for a in range(1, 40)
                for b in range(1, 40)
            )
            assert needed + 2 == stair.horizon_ns, stair


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_m_windows_hold_at_most_m_times_the_limit_for_every_nest(steps):
    """Nests found are real: so many jobs lie in them, and no tighter place has as many."""
    rng = random.Random(6)
    for _ in range(1_500):
        stair, jobs = a_stair(rng), some_jobs(rng, most=9, times=15)
        size = stair.size(steps)
        nests = [nest for nest in tightest_nests(jobs, stair, steps) if nest.steps == steps]
        spans = [
            end - sent
            for sent, _ in jobs
            for _, end in jobs
            if sum(1 for s, r in jobs if s >= sent and r <= end) >= size
        ]
        assert [nest.span_ns for nest in nests] == ([min(spans)] if spans else [])
        for nest in nests:
            members = [jobs[i] for i in nest.members(jobs, size)]
            assert len(members) == size
            assert max(r for _, r in members) - min(s for s, _ in members) <= nest.span_ns


def test_counting_is_complete_for_a_sliding_log_when_no_interval_contains_another():
    """And sound always; the smallest case where it misses one is the last line."""
    rng = random.Random(7)
    impossible = 0
    for _ in range(6_000):
        stair = Stair(rng.randint(1, 3), 0, rng.randint(1, 6), 1, 0)
        jobs = some_jobs(rng, most=10, times=14)
        if rng.random() < 0.5:
            starts, ends = zip(*jobs, strict=True)
            jobs = list(zip(sorted(starts), sorted(ends), strict=True))
        nests = tightest_nests(jobs, stair, len(jobs))
        counted = any(nest.span_ns < stair.span_ns(nest.steps) for nest in nests)
        searched = isinstance(_search(jobs, (stair,), ENDLESS), Infeasible)
        contained = any(a < c and d < b for a, b in jobs for c, d in jobs)
        impossible += searched
        assert counted <= searched, (jobs, stair)
        if not contained:
            assert counted == searched, (jobs, stair)
    assert impossible > 1_500
    missed, stair = [(0, 2), (3, 3), (6, 6), (2, 4)], Stair(2, 0, 4, 1, 0)
    assert all(n.span_ns >= stair.span_ns(n.steps) for n in tightest_nests(missed, stair, 4))
    assert isinstance(_search(missed, (stair,), ENDLESS), Infeasible)


def test_windows_are_counted_as_by_hand():
    """Certainly inside, and possibly inside, over every place where a window can open."""
    rng = random.Random(8)
    for _ in range(2_000):
        jobs, window = some_jobs(rng, most=8, times=12), rng.randint(1, 6)
        places = range(-10, 30)
        inside = max(sum(x <= s and r < x + window for s, r in jobs) for x in places)
        touching = max(sum(s < x + window and r >= x for s, r in jobs) for x in places)
        assert most_nested(jobs, window) == inside, (jobs, window)
        assert most_touching(jobs, window) == touching, (jobs, window)


def test_running_bounds_equal_the_maximum_over_all_earlier_positions():
    rng = random.Random(9)
    for _ in range(2_000):
        stair = Stair(
            rng.randint(1, 4), rng.randint(0, 5), rng.randint(1, 50), rng.randint(1, 7),
            rng.randint(0, 3),
        )  # fmt: skip
        bounds, instants, t = Earliest(stair, 20), [], rng.randint(-20, 20)
        for k in range(20):
            floor = t
            by_hand = max([floor, *(instants[q] + stair.gap(k - q + 1) for q in range(k))])
            # Without the clipping at 0: an earlier instant is no bound that `floor` is not.
            assert bounds.earliest(k, floor) == by_hand, (stair, instants)
            t = by_hand + rng.randint(0, 9)
            instants.append(t)
            bounds.record(k, t)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_model_is_the_declared_envelope_to_the_nanosecond(algorithm):
    """Rounded down where the policy rounds up, so never stricter than the policy."""
    for limit, window, m in product((1, 2, 5, 7), (1, 10, 999), range(1, 60)):
        quota = Quota(limit, window, algorithm, 3 if algorithm == "token-bucket" else 0)
        assert 0 <= quota.gap(m) - Stair.of(quota, EXACT).gap(m) <= (window % limit != 0)
