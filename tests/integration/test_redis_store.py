"""Decisions by a real server: exact between processes, threads, tasks and forks; keys of any kind."""

import asyncio
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.crc import key_slot

from rateproof.clock import ManualClock
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import open_store
from rateproof.enforce.stores.redis.loops import AT_ONCE
from rateproof.errors import InvalidArgument, StoreError
from tests.samples import quick_first

# Arguments: store, policy, seconds. Hits one key with two threads as fast as it can; each line is
# an admission: the instants between which it was decided.
HAMMER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from rateproof import Limiter
store, policy, seconds = sys.argv[1:]
limiter = Limiter(policy, store=store)
end = time.monotonic() + float(seconds)
def hammer(_):
    admitted = []
    while time.monotonic() < end:
        before = time.monotonic_ns()
        decision = limiter.hit("one")
        after = time.monotonic_ns()
        if decision:
            admitted.append((before, after))
        elif decision.retry_after_ns:
            time.sleep(decision.retry_after_ns / 4e9)
    return admitted
with ThreadPoolExecutor(2) as pool:
    for admitted in pool.map(hammer, range(2)):
        for before, after in admitted:
            print(before, after)
"""


def commands(valkey):
    """Calls of each command."""
    return {
        name.removeprefix("cmdstat_"): each["calls"]
        for name, each in valkey.client.info("commandstats").items()
    }


@pytest.mark.parametrize("policy", quick_first(["5 per 50ms", "token-bucket 100 per 1s burst 5"]))
def test_processes_and_threads_admit_no_more_than_the_policy(valkey, spawn, policy):
    """For every stretch of admissions surely decided within it, the declared gap holds."""
    processes = [spawn("-c", HAMMER, valkey.store, policy, 1.5) for _ in range(3)]
    intervals = []
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        intervals += [tuple(map(int, line.split())) for line in output.splitlines()]
    with Limiter(policy) as limiter:
        gap = limiter.policy.gap
    intervals.sort()
    for first, (start, _) in enumerate(intervals):
        ends = sorted(end for _, end in intervals[first:])
        for count, end in enumerate(ends, 1):
            assert end - start >= gap(count), f"{count} admissions within {end - start} ns"
    assert len(intervals) > 10


def test_all_of_one_limit_is_admitted_and_no_more(valkey):
    with Limiter("100 per hour", store=valkey.store) as limiter, ThreadPoolExecutor(16) as pool:
        admitted = sum(pool.map(lambda _: limiter.hit("one").admitted, range(300)))
    assert admitted == 100


def test_a_hundred_tasks_get_exactly_the_limit(valkey):
    async def main():
        with Limiter("37 per hour", store=valkey.store) as limiter:
            decisions = await asyncio.gather(*(limiter.ahit("one") for _ in range(100)))
            later = await limiter.ahit("one")
            assert len(valkey.client.client_list()) <= AT_ONCE + 1
        return sum(map(bool, decisions)), later

    for _ in range(2):  # an event loop each
        valkey.client.flushall()
        admitted, later = asyncio.run(main())
        assert admitted == 37
        assert later.reason == "cached"


def test_one_limiter_serves_one_event_loop_after_another(valkey):
    with Limiter("3 per hour", store=valkey.store) as limiter:
        assert [asyncio.run(limiter.ahit("a")).remaining for _ in range(3)] == [2, 1, 0]


def test_a_cancelled_task_leaves_the_others_their_answers(valkey):
    async def main():
        with Limiter("1000 per hour", store=valkey.store) as limiter:
            tasks = [asyncio.create_task(limiter.ahit("one")) for _ in range(40)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            decisions = await asyncio.gather(*tasks, return_exceptions=True)
            kept = [each for each in decisions if not isinstance(each, asyncio.CancelledError)]
            after = [await limiter.ahit("two") for _ in range(10)]
        return kept, after

    kept, after = asyncio.run(main())
    assert len(kept) == 20
    assert {each.reason for each in kept} == {"quota"}
    assert len({each.remaining for each in kept}) == 20
    assert [each.remaining for each in after] == list(range(999, 989, -1))


def test_a_forked_child_decides_on_connections_of_its_own(valkey):
    with Limiter("1000 per hour", store=valkey.store) as limiter:
        limiter.hit("one")
        child = os.fork()
        if child == 0:
            right = all(limiter.hit("child").remaining == 999 - n for n in range(200))
            os._exit(0 if right else 1)
        right = all(limiter.hit("parent").remaining == 999 - n for n in range(200))
        assert os.waitpid(child, 0)[1] == 0
    assert right


@pytest.mark.parametrize(
    "key",
    ["", "}x", "{x}", "{", "a:b", "\udc80", b"\x00\xff\r\n", b"x" * 2**20, "%s", "%b{}"],
    ids=lambda key: repr(key[:8]),
)
def test_any_key_is_a_key_of_its_own_in_one_slot(valkey, key):
    with Limiter("2 per hour; 3 per day", store=valkey.store) as limiter:
        assert [limiter.hit(key).admitted for _ in range(3)] == [True, True, False]
        assert limiter.hit(b"another").remaining == 1
        kept = valkey.client.keys()
        assert len(kept) == 4
        assert len({key_slot(each) for each in kept}) <= 2
        limiter.reset(key)
        assert limiter.hit(key).remaining == 1


def test_a_decision_is_one_round_trip_and_a_remembered_denial_none(valkey):
    with Limiter("5 per hour; 6 per day", store=valkey.store) as limiter:
        limiter.hit("one")
        valkey.client.config_resetstat()
        decisions = [limiter.hit("one") for _ in range(50)]
        calls = commands(valkey)
    assert [each.reason for each in decisions] == ["quota"] * 5 + ["cached"] * 45
    assert calls["evalsha"] == 5
    assert "eval" not in calls


def test_scripts_that_the_server_lost_are_sent_again_and_charge_once(valkey):
    async def atwice(limiter):
        valkey.client.script_flush()
        return [(await limiter.ahit("one")).remaining for _ in range(2)]

    with Limiter("9 per hour", store=valkey.store) as limiter:
        found = []
        for _ in range(3):
            found += [limiter.hit("one").remaining for _ in range(2)]
            valkey.client.script_flush()
        assert found == [8, 7, 6, 5, 4, 3]
        assert asyncio.run(atwice(limiter)) == [2, 1]


def test_who_waits_as_long_as_told_is_admitted(valkey):
    """Also when a remembered denial told it; sync and async in turn."""
    with Limiter("3 per 60ms", store=valkey.store) as limiter, asyncio.Runner() as runner:
        cached = 0
        for turn in range(40):

            def hit(turn=turn):
                return runner.run(limiter.ahit("one")) if turn % 2 else limiter.hit("one")

            while hit():
                pass
            again = hit()
            cached += again.reason == "cached"
            if not again:
                time.sleep(again.retry_after_ns / 1e9)
                assert hit().admitted
    assert cached


# Of a coroutine that was made and interrupted before its first step, Python says so.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_an_interrupted_wait_leaves_no_answer_behind_for_another(valkey):
    """An exception may come at any moment, as by Ctrl-C or the alarm of a worker."""

    def interrupt(*_):
        raise KeyboardInterrupt

    draw = random.Random(1)
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        with Limiter("60000 per hour", store=valkey.store) as limiter:
            for number in range(600):
                try:
                    signal.setitimer(signal.ITIMER_REAL, draw.uniform(20e-6, 150e-6))
                    limiter.hit("hot", cost=40)
                    limiter.hit("hot", cost=40)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    interrupted += 1
                assert limiter.hit(f"{number}").remaining == 59_999
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 100


def test_reset_makes_this_limiter_ask_again(valkey):
    with Limiter("1 per hour", store=valkey.store) as limiter:
        limiter.hit("one")
        limiter.hit("one", policy="1 per hour; 2 per day")
        assert limiter.hit("one").reason == "quota"
        assert limiter.hit("one").reason == "cached"
        limiter.reset("one")
        assert limiter.hit("one").admitted
        assert limiter.hit("one", policy="1 per hour; 2 per day").reason == "quota"


def test_clear_forgets_every_key_of_the_policy_and_of_no_other(valkey):
    with Limiter("1 per hour", store=valkey.store) as limiter:
        for number in range(2500):
            limiter.hit(f"{number}")
        limiter.hit("1")
        limiter.hit("1", policy="2 per hour")
        limiter._plan.ledger.clear()
        assert limiter.hit("1").admitted
        assert limiter.hit("1", policy="2 per hour").remaining == 0
        assert valkey.client.dbsize() == 2


def test_states_vanish_when_they_bind_no_more_and_not_before(valkey):
    policies = [
        "5 per 1s",
        "token-bucket 5 per 1s",
        "fixed-window 5 per 1s",
        "first-hit-window 5 per 1s",
        "sliding-counter 5 per 1s",
    ]
    began_ns = time.monotonic_ns()
    with Limiter("; ".join(policies), store=valkey.store) as limiter:
        for state in limiter.hit("one", cost=3).quotas:
            keys = valkey.client.keys(f"*:{state.quota.algorithm}-*")
            left_ns = max(map(valkey.client.pttl, keys), default=0) * 10**6
            passed_ns = time.monotonic_ns() - began_ns
            assert left_ns > state.reset_after_ns - passed_ns - 2_000_000
            assert left_ns <= state.reset_after_ns + 2_000_000
        deadline = time.monotonic() + 60
        while valkey.client.dbsize():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_prefix_keeps_applications_apart(valkey):
    with (
        Limiter("1 per hour", store=f"{valkey.store}&prefix=shop") as shop,
        Limiter("1 per hour", store=f"{valkey.store}&prefix=blog") as blog,
    ):
        assert shop.hit("a").admitted
        assert blog.hit("a").admitted
        assert not shop.hit("a").admitted
    assert sorted(key.split(b":")[0] for key in valkey.client.scan_iter()) == [b"blog", b"shop"]


def test_a_long_log_costs_no_more_than_a_short_one(valkey):
    """By the server's own account: reads grow with the logarithm of the limit, if at all."""
    spent = {}
    for limit in (100, 65_536):
        with Limiter(f"{limit} per hour", store=valkey.store) as limiter:
            limiter.hit("one", cost=limit // 2)
            valkey.client.config_resetstat()
            for _ in range(40):
                limiter.hit("one")
            spent[limit] = sum(commands(valkey).values()) / 40
            assert limiter.hit("one", cost=limit // 2).admitted is False
    assert spent[65_536] <= spent[100] + 16


def test_a_server_over_a_socket_file_is_the_same(start_valkey, tmp_path):
    path = tmp_path / "valkey.sock"
    start_valkey("--unixsocket", str(path))
    with Limiter("1 per hour", store=f"unix://{path}?db=3&timeout=5s") as limiter:
        assert limiter.hit("a").admitted
        assert not limiter.hit("a").admitted
        with redis.Redis(unix_socket_path=str(path), db=3) as client:
            assert client.dbsize() == 1


def test_a_user_with_the_documented_permissions_is_enough(valkey, permissions):
    """Each for what it is said to be for, and without it that is a mistake, not an outage."""

    def grant(*rules):
        valkey.client.execute_command("ACL SETUSER", "shop", "on", ">secret", *rules)

    grant(*permissions("decisions"))
    policies = "; ".join(f"{name} 5 per hour" for name in RULES)
    store = valkey.store.replace("//", "//shop:secret@")
    with Limiter(policies, store=store, on_error="admit") as limiter:
        assert [limiter.hit("a", cost=3).admitted for _ in range(2)] == [True, False]
        with pytest.raises(StoreError, match="'del'"):
            limiter.reset("a")
        grant(*permissions("`reset`"))
        limiter.reset("a")
        assert limiter.peek("a").remaining == 5
        with pytest.raises(StoreError, match="'scan'"):
            limiter.clear()
        grant(*permissions("`clear`"))
        limiter.clear()
    with Limiter(policies, store=store.replace("/0?", "/3?"), on_error="admit") as limiter:
        with pytest.raises(StoreError, match="'select'"):
            limiter.hit("a")
        grant(*permissions("`/DB`"))
        assert limiter.hit("a").remaining == 4


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("on_error", ["deny", "admit", "local"])
def test_a_store_that_was_opened_for_another_on_error_is_refused(valkey, on_error, local):
    valkey.kill()
    store = open_store(valkey.url, local=local)
    if local != (on_error == "local"):
        with pytest.raises(InvalidArgument, match=f"on_error is '{on_error}'") as caught:
            Limiter("1 per hour", store=store, on_error=on_error)
        assert "open_store(url, local=True)" in caught.value.hint
        return
    with Limiter("1 per hour", store=store, on_error=on_error) as limiter:
        assert limiter.hit("a").reason == ("local" if local else "error")


def test_a_clock_of_the_callers_own_is_refused(valkey):
    with pytest.raises(InvalidArgument, match="clock"):
        Limiter("1 per hour", store=valkey.store, clock=ManualClock())


def test_a_closed_limiter_says_so_even_of_a_remembered_denial(valkey):
    limiter = Limiter("1 per hour", store=valkey.store)
    limiter.hit("a")
    limiter.hit("a")
    assert limiter.hit("a").reason == "cached"
    limiter.close()
    limiter.close()
    with pytest.raises(StoreError, match="closed"):
        limiter.hit("a")


def test_no_connection_is_left_behind(valkey):
    with Limiter("1000 per hour", store=valkey.store) as limiter:
        threads = [threading.Thread(target=limiter.hit, args=("a",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(valkey.client.client_list()) > 1
    deadline = time.monotonic() + 60
    while len(valkey.client.client_list()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
