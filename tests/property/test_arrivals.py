"""Claims about arrivals: the draws follow their closed forms, within bounds, from a seed."""

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.errors import InvalidArgument
from rateproof.simulate.programs.arrivals import (
    INTERVALS,
    Exponential,
    Fixed,
    Interval,
    LogNormal,
    Uniform,
)
from rateproof.simulate.programs.rng import Rng
from rateproof.units import MAX_DURATION_NS
from tests.samples import quick_first

DRAWS = 20_000
CRITICAL = 1.628  # 1 %

SECOND = 10**9


def normal_cdf(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2


CLOSED_FORMS: list[tuple[Interval, Callable[[float], float]]] = [
    (Exponential(SECOND), lambda x: 1 - math.exp(-x / SECOND)),
    (Exponential(50_000_000), lambda x: 1 - math.exp(-x / 50_000_000)),
    (Uniform(SECOND, 3 * SECOND), lambda x: (x - SECOND) / (2 * SECOND)),
    (Uniform(0, SECOND), lambda x: x / SECOND),
    (LogNormal(SECOND, 0.5), lambda x: normal_cdf(math.log(x / SECOND) / 0.5)),
    (LogNormal(SECOND, 2.0), lambda x: normal_cdf(math.log(x / SECOND) / 2)),
]


def named(value: object) -> str:
    """A case's name: the same in every process, so no function's address."""
    return "cdf" if callable(value) else str(value)[:40]


@pytest.mark.parametrize("seed", quick_first([1, 2, 3]))
@pytest.mark.parametrize(("interval", "cdf"), CLOSED_FORMS, ids=named)
def test_draws_follow_the_closed_form(
    interval: Interval,
    cdf: Callable[[float], float],
    seed: int,
    kolmogorov_smirnov: Callable[..., float],
) -> None:
    rng = Rng(f"{seed}")
    sample = [interval.draw(rng) for _ in range(DRAWS)]
    assert kolmogorov_smirnov(sample, cdf) < CRITICAL


@pytest.mark.parametrize(
    ("interval", "cdf"),
    [
        (Exponential(1_050_000_000), CLOSED_FORMS[0][1]),
        (Uniform(SECOND, 3_100_000_000), lambda x: min(1.0, (x - SECOND) / (2 * SECOND))),
        (LogNormal(SECOND, 0.53), CLOSED_FORMS[4][1]),
    ],
    ids=named,
)
def test_the_test_itself_notices_a_parameter_that_is_five_percent_off(
    interval: Interval,
    cdf: Callable[[float], float],
    kolmogorov_smirnov: Callable[..., float],
) -> None:
    rng = Rng("1")
    assert kolmogorov_smirnov([interval.draw(rng) for _ in range(DRAWS)], cdf) > CRITICAL


def test_successive_exponential_draws_do_not_depend_on_each_other() -> None:
    """The lag-one correlation of n independent draws is below 3.3/sqrt(n) but once in 1,000."""
    rng = Rng("7")
    sample = [Exponential(SECOND).draw(rng) / SECOND for _ in range(DRAWS)]
    mean = sum(sample) / DRAWS
    variance = sum((x - mean) ** 2 for x in sample)
    pairs = itertools.pairwise(sample)
    covariance = sum((a - mean) * (b - mean) for a, b in pairs)
    assert abs(covariance / variance) < 3.3 / math.sqrt(DRAWS)


durations = st.integers(1, MAX_DURATION_NS - 1)
intervals = st.one_of(
    st.builds(Fixed, durations),
    st.builds(Exponential, durations),
    st.tuples(st.integers(0, MAX_DURATION_NS - 1), durations).map(
        lambda pair: Uniform(min(pair), max(pair))
    ),
    st.builds(LogNormal, durations, st.floats(0.001, 10)),
)


@given(intervals, st.text(max_size=20))
def test_every_draw_is_a_duration_and_a_seed_repeats_it(interval: Interval, seed: str) -> None:
    first, second = Rng(seed), Rng(seed)
    sample = [interval.draw(first) for _ in range(20)]
    assert sample == [interval.draw(second) for _ in range(20)]
    assert all(type(value) is int and 0 <= value < MAX_DURATION_NS for value in sample)


@given(st.tuples(st.integers(0, MAX_DURATION_NS - 1), durations).map(sorted), st.text(max_size=20))
def test_uniform_draws_stay_between_their_bounds(bounds: list[int], seed: str) -> None:
    low, high = bounds
    rng = Rng(seed)
    # A double holds 53 bits of a width of up to 61: rounding up may not pass the bound.
    assert all(low <= Uniform(low, high).draw(rng) <= high for _ in range(20))


class _Extreme(Rng):
    """A generator whose bits are all 0 or all 1."""

    def __init__(self, *, ones: bool) -> None:
        super().__init__("")
        self._ones = ones

    def bits(self, count: int) -> int:
        return (1 << count) - 1 if self._ones else 0


@pytest.mark.parametrize("ones", [False, True])
def test_the_ends_of_the_random_bits_are_neither_zero_nor_one(*, ones: bool) -> None:
    """ln(0) does not exist."""
    assert 0 < _Extreme(ones=ones).unit() < 1
    for interval in (Exponential(SECOND), LogNormal(SECOND, 10.0), Uniform(0, MAX_DURATION_NS - 1)):
        assert 0 <= interval.draw(_Extreme(ones=ones)) < MAX_DURATION_NS


def test_a_seed_gives_these_very_draws_on_every_python_version() -> None:
    rng = Rng("1/0")
    assert [Exponential(SECOND).draw(rng) for _ in range(3)] == [2826849863, 2127536407, 571683598]


@pytest.mark.parametrize("value", [0, -1, MAX_DURATION_NS, 1.5, True, "1"])
def test_a_value_out_of_bounds_is_refused_and_named(value: object) -> None:
    for build in (
        lambda: Fixed(value),
        lambda: Exponential(value),
        lambda: Uniform(0, value),
        lambda: LogNormal(value, 1.0),
    ):
        with pytest.raises(InvalidArgument, match=str(value)):
            build()


@pytest.mark.parametrize("sigma", [0, -1.0, math.nan, math.inf, 11, "1"])
def test_a_sigma_out_of_bounds_is_refused(sigma: object) -> None:
    with pytest.raises(InvalidArgument, match="sigma"):
        LogNormal(SECOND, sigma)


def test_uniform_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="low_ns <= high_ns"):
        Uniform(2, 1)


def test_every_distribution_is_known_by_its_name() -> None:
    assert set(INTERVALS) == {"constant", "uniform", "exponential", "lognormal"}
    assert all(kind.name == name for name, kind in INTERVALS.items())
