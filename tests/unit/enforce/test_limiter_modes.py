"""Modes of a limiter: policies by call, shadow, exemptions, full tables, counters."""

import asyncio
import os
from collections import Counter

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.errors import InvalidArgument, InvalidPolicy, NeverPossible, StoreError
from rateproof.policy import Policy, Quota

HOUR = 3600 * 10**9
FULL = pytest.mark.parametrize("on_full", ["deny", "admit"])


@pytest.fixture(params=[ManualClock, lambda: None], ids=["given", "own"])
def clock(request):
    """A clock of the test's, or None: the store's own, by which the native core decides alone."""
    return request.param()


def counts(limiter):
    """Counts, without the zeros."""
    return {count.name: number for count, number in limiter.stats().counts.items() if number}


# Policies by call.


def test_a_policy_named_in_a_call_decides_that_call(open_limiter, clock):
    limiter = open_limiter("1 per hour", clock=clock)
    assert [limiter.hit("a", policy="2 per hour").admitted for _ in range(3)] == [True, True, False]
    assert [limiter.hit("a").admitted for _ in range(2)] == [True, False]
    assert limiter.policy == Policy.parse("1 per hour")


def test_policies_share_the_quotas_that_they_have_in_common(open_limiter, clock):
    limiter = open_limiter("2 per hour; 9 per day", clock=clock)
    assert limiter.hit("a").remaining == 1
    for policy in ("9 per day", Quota(9, 24 * HOUR), Policy.parse("8 per hour; 9 per 24h")):
        assert limiter.peek("a", policy=policy).quotas[-1].remaining == 8
    assert limiter.hit("a", cost=7, policy="9 per day").admitted
    assert [state.remaining for state in limiter.hit("a").quotas] == [0, 0]


def test_a_policy_by_call_goes_for_every_question(open_limiter, clock):
    limiter = open_limiter("5 per hour", clock=clock)
    other = "1 per hour"
    assert limiter.hit("a").admitted
    assert asyncio.run(limiter.ahit("a", policy=other)).admitted
    assert not limiter.peek("a", policy=other).admitted
    limiter.reset("a", policy=other)
    assert limiter.peek("a", policy=other).admitted
    assert limiter.peek("a").remaining == 4, "reset frees the quotas of its policy alone"
    limiter.hit("b", policy=other)
    limiter.hit("a", policy=other)
    limiter.clear(policy=other)
    assert [limiter.peek(key, policy=other).remaining for key in "ab"] == [1, 1]
    assert limiter.peek("a").remaining == 4
    limiter.clear()
    assert limiter.peek("a").remaining == 5


def test_a_policy_by_call_that_cannot_be_is_named(open_limiter, clock):
    limiter = open_limiter("9 per hour", clock=clock)
    with pytest.raises(InvalidPolicy, match="nine per hour"):
        limiter.hit("a", policy="nine per hour")
    with pytest.raises(NeverPossible, match="above the limit 2"):
        limiter.hit("a", cost=3, policy="2 per hour")
    with pytest.raises(InvalidArgument, match="limit 65537"):
        limiter.hit("a", policy="65537 per hour")
    for policy in (7, b"9 per hour", ["9 per hour"], {}):
        with pytest.raises(TypeError, match=f"policy is {type(policy).__name__}"):
            limiter.hit("a", policy=policy)
    assert limiter.hit("a").remaining == 8, "nothing of that was charged"


def test_a_limiter_knows_a_bounded_number_of_policies(open_limiter, clock):
    """A policy for each key, or text that comes with the request, would fill the memory."""
    limiter = open_limiter("5 per hour", clock=clock)
    texts = ["5 per " + " " * number + "hour" for number in range(1, 1024)]
    for text in texts:
        limiter.peek("a", policy=text)
    with pytest.raises(InvalidArgument, match=r"'6 per hour' .*at most 1024"):
        limiter.peek("a", policy="6 per hour")
    assert limiter.hit("a", policy=texts[0]).admitted
    assert limiter.hit("a", policy=texts[-1]).remaining == 3


