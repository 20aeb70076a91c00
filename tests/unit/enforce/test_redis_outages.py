"""Times at which it is worth asking a server that did not answer."""

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.stores.redis import outages
from rateproof.enforce.stores.redis.outages import FAILURES, REST_NS, Breaker
from rateproof.errors import StoreError, StoreUnreachable

OUTAGE = StoreUnreachable("redis://h does not answer: nobody there")


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = ManualClock(10**12)
    monkeypatch.setattr(outages.time, "monotonic_ns", clock.now_ns)
    return clock


def allows(breaker):
    try:
        breaker.check()
    except StoreUnreachable:
        return False
    return True


@pytest.fixture
def tripped():
    tripped = Breaker("redis://h")
    for _ in range(FAILURES):
        assert allows(tripped)
        assert tripped.failed(OUTAGE) is OUTAGE
    return tripped


def test_nobody_asks_after_some_failures_in_a_row(tripped):
    with pytest.raises(StoreUnreachable, match=r"redis://h did not answer lately"):
        tripped.check()


@pytest.mark.parametrize("how", ["an answer", "an error that is an answer"])
def test_an_answer_in_between_begins_the_count_anew(how):
    lucky = Breaker("redis://h")
    for _ in range(3 * FAILURES):
        lucky.failed(OUTAGE)
        lucky.answered() if how == "an answer" else lucky.failed(StoreError("WRONGTYPE"))
        lucky.failed(OUTAGE)
        assert allows(lucky)
        lucky.answered()


def test_one_caller_asks_once_the_rest_is_over(tripped, clock):
    clock.advance(REST_NS - 1)
    assert not allows(tripped)
    clock.advance(1)
    assert allows(tripped)
    assert not allows(tripped)
    clock.advance(REST_NS)
    assert allows(tripped), "also if the last who asked never said how it went"


def test_its_failure_is_another_rest_and_its_answer_the_end(tripped, clock):
    clock.advance(REST_NS)
    assert allows(tripped)
    tripped.failed(OUTAGE)
    clock.advance(REST_NS - 1)
    assert not allows(tripped)
    clock.advance(1)
    assert allows(tripped)
    tripped.answered()
    assert allows(tripped)
    assert allows(tripped)


def test_each_change_is_told_once(caplog):
    told = Breaker("redis://h")
    for _ in range(5):
        told.failed(OUTAGE)
    for _ in range(2):
        told.answered()
    assert caplog.messages == [str(OUTAGE), "redis://h answers again"]
