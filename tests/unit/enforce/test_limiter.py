"""Misuse is named at once, whatever the core."""

import copy
import gc
import os
import pickle
import resource
import signal
import time
from pathlib import Path

import pytest

from rateproof.clock import ManualClock, SystemClock
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores.location import directory_of, stored_quotas
from rateproof.errors import InvalidArgument, InvalidPolicy, NeverPossible, StoreError
from rateproof.policy import Policy, Quota


@pytest.fixture(params=[ManualClock, lambda: None], ids=["given", "own"])
def limiter(core, request):  # noqa: ARG001 - sets the core
    """By a clock of the test's, or by the store's own, where the native core decides alone."""
    with Limiter("5 per 5h; 3 per 1h", clock=request.param()) as limiter:
        yield limiter


@pytest.mark.parametrize("key", [None, 7, 1.5, bytearray(b"a"), memoryview(b"a"), ("a",)])
def test_a_key_that_is_no_text_names_its_type(limiter, key):
    for deed in (limiter.hit, limiter.peek, limiter.reset):
        with pytest.raises(TypeError, match=f"key is {type(key).__name__}"):
            deed(key)


@pytest.mark.parametrize("cost", [None, 1.0, "1", True])
def test_a_cost_that_is_no_int_names_its_type(limiter, cost):
    for deed in (limiter.hit, limiter.peek):
        with pytest.raises(TypeError, match=f"cost is {type(cost).__name__}"):
            deed("a", cost)


@pytest.mark.parametrize("cost", [0, -1, -(10**30)])
def test_a_cost_below_one_is_refused(limiter, cost):
    with pytest.raises(InvalidArgument, match=f"cost {cost}"):
        limiter.hit("a", cost)


@pytest.mark.parametrize("cost", [4, 10**30])
def test_a_cost_above_any_limit_is_never_possible(limiter, cost):
    with pytest.raises(NeverPossible, match=f"cost {cost} is above the limit 3"):
        limiter.hit("a", cost)
    assert limiter.peek("a").remaining == 3


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("reading", [-1, 2**60])
def test_a_clock_out_of_bounds_is_named(reading):
    class Broken:
        def now_ns(self):
            return reading

    with (
        Limiter("1 per 5s", clock=Broken()) as limiter,
        pytest.raises(InvalidArgument, match=str(reading)),
    ):
        limiter.hit("a")


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("algorithm", RULES)
def test_the_last_readings_of_a_clock_and_the_longest_window_fit_together(algorithm):
    clock = ManualClock(2**60 - 2)
    with Limiter(Quota(1, 2**59, algorithm), clock=clock) as limiter:
        assert limiter.hit("a").admitted
        before = limiter.hit("a")
        assert not before.admitted
        clock.advance(1)
        assert limiter.hit("a").retry_after_ns == before.retry_after_ns - 1
        assert limiter.peek("a").reset_after_ns == before.reset_after_ns - 1


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize(
    ("quota", "problem", "accepted"),
    [
        (Quota(1, 2**59 + 1), "longer than a store remembers", "at most 18 years"),
        (Quota(65_537, 1), "limit 65537", "1 to 65536"),
        (Quota(2**20 + 1, 1, "sliding-counter"), "limit 1048577", "1 to 1048576"),
        (Quota(2, 1999, "token-bucket"), "too short", "at least 2000 ns"),
        (Quota(1, 2**58, "token-bucket", 3), "18 years to refill", "smaller burst"),
        (Quota(8, 3999, "first-hit-window"), "too short", "at least 4000 ns"),
        (Quota(1, 10**9, "leaky-queue", 4), "judged but not enforced", "sliding-log"),
    ],
)
def test_a_quota_that_no_table_counts_is_refused_with_the_bound(quota, problem, accepted):
    with pytest.raises(InvalidArgument, match=problem) as caught:
        Limiter(quota)
    assert accepted in caught.value.hint


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize(
    "quota",
    [
        Quota(65_536, 2**59),
        Quota(2**20, 2**59, "sliding-counter"),
        Quota(2**20, 1, "sliding-counter"),
        Quota(2, 2000, "token-bucket"),
        Quota(10**9, 10**12, "token-bucket", 500_000_000),
        Quota(10**9, 1, "fixed-window"),
        Quota(10**9, 2**59, "fixed-window"),
        Quota(8, 4000, "first-hit-window"),
        Quota(10**9, 2**28 * 1000, "first-hit-window"),
        Quota(10**9, 2**59, "first-hit-window"),
    ],
    ids=str,
)
@pytest.mark.parametrize("start", [0, 2**60 - 1])
def test_the_greatest_quotas_are_counted(quota, start):
    with Limiter(quota, clock=ManualClock(start), capacity=1) as limiter:
        assert limiter.hit("a", quota.burst - 1).remaining == 1
        assert limiter.hit("a").admitted
        denial = limiter.hit("a")
        assert (denial.admitted, denial.remaining) == (False, 0)
        assert 0 < denial.retry_after_ns <= denial.reset_after_ns <= 2 * quota.window_ns


