"""Claims about behaviours that draw at random: they draw from their closed forms."""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import pytest

from rateproof.events import ADMITTED, REJECTED
from rateproof.simulate.behaviour import Behaviour
from rateproof.simulate.behaviours.backoff import Backoff
from rateproof.simulate.behaviours.boundary import Boundary
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.drip import Drip
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.polite import Polite
from rateproof.simulate.behaviours.race import Race
from rateproof.simulate.behaviours.ramp import Ramp
from rateproof.simulate.behaviours.storm import Storm
from rateproof.simulate.behaviours.sybil import Sybil
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.behaviours.zipf import Zipf
from rateproof.simulate.programs import arrivals
from rateproof.simulate.programs.program import Reply, Send
from rateproof.simulate.programs.rng import Rng
from tests.samples import quick_first

SECOND = 10**9
DRAWS = 5_000
CRITICAL = 1.628  # 1 %
SEEDS = quick_first("123")

Distance = Callable[..., float]


def exponential_cdf(mean: float) -> Callable[[float], float]:
    return lambda x: 1 - math.exp(-x / mean)


def uniform_cdf(low: float, high: float) -> Callable[[float], float]:
    return lambda x: min(1.0, max(0.0, (x - low) / (high - low)))


def followed(behaviour: Behaviour, seed: str, outcome: str = ADMITTED) -> Iterator[Send]:
    """The requests of a client whose answers come after a millisecond."""
    plan = behaviour.program().plan(Rng(seed))
    with contextlib.suppress(StopIteration):
        send = next(plan)
        while True:
            yield send
            done_ns = send.intended_ns + 1_000_000
            send = plan.send(Reply(done_ns, outcome))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "behaviour", [Poisson(SECOND), Zipf(50, 1.0, SECOND)], ids=lambda behaviour: behaviour.name
)
def test_open_arrivals_have_exponential_gaps(
    behaviour: Behaviour, seed: str, kolmogorov_smirnov: Distance
) -> None:
    instants = [send.intended_ns for send in islice(followed(behaviour, seed), DRAWS)]
    gaps = [after - before for before, after in pairwise([0, *instants])]
    assert kolmogorov_smirnov(gaps, exponential_cdf(SECOND)) < CRITICAL


PAUSES = [
    (arrivals.Exponential(SECOND), exponential_cdf(SECOND)),
    (arrivals.Uniform(SECOND, 2 * SECOND), uniform_cdf(SECOND, 2 * SECOND)),
    (
        arrivals.LogNormal(SECOND, 0.5),
        lambda x: (1 + math.erf(math.log(x / SECOND) / 0.5 / math.sqrt(2))) / 2,
    ),
]


@pytest.mark.parametrize(
    ("pause", "cdf"), quick_first(PAUSES), ids=lambda value: getattr(value, "name", "")
)
@pytest.mark.parametrize(
    "make",
    [Think, Polite, *(lambda pause, kind=kind: kind(pause=pause) for kind in (Storm, Sybil, Drip))],
)
def test_closed_users_pause_as_their_distribution_says(
    make: Callable[[arrivals.Interval], Behaviour],
    pause: arrivals.Interval,
    cdf: Callable[[float], float],
    kolmogorov_smirnov: Distance,
) -> None:
    instants = [send.intended_ns for send in islice(followed(make(pause), "1"), DRAWS)]
    done = [0, *(instant + 1_000_000 for instant in instants)]
    pauses = [instant - before for before, instant in zip(done, instants, strict=False)]
    assert kolmogorov_smirnov(pauses, cdf) < CRITICAL


