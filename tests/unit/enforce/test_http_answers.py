"""What a limited answer says is well-formed, true, and safe to act upon."""

import json
import random
import re

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.answers import (
    denial,
    limit_fields,
    policy_field,
    quota_names,
    retry_after_s,
)
from rateproof.enforce.decision import Decision, QuotaState
from rateproof.enforce.limiter import Limiter
from rateproof.policy import Policy

S = 1_000_000_000
FIVE = Policy.parse("5 per 5s")
TWO = Policy.parse("5 per 5s; 100 per 1m")


def decision(policy, *states, full=False):
    """A decision from (remaining, retry_after_ns, reset_after_ns) for each quota."""
    quotas = tuple(QuotaState(q, *s) for q, s in zip(policy.quotas, states, strict=True))
    retry_after_ns = max(state.retry_after_ns for state in quotas)
    return Decision(
        retry_after_ns == 0 and not full,
        min(state.remaining for state in quotas),
        retry_after_ns,
        max(state.reset_after_ns for state in quotas),
        full,
        quotas,
    )


def fields(policy, made):
    return dict(limit_fields(made, quota_names(policy), policy_field(policy)))


def body(made, policy=FIVE, status=503, accept="application/problem+json"):
    answer = denial(made, quota_names(policy), status=status, accept=accept)
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


def test_names_differ_even_when_quotas_do_not():
    assert quota_names(Policy.parse("5/5s; 5/5s; 5/5s")) == ("5-per-5s", "5-per-5s-2", "5-per-5s-3")


@pytest.mark.parametrize(("text", "w"), [("5 per 500ms", 1), ("5 per 1500ms", 2), ("5 per 1ns", 1)])
def test_a_window_that_is_not_whole_seconds_is_rounded_up(text, w):
    assert policy_field(Policy.parse(text)) == f'"default";q=5;w={w}'


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


def test_a_limiter_without_room_still_says_to_wait():
    made = decision(FIVE, (0, 0, 0), full=True)
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
    answer = denial(decision(FIVE, (0, S, S)), ("default",), status=503, accept=accept)
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
    answer = denial(decision(FIVE, (0, S, S)), ("default",), status=503, accept=accept)
    assert dict(answer.fields)["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body == b"Quota Exceeded: at most 5 per 5s; try again in 1 s\n"


def test_a_denial_is_not_stored_by_caches():
    answer, _ = body(decision(FIVE, (0, S, S)))
    assert dict(answer.fields)["Cache-Control"] == "no-store"
    assert dict(answer.fields)["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("text", ["5 per 5s", "3 per 700ms; 5 per 2s", "1 per 1ns; 2 per 3s"])
def test_a_client_that_waits_exactly_retry_after_is_admitted(text):
    """From hundreds of random phases, with the limiter that the server uses."""
    seeded = random.Random(text)
    clock = ManualClock(10**12)
    denials = 0
    with Limiter(text, clock=clock) as limiter:
        names, policy = quota_names(limiter.policy), policy_field(limiter.policy)
        for _ in range(1_500):
            clock.advance(seeded.choice([0, 1, seeded.randrange(2 * S)]))
            made = limiter.hit("client")
            said = limit_fields(made, names, policy)[1][1]
            waits = [int(t) for r, t in re.findall(r"r=(\d+);t=(\d+)", said) if r == "0"]
            if not made.admitted:
                denials += 1
                assert max(waits) == retry_after_s(made)
                clock.advance(retry_after_s(made) * S)
                assert limiter.hit("client").admitted
    assert denials > 100