@pytest.mark.usefixtures("core")
def test_a_clock_of_ones_own_is_asked_for_each_decision():
    clock = ManualClock(77)
    with Limiter("1 per 5s", clock=clock) as limiter:
        limiter.hit("a")
        clock.advance(3)
        assert limiter.hit("a").retry_after_ns == 5_000_000_000 - 3


@pytest.mark.usefixtures("core")
def test_the_system_clock_is_the_default():
    """Both read CLOCK_MONOTONIC, so a limiter with either sees the other's stamps."""
    for clock in (None, SystemClock()):
        with Limiter("1 per hour", clock=clock) as limiter:
            limiter.hit("a")
            wait_ns = limiter.hit("a").retry_after_ns
            assert 3590 * 10**9 < wait_ns <= 3600 * 10**9


@pytest.mark.parametrize("policy", [None, 5, b"5 per 5s", ["5 per 5s"]])
def test_a_policy_of_another_type_names_it(policy):
    with pytest.raises(TypeError, match=f"policy is {type(policy).__name__}"):
        Limiter(policy)


def test_a_policy_that_cannot_be_read_is_named():
    with pytest.raises(InvalidPolicy, match="five per 5s"):
        Limiter("five per 5s")


@pytest.mark.parametrize("on_full", ["evict", None, ""])
def test_on_full_is_deny_or_admit(on_full):
    with pytest.raises(InvalidArgument, match=r"on_full is .*'deny' or 'admit'"):
        Limiter("1 per 5s", on_full=on_full)


@pytest.mark.parametrize("on_error", ["raise", None, ""])
def test_on_error_is_deny_admit_or_local(on_error):
    with pytest.raises(InvalidArgument, match=r"on_error is .*'deny', 'admit' or 'local'"):
        Limiter("1 per 5s", on_error=on_error)


@pytest.mark.parametrize("exempt", [["a", None], [7], 7, None])
def test_exempt_is_keys_or_a_function(exempt):
    with pytest.raises(TypeError):
        Limiter("1 per 5s", exempt=exempt)


@pytest.mark.parametrize("capacity", [0, -1, 2**26 + 1, 10**30])
def test_a_capacity_out_of_bounds_is_named(capacity):
    with pytest.raises(InvalidArgument, match=f"capacity {capacity} .*1 to 67108864"):
        Limiter("1 per 5s", capacity=capacity)


@pytest.mark.parametrize("capacity", [None, 1.0, "8", True])
def test_a_capacity_of_another_type_names_it(capacity):
    with pytest.raises(TypeError, match=f"capacity is {type(capacity).__name__}"):
        Limiter("1 per 5s", capacity=capacity)


