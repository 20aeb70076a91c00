"""Policies: what their text means, what is refused, and the envelope they declare."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rateproof.errors import InvalidArgument, InvalidPolicy
from rateproof.policy import ALGORITHMS, Policy, Quota

SECOND = 1_000_000_000

quotas = st.builds(
    Quota,
    limit=st.integers(1, 50),
    window_ns=st.integers(1, 100),
    algorithm=st.sampled_from(sorted(ALGORITHMS)),
)
buckets = st.builds(
    Quota,
    limit=st.integers(1, 50),
    window_ns=st.integers(1, 100),
    algorithm=st.just("token-bucket"),
    burst=st.integers(1, 50),
)
blocks = st.builds(
    Quota,
    limit=st.integers(1, 50),
    window_ns=st.integers(1, 100),
    algorithm=st.just("sliding-blocks"),
    parameter=st.integers(0, 1000),
)
policies = st.lists(quotas | buckets | blocks, min_size=1, max_size=3).map(
    lambda q: Policy(tuple(q))
)


@pytest.mark.parametrize(
    ("text", "limit", "seconds"),
    [
        ("5 per 5s", 5, 5),
        ("5/5s", 5, 5),
        ("5 per 5 seconds", 5, 5),
        ("5 PER 5 Seconds", 5, 5),
        ("100 per minute", 100, 60),
        ("10/2hours", 10, 7200),
        ("1 per 1 month", 1, 30 * 86_400),
        ("1/year", 1, 360 * 86_400),
    ],
)
def test_a_limits_string_means_what_it_means_there(text, limit, seconds):
    assert Policy.parse(text).quotas == (Quota(limit, seconds * SECOND),)


@pytest.mark.parametrize("separator", [";", ",", "|"])
def test_several_quotas_are_all_kept_in_order(separator):
    policy = Policy.parse(f"5 per 5s{separator} token-bucket 1 per 1s burst 3")
    assert policy.quotas == (
        Quota(5, 5 * SECOND),
        Quota(1, SECOND, "token-bucket", burst=3),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5 per",
        "five per 5s",
        "5 per 0s",
        "0 per 5s",
        "-1/s",
        "5 per -5s",
        "5 per 5s;",
        "5 per 5 fortnights",
        "5 per 5 5s",
        "1e3 per 5s",
        "nan per 5s",
        "5\u0665/s",
        "99999999999999999999999999999/s",
        "5 per 100 years",
        "leaky 5 per 5s",
        "5 per 5s burst 3",
        "token-bucket 1 per 1s burst 0",
        "5 per 5s blocks 3",
        "sliding-blocks 5 per 5s blocks 0",
        "sliding-blocks 5 per 5s blocks 1001",
        "sliding-blocks 5 per 5s blocks 3 burst 6",
    ],
)
def test_a_malformed_policy_is_refused_by_name(text):
    with pytest.raises(InvalidPolicy) as caught:
        Policy.parse(text)
    assert caught.value.hint
    assert text.split(";")[0] in str(caught.value)


@given(policies)
@example(Policy((Quota(1, 10**18 + 1),)))
def test_the_text_of_a_policy_reads_back_as_itself(policy):
    assert Policy.parse(str(policy)) == policy


@given(policies, st.integers(1, 500))
def test_the_gap_starts_at_zero_and_never_decreases(policy, m):
    assert policy.gap(1) == 0
    assert policy.gap(m) <= policy.gap(m + 1)


@given(policies, st.integers(1, 2000))
def test_the_worst_case_is_the_largest_count_that_fits_into_a_half_open_window(policy, window_ns):
    m = policy.worst_case(window_ns)
    assert policy.gap(m) < window_ns <= policy.gap(m + 1)


@pytest.mark.parametrize(
    ("text", "worst"),
    [
        ("5 per 5s", 5),
        ("sliding-blocks 5 per 5s", 5),
        ("fixed-window 5 per 5s", 10),
        ("first-hit-window 5 per 5s", 9),
        ("sliding-counter 5 per 5s", 10),
        ("token-bucket 1 per 1s burst 5", 9),
        ("leaky-queue 1 per 1s burst 4", 5),
    ],
)
def test_only_a_log_and_blocks_promise_their_limit_in_any_window(text, worst):
    assert Policy.parse(text).worst_case(5 * SECOND) == worst


def test_questions_without_an_answer_are_refused():
    policy = Policy.parse("5 per 5s")
    with pytest.raises(InvalidArgument, match="gap of 0"):
        policy.quotas[0].gap(0)
    with pytest.raises(InvalidArgument, match="window 0 ns"):
        policy.worst_case(0)
    with pytest.raises(InvalidPolicy, match="without quotas"):
        Policy(())


@pytest.mark.parametrize("text", ["5per minute", "5perminute", "5 per1minute", "5/ 1minute"])
def test_strings_that_limits_reads_are_read(text):
    assert Policy.parse(text).quotas == (Quota(5, 60 * 10**9),)


@pytest.mark.parametrize(
    "fields", [(5.5, 10**9), (5, 1e9), (True, 10**9), ("5", 10**9), (5, 10**9, []), (5, 1, None)]
)
def test_a_quota_of_other_types_names_the_field(fields):
    with pytest.raises(TypeError, match=r"limit is|window_ns is|algorithm is"):
        Quota(*fields)


@pytest.mark.parametrize("quotas", ["5 per 5s", ("5 per 5s",), [Quota(5, 5)], None])
def test_a_policy_of_anything_but_quotas_says_so(quotas):
    with pytest.raises(TypeError, match="tuple of Quota"):
        Policy(quotas)
