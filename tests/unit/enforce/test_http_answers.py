"""A limited answer is well-formed, true, and safe to act upon."""

import json
import random
import re

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.decision import Decision, QuotaState
from rateproof.enforce.http import answers as judging
from rateproof.enforce.http.answers import (
    announcement,
    denial,
    limit_fields,
    retry_after_s,
    x_ratelimit_fields,
)
from rateproof.enforce.limiter import Limiter
from rateproof.errors import InvalidArgument
from rateproof.policy import Policy
from tests.samples import quick_first

S = 1_000_000_000
FIVE = Policy.parse("5 per 5s")
TWO = Policy.parse("5 per 5s; 100 per 1m")


def decision(policy, *states, reason="quota"):
    """A decision from (remaining, retry_after_ns, reset_after_ns) for each quota."""
    quotas = tuple(QuotaState(q, *s) for q, s in zip(policy.quotas, states, strict=True))
    retry_after_ns = max(state.retry_after_ns for state in quotas)
    return Decision(
        reason == "shadow" or (retry_after_ns == 0 and reason == "quota"),
        min(state.remaining for state in quotas),
        retry_after_ns,
        max(state.reset_after_ns for state in quotas),
        quotas,
        reason,
    )


def fields(policy, made):
    return dict(limit_fields(made, announcement(policy)))


def body(made, policy=FIVE, status=503, accept="application/problem+json"):
    answer = denial(made, announcement(policy), status=status, accept=accept)
    return answer, json.loads(answer.body)


def test_one_quota_is_called_default():
    assert fields(FIVE, decision(FIVE, (4, 0, 5 * S))) == {
        "RateLimit-Policy": '"default";q=5;w=5',
        "RateLimit": '"default";r=4;t=5',
    }


def test_several_quotas_are_an_item_each():
    made = decision(TWO, (0, 2 * S, 5 * S), (7, 0, 60 * S))
    assert fields(TWO, made) == {
        "RateLimit-Policy": '"5-per-5s";q=5;w=5, "100-per-1m";q=100;w=60',
        "RateLimit": '"5-per-5s";r=0;t=2, "100-per-1m";r=7;t=60',
    }


def test_a_policy_can_have_a_name_that_tells_it_from_another():
    assert announcement(FIVE, "burst").policy == '"burst";q=5;w=5'
    assert announcement(TWO, "outer").names == ("outer-5-per-5s", "outer-100-per-1m")


@pytest.mark.parametrize("name", ["", 'a"b', "a b", "a\n", "é", None, 7])
def test_a_name_needs_no_quoting(name):
    with pytest.raises(InvalidArgument, match=r"^name .*letters, digits, dots"):
        announcement(FIVE, name)


def test_names_differ_even_when_quotas_do_not():
    assert announcement(Policy.parse("5/5s; 5/5s; 5/5s")).names == (
        "5-per-5s",
        "5-per-5s-2",
        "5-per-5s-3",
    )


@pytest.mark.parametrize(("text", "w"), [("5 per 500ms", 1), ("5 per 1500ms", 2), ("5 per 1ns", 1)])
def test_a_window_that_is_not_whole_seconds_is_rounded_up(text, w):
    assert announcement(Policy.parse(text)).policy == f'"default";q=5;w={w}'