@pytest.fixture
def little_room():
    """Files and address space of this process may grow by little."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = {
        resource.RLIMIT_FSIZE: 2**20,
        resource.RLIMIT_AS: pages * resource.getpagesize() + 2**27,
    }
    before = {kind: resource.getrlimit(kind) for kind in limits}
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, before[kind][1]))
    yield
    for kind, limit in before.items():
        resource.setrlimit(kind, limit)


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("store", ["memory://", "shm"])
def test_a_table_that_finds_no_room_fails_when_it_is_opened(shm_name, store):
    store = f"shm://{shm_name}" if store == "shm" else store
    with pytest.raises(StoreError, match="smaller capacity"):
        Limiter("1000 per day", store=store)
    if store != "memory://":
        sizes = [file.stat().st_size for file in directory_of(shm_name).iterdir()]
        assert sizes == [0, 0], "the lock, and a table that holds nothing"
        assert stored_quotas(shm_name) == []
    with Limiter("1000 per day", store=store, capacity=1) as limiter:
        assert limiter.hit("a").admitted


def test_a_table_too_big_to_count_is_refused_with_the_greatest_capacity():
    with pytest.raises(InvalidArgument, match=r"capacity 65537 .*a capacity of 1 to 65536"):
        Limiter("65536 per day", capacity=65_537)


def test_a_limiter_is_opened_by_name_and_neither_pickled_nor_copied(limiter):
    for deed in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="open one in each process"):
            deed(limiter)


def test_a_decision_is_true_when_admitted_and_cannot_be_changed(limiter):
    assert limiter.hit("a", 3)
    denial = limiter.hit("a")
    assert not denial
    with pytest.raises(AttributeError):
        denial.admitted = True
    with pytest.raises(AttributeError):
        denial.quotas[0].remaining = 9


def test_a_limiter_shows_its_policy(limiter):
    assert limiter.policy == Policy.parse("5 per 5h; 3 per 1h")
    assert repr(limiter) == "Limiter('5 per 5h; 3 per 1h')"


def test_closing_lets_go_of_descriptors_at_once(shm_name):
    descriptors = Path("/proc/self/fd")
    Limiter("5 per 5s", store=f"shm://{shm_name}").close()
    before = len(list(descriptors.iterdir()))
    gc.disable()
    try:
        for _ in range(20):
            limiter = Limiter("5 per 5s", store=f"shm://{shm_name}")
            limiter.hit("a")
            limiter.close()
    finally:
        gc.enable()
    assert len(list(descriptors.iterdir())) < before + 10, "others may open one meanwhile"


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"store": None}, TypeError, "store is NoneType"),
        ({"store": b"memory://"}, TypeError, "store is bytes"),
        ({"counters": 5}, TypeError, "store is int"),
        ({"on_full": []}, InvalidArgument, "on_full"),
        ({"on_error": {}}, InvalidArgument, "on_error"),
        ({"exempt": "health-check"}, InvalidArgument, "exempt is 'health-check'"),
        ({"exempt": b"key"}, InvalidArgument, "exempt"),
        ({"exempt": [7]}, TypeError, "key is int"),
        ({"clock": time.monotonic_ns}, TypeError, "clock is builtin_function_or_method"),
    ],
)
def test_an_option_that_cannot_be_is_named(options, error, named):
    with pytest.raises(error, match=named):
        Limiter("5 per 5s", **options)


@pytest.mark.usefixtures("core")
def test_a_clock_that_tells_no_whole_nanoseconds_is_named():
    class Fractional:
        def now_ns(self):
            return 1.5

    with Limiter("5 per 5s", clock=Fractional()) as limiter:
        for ask in (limiter.hit, limiter.peek):
            with pytest.raises(TypeError, match="clock reads float"):
                ask("a")


def test_a_cost_of_thousands_of_digits_is_never_possible(limiter):
    with pytest.raises(NeverPossible, match="bits"):
        limiter.hit("a", 10**5000)


def test_a_fork_while_another_thread_opens_a_table_hangs_nobody():
    with Limiter("5 per 5s") as limiter:
        limiter._store._mutex.acquire()  # as the other thread has it at the fork
        child = os.fork()
        if child == 0:
            try:
                limiter.hit("a", policy="6 per 5s")
                limiter.close()
            finally:
                os._exit(0)
        limiter._store._mutex.release()
        deadline = time.monotonic() + 60
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline or os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
        assert ended == (child, 0)
