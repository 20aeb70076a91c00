"""Every core and every store answers the same; only their speed differs."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.limiter import Limiter
from rateproof.errors import StoreError
from rateproof.policy import Policy, Quota

S = 1_000_000_000


@pytest.fixture
def clock():
    return ManualClock()


def test_admits_the_limit_and_denies_the_next(open_limiter, clock):
    limiter = open_limiter("5 per 5s", clock=clock)
    decisions = [limiter.hit("a") for _ in range(6)]
    assert [d.admitted for d in decisions] == [True] * 5 + [False]
    assert [d.remaining for d in decisions] == [4, 3, 2, 1, 0, 0]
    assert [d.retry_after_ns for d in decisions] == [0] * 5 + [5 * S]
    assert {d.reset_after_ns for d in decisions} == {5 * S}
    assert all(d.reason == "quota" for d in decisions)


def test_exactly_one_window_later_is_free_and_one_ns_less_is_not(open_limiter, clock):
    limiter = open_limiter("1 per 5s", clock=clock)
    assert limiter.hit("a").admitted
    clock.advance(5 * S - 1)
    denial = limiter.hit("a")
    assert (denial.admitted, denial.retry_after_ns) == (False, 1)
    clock.advance(1)
    assert limiter.hit("a").admitted


def test_a_window_of_a_day_works_in_the_first_nanosecond_of_the_clock(open_limiter, clock):
    """A cell never taken is free even where the clock reads less than the window."""
    limiter = open_limiter("1 per day", clock=clock)
    assert limiter.hit("a").admitted
    assert not limiter.hit("a").admitted


def test_the_window_slides_and_is_not_a_counter(open_limiter, clock):
    """1 at 0 s, 4 at 4.9 s and 5 at 5.1 s: a window opened by the first hit would admit 9."""
    limiter = open_limiter("5 per 5s", clock=clock)
    assert limiter.hit("a").admitted
    clock.advance(4_900_000_000)
    assert all(limiter.hit("a").admitted for _ in range(4))
    clock.advance(200_000_000)
    assert [limiter.hit("a").admitted for _ in range(5)] == [True] + [False] * 4


@pytest.mark.parametrize("seed", range(5))
def test_retry_after_is_exact_for_any_cost(open_limiter, seed):
    """Waiting that long admits, one ns less does not, whatever was admitted before."""
    draw = random.Random(seed)
    clock = ManualClock()
    limiter = open_limiter("5 per 1us", clock=clock)
    denials = 0
    for _ in range(300):
        cost = draw.randint(1, 5)
        wait_ns = limiter.hit("a", cost).retry_after_ns
        if wait_ns:
            denials += 1
            clock.advance(wait_ns - 1)
            assert not limiter.peek("a", cost).admitted
            assert limiter.peek("a", cost).retry_after_ns == 1
            clock.advance(1)
            assert limiter.hit("a", cost).admitted
        clock.advance(draw.randint(0, 400))
    assert denials > 50


def test_reset_after_is_when_everything_is_free_again(open_limiter, clock):
    limiter = open_limiter("3 per 5s", clock=clock)
    limiter.hit("a")
    clock.advance(S)
    assert limiter.hit("a").reset_after_ns == 5 * S
    clock.advance(5 * S - 1)
    assert (limiter.peek("a").remaining, limiter.peek("a").reset_after_ns) == (2, 1)
    clock.advance(1)
    assert (limiter.peek("a").remaining, limiter.peek("a").reset_after_ns) == (3, 0)


def test_a_cost_is_taken_whole_or_not_at_all(open_limiter, clock):
    limiter = open_limiter("5 per 5s", clock=clock)
    assert limiter.hit("a", cost=3).remaining == 2
    denial = limiter.hit("a", cost=3)
    assert (denial.admitted, denial.remaining) == (False, 2)
    assert limiter.hit("a", cost=2).remaining == 0


def test_a_denial_does_not_push_the_next_admission_away(open_limiter, clock):
    limiter = open_limiter("1 per 5s", clock=clock)
    limiter.hit("a")
    for _ in range(4):
        clock.advance(S)
        assert not limiter.hit("a").admitted
    clock.advance(S)
    assert limiter.hit("a").admitted


def test_several_quotas_charge_all_or_none(open_limiter, clock):
    limiter = open_limiter("2 per 1s; 3 per 10s", clock=clock)
    assert [limiter.hit("a").admitted for _ in range(3)] == [True, True, False]
    states = limiter.peek("a").quotas
    assert [(s.remaining, s.retry_after_ns) for s in states] == [(0, S), (1, 0)]
    clock.advance(S)
    last = limiter.hit("a")
    assert (last.admitted, last.remaining) == (True, 0)
    denial = limiter.hit("a")
    assert (denial.admitted, denial.retry_after_ns) == (False, 9 * S)
    assert [s.remaining for s in denial.quotas] == [1, 0], "the hourly denial charged nothing"


def test_quotas_are_answered_in_the_order_of_the_policy(open_limiter, clock):
    """Also when one is written twice: it has one table and is charged once."""
    policy = "9 per hour; 4 per 1s; 9 per hour; 7 per 1s"
    limiter = open_limiter(policy, clock=clock)
    states = limiter.hit("a").quotas
    assert [state.quota.limit for state in states] == [9, 4, 9, 7]
    assert [state.remaining for state in states] == [8, 3, 8, 6]


def test_a_policy_may_be_text_a_quota_or_a_policy(open_limiter):
    quota = Quota(5, 5 * S)
    for policy in ("5 per 5s", quota, Policy((quota,))):
        assert open_limiter(policy).policy == Policy((quota,))


def test_peeking_changes_nothing(open_limiter, clock):
    limiter = open_limiter("2 per 5s", clock=clock)
    for _ in range(4):
        seen = limiter.peek("a", cost=2)
        assert (seen.admitted, seen.remaining, seen.reset_after_ns) == (True, 2, 0)
    limiter.hit("a")
    for _ in range(4):
        assert (limiter.peek("a").admitted, limiter.peek("a").remaining) == (True, 1)
    assert not limiter.peek("a", cost=2).admitted


def test_reset_frees_one_key_and_no_other(open_limiter, clock):
    limiter = open_limiter("1 per 5s; 1 per hour", clock=clock)
    limiter.hit("a")
    limiter.hit("b")
    limiter.reset("a")
    limiter.reset("never seen")
    assert limiter.hit("a").admitted
    assert not limiter.hit("b").admitted


@pytest.mark.parametrize(
    "key",
    ["", "a\0b", "é" * 9, "x" * 65_536, chr(0xDCFF), chr(0xD800), b"\xff\xfe", bytes(65_536)],
    ids=["empty", "nul", "utf8", "64k", "escaped", "surrogate", "no-utf8", "zeros"],
)
def test_any_text_or_bytes_is_a_key_of_its_own(open_limiter, clock, key):
    limiter = open_limiter("1 per 5s", clock=clock)
    assert limiter.hit("other").admitted
    assert limiter.hit(key).admitted
    assert not limiter.hit(key).admitted


def test_text_counts_as_its_utf8_bytes(open_limiter, clock):
    limiter = open_limiter("1 per 5s", clock=clock)
    for surrogate in (chr(0xDCFF), chr(0xDCFE), chr(0xD800)):
        assert limiter.hit(surrogate).admitted
    assert limiter.hit("é").admitted
    assert not limiter.hit("é".encode()).admitted


def fill(limiter, prefix=""):
    """Hit new keys until one finds no room; returns those that found some."""
    keys = []
    while True:
        key = f"{prefix}{len(keys)}"
        if limiter.hit(key).reason == "full":
            return keys
        keys.append(key)
        assert len(keys) < 1000, "a table of capacity 8 never fills"


def test_a_full_table_denies_new_keys_and_forgets_no_live_one(open_limiter, clock):
    limiter = open_limiter("2 per 5s", clock=clock, capacity=8)
    live = fill(limiter)
    for number in range(100):
        decision = limiter.hit(f"new {number}")
        if decision.reason == "full":
            assert (decision.admitted, decision.remaining) == (False, 0)
            assert decision.retry_after_ns > 0
        else:
            live.append(f"new {number}")
    assert all(limiter.hit(key).admitted for key in live)
    assert not any(limiter.hit(key).admitted for key in live)


def test_a_full_table_admits_uncounted_when_told_to(open_limiter, clock):
    limiter = open_limiter("1 per 5s", clock=clock, capacity=8, on_full="admit")
    live = fill(limiter)
    stranger = next(f"s{n}" for n in range(1000) if limiter.peek(f"s{n}").reason == "full")
    for decision in [limiter.hit(stranger), limiter.hit(stranger), limiter.peek(stranger)]:
        assert (decision.admitted, decision.reason, decision.retry_after_ns) == (True, "full", 0)
    assert not any(limiter.hit(key).admitted for key in live)


def test_slots_idle_for_exactly_one_window_are_used_again(open_limiter, clock):
    limiter = open_limiter("1 per 5s", clock=clock, capacity=8)
    live = fill(limiter)
    clock.advance(5 * S - 1)
    stranger = next(f"s{n}" for n in range(1000) if limiter.hit(f"s{n}").reason == "full")
    clock.advance(1)
    assert limiter.peek(stranger).reason == "quota"
    assert limiter.hit(stranger).admitted
    assert not limiter.hit(stranger).admitted
    assert len(live) >= 8


def test_a_full_table_leaves_the_other_quotas_in_force(open_limiter, clock):
    """A second later the table of the first quota has room, that of the second has not."""
    for on_full, expected in [("deny", [False, False]), ("admit", [True, False])]:
        limiter = open_limiter("1 per 1s; 5 per 100s", clock=clock, capacity=1, on_full=on_full)
        fill(limiter)
        clock.advance(S)
        stranger = next(f"s{n}" for n in range(1000) if limiter.peek(f"s{n}").reason == "full")
        decisions = [limiter.hit(stranger), limiter.hit(stranger)]
        assert [d.admitted for d in decisions] == expected
        # What is let past the full table is denied by the other: its reason, and its wait.
        assert [d.reason for d in decisions] == ["full", "full" if on_full == "deny" else "quota"]
        if on_full == "admit":
            assert decisions[1].retry_after_ns == S
            assert [state.retry_after_ns for state in decisions[1].quotas] == [S, 0]


@pytest.mark.parametrize("cost", [1, 3])
def test_threads_together_are_admitted_exactly_the_limit(open_limiter, cost):
    limiter = open_limiter("99 per hour; 500 per day")

    def work(_):
        return sum(limiter.hit("a", cost).admitted for _ in range(40))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(16))) == 99 // cost


def test_threads_with_keys_of_their_own_do_not_disturb_each_other(open_limiter):
    limiter = open_limiter("7 per hour")

    def work(number):
        return sum(limiter.hit(f"key {number % 40}").admitted for _ in range(5))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(200))) == 40 * 7


def test_ahit_is_hit(open_limiter, clock):
    limiter = open_limiter("1 per 5s", clock=clock)
    first, second = asyncio.run(limiter.ahit("a")), asyncio.run(limiter.ahit("a", cost=1))
    assert (first.admitted, second.admitted) == (True, False)


def test_a_closed_limiter_refuses_to_decide(open_limiter):
    limiter = open_limiter("1 per 5s")
    with limiter as same:
        assert same is limiter
        limiter.hit("a")
    limiter.close()
    for deed in (limiter.hit, limiter.peek, limiter.reset):
        with pytest.raises(StoreError, match="closed"):
            deed("a")


def test_memory_stores_share_nothing_and_limiters_on_one_name_share_all(shm_name, clock):
    def open_pair(store):
        return Limiter("1 per 5s", store=store, clock=clock), Limiter(
            "1 per 5s", store=store, clock=clock
        )

    for store, expected in [("memory://", True), (f"shm://{shm_name}", False)]:
        first, second = open_pair(store)
        assert first.hit("a").admitted
        assert second.hit("a").admitted is expected
        first.close()
        assert not second.hit("a").admitted, "closing one does not close the other"
        second.close()


def test_policies_on_one_name_share_a_quota_that_both_have(shm_name, clock):
    store = f"shm://{shm_name}"
    with (
        Limiter("1 per 5s; 9 per hour", store=store, clock=clock) as both,
        Limiter("9 per hour", store=store, clock=clock) as hourly,
    ):
        assert both.hit("a").admitted
        assert hourly.hit("a").remaining == 7


def test_threads_open_and_close_one_name_as_they_please(shm_name):
    def work(number):
        with Limiter("9 per hour; 20 per day", store=f"shm://{shm_name}") as limiter:
            return limiter.hit(f"key {number % 4}").admitted

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(80))) == 4 * 9


def test_what_is_in_shared_memory_outlives_its_limiter(shm_name, clock):
    for expected in (True, False):
        with Limiter("1 per 5s", store=f"shm://{shm_name}", clock=clock) as limiter:
            assert limiter.hit("a").admitted is expected
