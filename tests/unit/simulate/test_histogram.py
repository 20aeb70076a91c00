"""Claims about histograms: bounded memory, bounded error, exact extremes."""

import random
from collections.abc import Iterable

import pytest

from rateproof.errors import InvalidArgument
from rateproof.simulate.histogram import SUB_BUCKETS, Histogram, bucket_of
from tests.samples import quick_first

EDGES = sorted(
    {value for power in range(64) for off in range(-2, 3) if 0 <= (value := 2**power + off) < 2**63}
)


def lognormal(count: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [int(rng.lognormvariate(14, 3)) for _ in range(count)]


def histogram_of(values: Iterable[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def nearest_rank(values: list[int], percent: float) -> int:
    """The least value with enough at or below it (Hyndman and Fan 1996, definition 1)."""
    return min(
        value
        for value in values
        if 100 * sum(other <= value for other in values) >= percent * len(values)
    )


def test_buckets_follow_each_other_without_gap_or_overlap() -> None:
    for value in [*range(5_000), *EDGES]:
        last = bucket_of(value)
        assert value <= last == bucket_of(last) < bucket_of(last + 1)
        assert value == 0 or bucket_of(value - 1) in {value - 1, last}


def test_a_bucket_is_narrower_than_a_thousandth_of_its_values() -> None:
    for value in [*range(1, 5_000), *EDGES]:
        assert (bucket_of(value) - value) * SUB_BUCKETS <= value


def test_below_2048_every_value_is_exact() -> None:
    assert [bucket_of(value) for value in range(2_048)] == list(range(2_048))


def test_memory_is_bounded_up_to_the_greatest_time_there_is() -> None:
    widths = (1 << max(0, octave - 10) for octave in range(63))
    assert sum(-(-(1 << octave) // width) for octave, width in enumerate(widths)) + 1 == 55_296
    assert bucket_of(2**63 - 1) == 2**63 - 1


@pytest.mark.parametrize("seed", quick_first(range(5)))
def test_a_percentile_is_the_nearest_rank_or_above_it_by_less_than_a_thousandth(seed: int) -> None:
    values = lognormal(1_000, seed)
    histogram = histogram_of(values)
    for percent in (0.01, 1, 25, 50, 90, 99, 99.9, 100):
        true = nearest_rank(values, percent)
        told = histogram.percentile(percent)
        assert told is not None
        assert true <= told <= true * 1.001
    assert histogram.percentile(100) == histogram.max == max(values)
    assert histogram.min == min(values)


@pytest.mark.parametrize("count", [1, 2, 7, 10, 100])
def test_where_values_are_exact_so_is_every_percentile(count: int) -> None:
    values = sorted(random.Random(count).choices(range(2_048), k=count))
    histogram = histogram_of(values)
    for percent in (0.5, 1, 10, 25, 33, 50, 90, 99, 99.5, 100):
        assert histogram.percentile(percent) == nearest_rank(values, percent)


def test_nothing_has_no_percentile_and_what_is_no_time_counts_as_the_nearest() -> None:
    assert Histogram().percentile(50) is None
    assert histogram_of([-5, 2**63]) == histogram_of([0, 2**63 - 1])


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percentile_out_of_bounds_is_refused(percent: float) -> None:
    with pytest.raises(InvalidArgument, match="percentile"):
        histogram_of([1]).percentile(percent)