@pytest.mark.parametrize("algorithm", RULES)
def test_every_algorithm_is_charged_with_all_the_others_or_not_at_all(
    open_limiter, clock, algorithm
):
    others = "; ".join(f"{name} 9 per 700d" for name in RULES if name != algorithm)
    limiter = open_limiter(f"{others}; {algorithm} 4 per 700d", clock=clock)
    assert limiter.hit("a", cost=3).admitted
    denial = limiter.hit("a", cost=3)
    assert (denial.admitted, denial.remaining) == (False, 1)
    assert [state.remaining for state in denial.quotas] == [6] * (len(RULES) - 1) + [1]


# Shadow mode and exemptions.


def test_in_shadow_everything_passes_and_says_what_would_have_been(open_limiter, clock):
    limiter = open_limiter("2 per hour", clock=clock, shadow=True)
    decisions = [limiter.hit("a") for _ in range(3)]
    decisions.append(asyncio.run(limiter.ahit("a")))
    assert [d.admitted for d in decisions] == [True] * 4
    assert [d.reason for d in decisions] == ["quota", "quota", "shadow", "shadow"]
    assert [d.remaining for d in decisions] == [1, 0, 0, 0]
    assert decisions[1].retry_after_ns == 0
    assert 0.9 * HOUR < decisions[2].retry_after_ns <= HOUR
    peeked = limiter.peek("a")
    assert (peeked.admitted, peeked.reason) == (True, "shadow")
    with pytest.raises(NeverPossible):
        limiter.hit("a", cost=3)
    assert counts(limiter) == {"ADMITTED": 4, "SHADOW": 2, "NEAR_LIMIT": 1}


@pytest.mark.parametrize(
    "exempt", [["vip", b"\xff"], {"vip", b"\xff"}, lambda key: key in {b"vip", b"\xff"}]
)
def test_exempt_keys_pass_uncounted(open_limiter, clock, exempt):
    limiter = open_limiter("5 per hour; 2 per day", clock=clock, exempt=exempt)
    for key in ("vip", b"vip", b"\xff"):
        for decision in (*(limiter.hit(key) for _ in range(3)), limiter.peek(key)):
            assert (decision.admitted, decision.reason) == (True, "exempt")
            assert [state.remaining for state in decision.quotas] == [5, 2]
            assert (decision.retry_after_ns, decision.reset_after_ns) == (0, 0)
    assert asyncio.run(limiter.ahit("vip")).reason == "exempt"
    assert [limiter.hit("other").reason for _ in range(3)] == ["quota"] * 3
    for bad, error in [(0, InvalidArgument), (3, NeverPossible), (None, TypeError)]:
        with pytest.raises(error):
            limiter.hit("vip", bad)
    assert counts(limiter) == {"EXEMPT": 10, "ADMITTED": 2, "DENIED": 1, "NEAR_LIMIT": 1}


# What is counted.


def test_admissions_denials_and_near_limits_are_counted_once_a_decision(open_limiter, clock):
    """Near: what an admission leaves is less than a fifth of some quota."""
    limiter = open_limiter("10 per hour; 20 per day", clock=clock)
    assert counts(limiter) == {}
    limiter.hit("a", cost=8)
    assert counts(limiter) == {"ADMITTED": 1}, "two of ten are a fifth"
    limiter.hit("a")
    limiter.hit("a", cost=9)
    asyncio.run(limiter.ahit("a"))
    asyncio.run(limiter.ahit("a"))
    limiter.hit("b", policy="1 per hour")
    assert counts(limiter) == {"ADMITTED": 4, "DENIED": 2, "NEAR_LIMIT": 3}
    limiter.peek("a")
    limiter.reset("a")
    for cost in (0, 11, None):
        with pytest.raises((InvalidArgument, TypeError)):
            limiter.hit("a", cost)
    assert counts(limiter) == {"ADMITTED": 4, "DENIED": 2, "NEAR_LIMIT": 3}


@FULL
def test_decisions_on_a_full_table_are_counted(open_limiter, clock, on_full):
    limiter = open_limiter("9 per hour", clock=clock, capacity=1, on_full=on_full)
    reasons = Counter(limiter.hit(str(number)).reason for number in range(60))
    assert reasons["full"] > 10
    verdict = "DENIED" if on_full == "deny" else "ADMITTED"
    expected = Counter({"ADMITTED": reasons["quota"], "FULL": reasons["full"]})
    expected[verdict] += reasons["full"]
    assert counts(limiter) == expected


