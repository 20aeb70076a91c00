"""When it is worth asking a server that did not answer."""

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.stores.redis import breaker
from rateproof.enforce.stores.redis.breaker import FAILURES, REST_NS, Breaker


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = ManualClock(10**12)
    monkeypatch.setattr(breaker.time, "monotonic_ns", clock.now_ns)
    return clock


@pytest.fixture
def tripped():
    tripped = Breaker()
    for _ in range(FAILURES):
        assert tripped.allows()
        tripped.failed()
    return tripped


def test_nobody_asks_after_some_failures_in_a_row(tripped):
    assert not tripped.allows()


def test_an_answer_in_between_begins_the_count_anew():
    lucky = Breaker()
    for _ in range(3 * FAILURES):
        lucky.failed()
        lucky.answered()
        lucky.failed()
        assert lucky.allows()
        lucky.answered()


def test_one_caller_asks_once_the_rest_is_over(tripped, clock):
    clock.advance(REST_NS - 1)
    assert not tripped.allows()
    clock.advance(1)
    assert tripped.allows()
    assert not tripped.allows()
    clock.advance(REST_NS)
    assert tripped.allows(), "also if the last who asked never said how it went"


def test_its_failure_is_another_rest_and_its_answer_the_end(tripped, clock):
    clock.advance(REST_NS)
    assert tripped.allows()
    tripped.failed()
    clock.advance(REST_NS - 1)
    assert not tripped.allows()
    clock.advance(1)
    assert tripped.allows()
    tripped.answered()
    assert tripped.allows()
    assert tripped.allows()


def test_each_change_is_told_once():
    told = Breaker()
    assert [told.failed() for _ in range(5)] == [True, False, False, False, False]
    assert [told.answered() for _ in range(2)] == [True, False]