@pytest.mark.parametrize(
    ("retry_after_ns", "seconds"), [(1, 1), (S, 1), (S + 1, 2), (4 * S + S // 2, 5), (5 * S, 5)]
)
def test_a_denial_says_the_same_wait_twice_rounded_up(retry_after_ns, seconds):
    made = decision(FIVE, (0, retry_after_ns, 5 * S))
    answer, _ = body(made)
    assert dict(answer.fields)["Retry-After"] == str(seconds)
    assert fields(FIVE, made)["RateLimit"] == f'"default";r=0;t={seconds}'


def test_the_last_admission_says_when_all_is_free():
    assert fields(FIVE, decision(FIVE, (0, 0, 4 * S + 1)))["RateLimit"] == '"default";r=0;t=5'


def test_a_used_up_quota_that_denies_nothing_says_when_it_is_free():
    """The other one denies a request of cost 3, and is not used up."""
    made = decision(TWO, (0, 0, 5 * S), (2, 9 * S, 60 * S))
    assert fields(TWO, made)["RateLimit"] == '"5-per-5s";r=0;t=5, "100-per-1m";r=2;t=9'


def test_a_limiter_without_room_still_says_to_wait():
    made = decision(FIVE, (0, 0, 0), reason="full")
    answer, problem = body(made, status=429)
    assert (answer.status, dict(answer.fields)["Retry-After"]) == (503, "1")
    assert fields(FIVE, made)["RateLimit"] == '"default";r=0;t=1'
    assert problem["violated-policies"] == []
    assert problem["type"].endswith("#temporary-reduced-capacity")
    assert "no room" in problem["detail"]


def test_a_failed_storage_is_no_fault_of_the_client():
    answer, problem = body(None, status=429)
    assert (answer.status, problem["status"], problem["violated-policies"]) == (503, 503, [])


@pytest.mark.parametrize(
    ("status", "kind", "line"),
    [
        (429, "quota-exceeded", "429 Too Many Requests"),
        (403, "quota-exceeded", "403 Forbidden"),
        (599, "quota-exceeded", "599 Limited"),
        (503, "quota-exceeded", "503 Service Unavailable"),
    ],
)
def test_a_problem_names_its_type_and_the_quotas_that_deny(status, kind, line):
    made = decision(TWO, (0, 2 * S, 5 * S), (7, 0, 60 * S))
    answer, problem = body(made, TWO, status)
    assert problem == {
        "type": f"https://iana.org/assignments/http-problem-types#{kind}",
        "title": kind.replace("-", " ").title(),
        "status": status,
        "detail": "at most 5 per 5s; try again in 2 s",
        "violated-policies": ["5-per-5s"],
    }
    assert answer.line == line


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/problem+json",
        "application/json",
        "APPLICATION/JSON ; q=0.5",
        "application/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/plain;q=0.5, application/json;q=0.9",
        "text/plain;q=oops, application/json;q=0.1",
        "application/json;profile=x;q=0.9, text/*;q=0.8",
    ],
)
def test_problem_json_goes_to_whoever_accepts_it_as_gladly_as_text(accept):
    answer = denial(decision(FIVE, (0, S, S)), announcement(FIVE), status=503, accept=accept)
    assert dict(answer.fields)["Content-Type"] == "application/problem+json"
    assert json.loads(answer.body)["status"] == 503


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "text/html",
        "image/png",
        "text/plain, application/json;q=0.9",
        "application/problem+json;q=0, */*",
        "application/json;q=0",
        "text/plain;q=2",
        ";;,q=",
    ],
)
def test_everybody_else_gets_a_line_of_text(accept):
    answer = denial(decision(FIVE, (0, S, S)), announcement(FIVE), status=503, accept=accept)
    assert dict(answer.fields)["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body == b"Quota Exceeded: at most 5 per 5s; try again in 1 s\n"


def test_an_accept_of_any_length_is_judged_and_a_long_one_not_remembered():
    judging.wants_json("text/plain")
    before = judging._judged.cache_info()
    assert not judging.wants_json("text/plain" + ", image/png" * 1000)
    assert judging.wants_json("application/json" + ", image/png" * 1000)
    assert judging._judged.cache_info() == before


def test_a_denial_is_not_stored_by_caches():
    answer, _ = body(decision(FIVE, (0, S, S)))
    assert dict(answer.fields)["Cache-Control"] == "no-store"
    assert dict(answer.fields)["Content-Length"] == str(len(answer.body))


POLICIES = (
    "5 per 5s",
    "3 per 700ms; 5 per 2s",
    "1 per 1ns; 2 per 3s",
    "token-bucket 3 per 2s burst 4",
    "token-bucket 7 per 1s",
    "fixed-window 4 per 3s",
    "first-hit-window 4 per 3s",
    "sliding-counter 4 per 3s",
    "5 per 5s; token-bucket 1 per 700ms burst 2; sliding-counter 9 per 7s",
)


@pytest.mark.parametrize("text", quick_first(reversed(POLICIES), 3))
def test_a_client_that_waits_exactly_retry_after_is_admitted(text, core):
    """After thousands of denials at random phases, by each algorithm of each core."""
    seeded = random.Random(f"{core} {text}")
    clock = ManualClock(10**12)
    denials = 0
    with Limiter(text, clock=clock) as limiter:
        most = min(quota.burst for quota in limiter.policy.quotas)
        announced = announcement(limiter.policy)
        while denials < 1_000:
            clock.advance(seeded.choice([0, 1, seeded.randrange(S // 3), seeded.randrange(2 * S)]))
            cost = seeded.choice([1, 1, 1, most])
            made = limiter.hit("client", cost)
            said = limit_fields(made, announced)[1][1]
            waits = [int(t) for r, t in re.findall(r"r=(\d+);t=(\d+)", said) if r == "0"]
            if not made.admitted:
                denials += 1
                assert cost > 1 or max(waits) == retry_after_s(made)
                clock.advance(retry_after_s(made) * S)
                assert limiter.hit("client", cost).admitted


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("token-bucket 1 per 1s burst 5", '"default";q=5;w=5'),
        ("token-bucket 3 per 2s burst 4", '"default";q=4;w=3'),
        ("token-bucket 7 per 1s", '"default";q=7;w=1'),
        ("fixed-window 5 per 5s", '"default";q=5;w=5'),
        ("first-hit-window 5 per 5s", '"default";q=5;w=5'),
        ("sliding-counter 5 per 5s", '"default";q=5;w=5'),
        ("sliding-blocks 5 per 5s", '"default";q=5;w=5'),
    ],
)
def test_a_bucket_is_announced_by_its_burst_and_the_time_in_which_it_fills(text, field):
    assert announcement(Policy.parse(text)).policy == field


def test_names_are_plain_enough_to_stand_in_quotes_and_in_json():
    algorithms = "; ".join(f"{algorithm} 7 per 1500ms" for algorithm in RULES)
    names = announcement(Policy.parse(f"{algorithms}; token-bucket 1 per 1s burst 5")).names
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+", name) for name in names)


def test_shadow_mode_says_what_would_have_been_denied():
    made = decision(TWO, (0, 2 * S, 5 * S), (7, 0, 60 * S), reason="shadow")
    assert fields(TWO, made)["RateLimit"] == '"5-per-5s";r=0;t=2, "100-per-1m";r=7;t=60'


def test_what_the_limiter_does_not_know_is_not_said():
    made = decision(FIVE, (5, 0, 0), reason="error")
    assert fields(FIVE, made) == {"RateLimit-Policy": '"default";q=5;w=5'}
    assert fields(FIVE, decision(FIVE, (5, 0, 0), reason="exempt")) == {}
    assert x_ratelimit_fields(made) == []


def test_an_unreachable_storage_is_no_fault_of_the_client():
    answer, problem = body(decision(FIVE, (0, S, S), reason="error"), status=429)
    assert (answer.status, problem["violated-policies"]) == (503, [])


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([(4, 0, 5 * S), (7, 0, 60 * S)], ("5", "4", "1700000006")),
        ([(4, 0, 5 * S), (3, 0, 60 * S)], ("100", "3", "1700000061")),
        ([(0, 2 * S, 5 * S), (0, 40 * S, 60 * S)], ("100", "0", "1700000041")),
        ([(0, 0, 5 * S), (0, 40 * S, 60 * S)], ("100", "0", "1700000041")),
    ],
)
def test_the_older_fields_describe_the_quota_that_matters_most(states, said, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_500_000_000)
    assert tuple(value for _, value in x_ratelimit_fields(decision(TWO, *states))) == said