@FULL
@pytest.mark.parametrize("policy", ["9 per hour", "9 per hour; fixed-window 9 per 700d"])
def test_each_way_of_asking_a_full_table_is_answered_alike(open_limiter, clock, policy, on_full):
    limiter = open_limiter(policy, clock=clock, capacity=1, on_full=on_full)
    asked = map(str, range(1000))
    full = next(key for key in asked if limiter.hit(key).reason == "full")
    for decision in (limiter.hit(full), limiter.peek(full), asyncio.run(limiter.ahit(full))):
        assert (decision.reason, decision.admitted) == ("full", on_full == "admit")
        assert decision.remaining == 0
        assert (decision.retry_after_ns > 0) is (on_full == "deny")


def test_a_full_table_in_shadow_lets_pass(open_limiter, clock):
    limiter = open_limiter("9 per hour", clock=clock, capacity=1, shadow=True)
    decisions = [limiter.hit(str(number)) for number in range(60)]
    assert all(decision.admitted for decision in decisions)
    assert {decision.reason for decision in decisions} == {"quota", "shadow"}
    shadowed = sum(decision.reason == "shadow" for decision in decisions)
    assert counts(limiter) == {"ADMITTED": 60, "FULL": shadowed, "SHADOW": shadowed}


@pytest.mark.parametrize("kind", ["memory", "shm"])
def test_forked_children_count_together_with_their_parent(kind, shm_name, clock):
    store = f"shm://{shm_name}" if kind == "shm" else "memory://"
    limiter = Limiter("9 per hour", store=store, clock=clock)
    children = []
    for child in range(4):
        children.append(os.fork())
        if children[-1] == 0:
            for number in range(50):
                limiter.hit(f"{child} {number}")
            os._exit(0)
    for number in range(50):
        limiter.hit(f"parent {number}")
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert counts(limiter) == {"ADMITTED": 250}
    limiter.close()


def test_all_who_open_a_name_count_together_and_the_counts_stay(shm_name, clock):
    store = f"shm://{shm_name}"
    with (
        Limiter("1 per hour", store=store, clock=clock) as one,
        Limiter("7 per day", store=store, clock=clock) as other,
        Limiter("7 per day", clock=clock, counters=store) as elsewhere,
    ):
        one.hit("a")
        one.hit("a")
        other.hit("a")
        elsewhere.hit("a")
        expected = {"ADMITTED": 3, "DENIED": 1, "NEAR_LIMIT": 1}
        assert [counts(limiter) for limiter in (one, other, elsewhere)] == [expected] * 3
        assert elsewhere.peek("a").remaining == 6, "counts are shared, quotas are not"
    with Limiter("1 per hour", store=store, clock=clock) as later:
        assert counts(later) == expected


@pytest.mark.parametrize("algorithm", RULES)
def test_the_census_counts_keys_that_are_bound(open_limiter, algorithm):
    clock = ManualClock()
    limiter = open_limiter(f"{algorithm} 5 per 1h; 9 per 9d", clock=clock, capacity=100)
    first, second = limiter.policy.quotas
    for number in range(10):
        limiter.hit(str(number))
    tables = limiter.stats().tables
    assert [tables[quota][0] for quota in (first, second)] == [10, 10]
    assert all(slots >= 100 for _, slots in tables.values())
    clock.advance(limiter.peek("0").quotas[0].reset_after_ns - 1)
    assert limiter.stats().tables[first][0] == 10
    clock.advance(1)
    assert limiter.stats().tables[first][0] == 0
    limiter.reset("0")
    assert limiter.stats().tables[second][0] == 9


def test_a_closed_limiter_tells_nothing(open_limiter, clock):
    limiter = open_limiter("1 per hour", clock=clock)
    limiter.hit("a")
    limiter.close()
    for deed in (limiter.stats, limiter.clear, lambda: limiter.hit("a", policy="9 per hour")):
        with pytest.raises(StoreError, match="closed"):
            deed()