def cumulated(start: float, end: float, over: float, t: float) -> float:
    """Lambda(t) = start*t + (end - start)*t**2 / (2*over), then end more a second."""
    during = min(t, over)
    return start * during + (end - start) * during**2 / (2 * over) + end * (t - during)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("start", "end"), quick_first([(0, 8), (6, 0.5), (0, 2), (1, 3), (8, 0.1), (2, 2)], 2), ids=str
)
def test_a_ramp_transformed_by_its_cumulated_rate_is_a_poisson_process_of_rate_one(
    start: float, end: float, seed: str, kolmogorov_smirnov: Distance
) -> None:
    """Few arrivals on each of many ramps, so that the rate changes much within a gap."""
    areas = []
    for client in range(2_000):
        plan = followed(Ramp(start, end, SECOND), f"{seed}/{client}")
        instants = [send.intended_ns / SECOND for send in islice(plan, 5)]
        passed = [0.0, *(cumulated(start, end, 1.0, t) for t in instants)]
        areas += [after - before for before, after in pairwise(passed)]
    assert kolmogorov_smirnov(areas, exponential_cdf(1)) < CRITICAL


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ramp_to_nothing_has_the_arrivals_of_its_area_at_its_rate(
    seed: str, kolmogorov_smirnov: Distance
) -> None:
    """Given their number, Lambda of a Poisson process's instants is uniform."""
    ramp, clients, area = Ramp(3, 0, SECOND), 3_000, 1.5
    instants = [
        send.intended_ns / SECOND
        for client in range(clients)
        for send in followed(ramp, f"{seed}/{client}")
    ]
    assert abs(len(instants) - clients * area) < 3.3 * math.sqrt(clients * area)
    areas = [cumulated(3, 0, 1.0, t) for t in instants]
    assert kolmogorov_smirnov(areas, uniform_cdf(0, area)) < CRITICAL


@pytest.mark.parametrize("attempt", quick_first([3, 6, 1, 2, 4, 5], 2))
def test_backoff_has_full_jitter(attempt: int, kolmogorov_smirnov: Distance) -> None:
    """Uniform from 0 to min(cap, base * 2**(attempt - 1)), for each attempt."""
    most_ns = min(10 * SECOND, SECOND * 2 ** (attempt - 1))
    behaviour = Backoff(SECOND, 10 * SECOND, retries=6)
    sends = list(islice(followed(behaviour, "1", REJECTED), 7 * 3_000))
    pauses = [
        after.intended_ns - before.intended_ns - 1_000_000
        for before, after in pairwise(sends)
        if after.attempt == attempt
    ]
    assert kolmogorov_smirnov(pauses, uniform_cdf(0, most_ns)) < CRITICAL


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("n", "s"), quick_first([(20, 0.3), (1_000, 1.0), (20, 1.0), (20, 2.5), (2, 1.5)], 2)
)
def test_identities_are_drawn_from_zipfs_law(n: int, s: float, seed: str) -> None:
    """Pearson's chi-square; ranks expected fewer than 10 times are one class.

    The 99.9 % quantile by Wilson and Hilferty (1931).
    """
    counts = Counter(send.alias for send in islice(followed(Zipf(n, s, SECOND), seed), 30_000))
    weights = [(k + 1) ** -s for k in range(n)]
    expected = [30_000 * weight / sum(weights) for weight in weights]
    classes = [k for k in range(n) if expected[k] >= 10]
    observed = [counts[k] for k in classes] + [sum(counts.values())]
    observed[-1] -= sum(observed[:-1])
    wanted = [expected[k] for k in classes] + [30_000 - sum(expected[k] for k in classes)]
    terms = [(o - e) ** 2 / e for o, e in zip(observed, wanted, strict=True) if e > 1e-6]
    freedom = len(terms) - 1
    critical = freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3
    assert sum(terms) < critical
    assert set(counts) <= set(range(n))


@pytest.mark.parametrize(
    "make",
    [Constant, Race, lambda ns: Burst(2, ns), lambda ns: Boundary(2, ns)],
    ids=["constant", "race", "burst", "boundary"],
)
def test_patterns_start_at_any_phase_alike(
    make: Callable[[int], Behaviour], kolmogorov_smirnov: Distance
) -> None:
    phases = [next(followed(make(SECOND), f"1/{client}")).intended_ns for client in range(2_000)]
    assert kolmogorov_smirnov(phases, uniform_cdf(0, SECOND)) < CRITICAL
