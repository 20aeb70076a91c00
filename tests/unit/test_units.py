"""Durations: text in, integer nanoseconds out, and back without loss."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rateproof.errors import InvalidArgument
from rateproof.units import MAX_DURATION_NS, counted, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("10s", 10_000_000_000),
        ("500ms", 500_000_000),
        ("2m", 120_000_000_000),
        ("1.5 minutes", 90_000_000_000),
        ("0", 0),
        ("0s", 0),
        ("3 Hours", 10_800_000_000_000),
        ("0.1us", 100),
    ],
)
def test_a_duration_is_read_exactly(text, ns):
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1e3s", "nan", "ten s", "1 2s", "5 parsecs", "9" * 5000 + "s"]
)
def test_anything_else_is_refused_with_the_form(text):
    with pytest.raises(InvalidArgument, match="10s, 500ms or 2m"):
        parse_duration(text)


def test_a_duration_beyond_the_range_of_stamps_is_refused():
    with pytest.raises(InvalidArgument, match="too long"):
        parse_duration("100000 days")


@given(st.integers(0, MAX_DURATION_NS - 1))
@example(10**18 + 1)  # 19 digits, as many as a duration can have
def test_the_text_of_a_duration_reads_back_as_itself(ns):
    assert parse_duration(format_duration(ns)) == ns


def test_one_is_singular_and_all_other_numbers_are_plural():
    assert [counted(number, "key") for number in (0, 1, 2)] == ["0 keys", "1 key", "2 keys"]
