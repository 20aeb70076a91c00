"""Remembered denials: never longer than the server's, never more than memory has room for."""

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.decision import Answer
from rateproof.enforce.stores.redis import denials as module
from rateproof.enforce.stores.redis.denials import CAPACITY, Denials

SECOND_NS = 10**9


@pytest.fixture
def clock(monkeypatch):
    clock = ManualClock(10**12)
    monkeypatch.setattr(module.time, "monotonic_ns", clock.now_ns)
    return clock


def answer(admitted, remaining, wait_ns, reset_ns):
    return Answer(
        admitted=admitted,
        full=False,
        remaining=remaining,
        retry_after_ns=wait_ns,
        reset_after_ns=reset_ns,
    )


def denied(wait_ns, reset_ns=None):
    return answer(
        admitted=False,
        remaining=0,
        wait_ns=wait_ns,
        reset_ns=wait_ns if reset_ns is None else reset_ns,
    )


def free(reset_ns):
    return answer(admitted=True, remaining=3, wait_ns=0, reset_ns=reset_ns)


def test_it_holds_from_the_sending_and_its_waits_from_the_receipt(clock):
    denials = Denials()
    clock.advance(SECOND_NS)  # a slow answer
    answers = [denied(5 * SECOND_NS, 9 * SECOND_NS), free(reset_ns=SECOND_NS)]
    denials.keep(b"a", 0, 1, clock.now_ns() - SECOND_NS, answers)
    assert denials.answers(b"a", 0, 1) == answers
    clock.advance(2 * SECOND_NS)
    expected = [denied(3 * SECOND_NS, 7 * SECOND_NS), free(reset_ns=0)]
    assert denials.answers(b"a", 0, 1) == expected
    clock.advance(round(1.99 * SECOND_NS))
    assert denials.answers(b"a", 0, 1) is not None
    clock.advance(round(0.01 * SECOND_NS))
    assert denials.answers(b"a", 0, 1) is None


def test_the_longest_wait_of_all_quotas_is_what_holds(clock):
    denials = Denials()
    denials.keep(b"a", 0, 1, clock.now_ns(), (denied(10), denied(2000), denied(30)))
    clock.advance(1998)
    assert denials.answers(b"a", 0, 1) is not None
    clock.advance(1)
    assert denials.answers(b"a", 0, 1) is None


def test_only_the_cost_that_was_denied_is_denied(clock):
    denials = Denials()
    denials.keep(b"a", 0, 3, clock.now_ns(), (denied(SECOND_NS),))
    assert [denials.answers(b"a", 0, cost) is None for cost in (1, 3, 4)] == [True, False, True]


def test_the_oldest_goes_when_there_are_too_many(clock):
    denials = Denials()
    for number in range(CAPACITY + 10):
        denials.keep(b"%d" % number, 0, 1, clock.now_ns(), (denied(10),))
    assert len(denials._kept) == CAPACITY
    assert denials.answers(b"9", 0, 1) is None
    assert denials.answers(b"10", 0, 1) is not None


def test_a_reset_forgets_the_key_in_all_policies_and_what_is_under_way(clock):
    denials = Denials()
    for key in (b"a", b"b"):
        for ledger in range(3):
            denials.keep(key, ledger, 1, clock.now_ns(), (denied(10),))
    before = denials.resets
    denials.forget(b"a")
    assert [denials.answers(b"a", ledger, 1) for ledger in range(3)] == [None] * 3
    assert None not in [denials.answers(b"b", ledger, 1) for ledger in range(3)]
    assert denials.resets != before
