"""Misuse is named at once, whatever the core."""

import copy
import pickle
import resource
from pathlib import Path

import pytest

from rateproof.clock import ManualClock, SystemClock
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores.location import directory_of
from rateproof.errors import InvalidArgument, InvalidPolicy, NeverPossible, StoreError
from rateproof.policy import Policy, Quota


@pytest.fixture
def limiter(core):  # noqa: ARG001 - sets the core
    with Limiter("5 per 5s; 3 per 1s", clock=ManualClock()) as limiter:
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
@pytest.mark.parametrize("reading", [-1, 2**61])
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
def test_the_last_readings_of_a_clock_and_the_longest_window_fit_together():
    clock = ManualClock(2**61 - 2)
    with Limiter(Quota(1, 2**60), clock=clock) as limiter:
        assert limiter.hit("a").admitted
        clock.advance(1)
        assert limiter.hit("a").retry_after_ns == 2**60 - 1


def test_a_window_longer_than_a_store_remembers_is_refused():
    with pytest.raises(InvalidArgument, match="at most 36 years"):
        Limiter(Quota(1, 2**60 + 1))


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


@pytest.mark.parametrize("algorithm", ["token-bucket", "fixed-window", "first-hit-window"])
def test_an_algorithm_that_is_not_enforced_yet_says_so(algorithm):
    with pytest.raises(InvalidArgument, match=f"{algorithm}.* is not enforced yet by this store"):
        Limiter(f"9 per hour; {algorithm} 1 per 1s")


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


@pytest.mark.usefixtures("core", "little_room")
@pytest.mark.parametrize("store", ["memory://", "shm"])
def test_a_table_that_finds_no_room_fails_when_it_is_opened(shm_name, store):
    store = f"shm://{shm_name}" if store == "shm" else store
    with pytest.raises(StoreError, match="smaller capacity"):
        Limiter("1000 per day", store=store)
    if store != "memory://":
        assert [file.name for file in directory_of(shm_name).iterdir()] == ["lock"]
    with Limiter("1000 per day", store=store, capacity=1) as limiter:
        assert limiter.hit("a").admitted


def test_a_table_too_big_to_count_is_refused_with_the_greatest_capacity():
    with pytest.raises(InvalidArgument, match=r"limit 65537 .*1 to 65536"):
        Limiter("65537 per day")
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
    assert limiter.policy == Policy.parse("5 per 5s; 3 per 1s")
    assert repr(limiter) == "Limiter('5 per 5s; 3 per 1s')"
