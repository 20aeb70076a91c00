"""Claims about headers of limiters: read where they make sense, None where they do not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.simulate.transports.limit_fields import parse_ratelimit, parse_retry_after


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", 0), ("5", 5), (" 120 ", 120), ("1.5", 1.5), ("999999999999999", 999999999999999)],
)
def test_seconds_are_seconds(value: str, expected: float) -> None:
    assert parse_retry_after(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "-1",
        "+5",
        "1e3",
        "5s",
        "5, 5",
        "inf",
        "nan",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "9" * 400,
        "Fri, 99 Xxx 9999",
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "Fri, 30 Feb 2024 23:59:59 GMT",
        "Fri, 31 Dec 1999 24:00:00 GMT",
        "Fri, 31 Dec 1999 23:60:00 GMT",
        "Fri, 31 Dec 1999 23:59:61 GMT",
        "1999-12-31T23:59:59Z",
        "0" * 5_000,
    ],
)
def test_nonsense_is_none(value: str | None) -> None:
    assert parse_retry_after(value) is None


def test_a_date_counts_from_the_servers_own_date() -> None:
    until, now = "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:49 GMT"
    assert parse_retry_after(until, now) == 10
    assert parse_retry_after(now, until) == 0


@pytest.mark.parametrize(
    ("until", "wait"),
    [
        ("Fri, 31 Dec 1999 23:59:59 GMT", 10),
        ("Friday, 31-Dec-99 23:59:59 GMT", 10),
        ("Fri Dec 31 23:59:59 1999", 10),
        ("Sat Jan  1 00:00:00 2000", 11),
        ("Saturday, 01-Jan-00 00:00:00 GMT", 11),
        ("Tue, 29 Feb 2000 23:59:49 GMT", 60 * 86_400),
    ],
)
def test_dates_have_the_three_forms_of_http(until: str, wait: float) -> None:
    assert parse_retry_after(until, "Fri, 31 Dec 1999 23:59:49 GMT") == wait


def test_a_date_counts_from_now_where_the_server_has_none() -> None:
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    for date in (None, "nonsense"):
        wait = parse_retry_after(soon, date)
        assert wait is not None
        assert 90 < wait <= 100
    assert parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"default";r=0;t=3', (0, 3)),
        ('"default"; r=4 ; t=2', (4, 2)),
        ('"default";t=3', (None, 3)),
        ('"default";r=7', (7, None)),
        ('"a";r=9;t=9, "b";r=1;t=5', (1, 5)),
        ('"a";r=0;t=1, "b";r=0;t=60', (0, 60)),
        ('"a,b;r=5";r=2;t=1;pk=:x:', (2, 1)),
        ("default;r=1;t=1", (1, 1)),
    ],
)
def test_the_tightest_quota_counts(value: str, expected: tuple[int | None, float | None]) -> None:
    assert parse_ratelimit(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "5",
        "limit=5, remaining=0",
        '"x";r=-1',
        '"x";r=1.5',
        '"x";r=abc',
        '"x";rr=1',
        '"x;r=1;t=1"',
        f'"x";r={"9" * 50}',
        '"x";r=1' + " " * 5_000,
    ],
)
def test_a_malformed_ratelimit_is_none(value: str | None) -> None:
    assert parse_ratelimit(value) == (None, None)


@given(st.text())
def test_no_text_makes_a_parser_fail(value: str) -> None:
    wait = parse_retry_after(value, value)
    assert wait is None or wait >= 0
    parse_ratelimit(value)
