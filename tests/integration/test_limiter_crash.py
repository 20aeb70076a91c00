"""A process that dies at any store into a reference table loosens nothing and blocks nobody.

Not sampled: a forked child is killed at its first store, at its second, and so on
until one lives through the whole operation.
"""

import os
import signal
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import reference_table, remove


class DeadlyWords:
    """The words of a table; the process kills itself instead of the n-th store."""

    def __init__(self, words, countdown: list[int]) -> None:
        self._words = words
        self._countdown = countdown

    def __getitem__(self, index):
        return self._words[index]

    def __setitem__(self, index, value) -> None:
        if self._countdown[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._countdown[0] -= 1
        self._words[index] = value


@pytest.fixture(params=["memory", "shm"])
def store(request, monkeypatch) -> Iterator[str]:
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    name = f"test-{uuid4().hex}"
    yield f"shm://{name}" if request.param == "shm" else "memory://"
    remove(name)


def dies(deed: Callable[[], object]) -> bool:
    """Whether a forked child is killed before the deed is done."""
    child = os.fork()
    if child == 0:
        try:
            deed()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def die_at(limiter: Limiter, store_number: int) -> None:
    countdown = [store_number]
    for table in limiter._store._tables.values():
        table._words = DeadlyWords(table._words, countdown)


@pytest.mark.parametrize(
    ("quota", "advance", "words"),
    [
        ("sliding-log 5 per 10us", 5_000, 3),
        ("token-bucket 5 per 10us", 5_000, 1),
        ("fixed-window 5 per 10us", 5_000, 2),
        ("first-hit-window 5 per 10us", 10_000, 2),
        ("sliding-counter 5 per 10us", 5_000, 2),
        ("sliding-counter 5 per 10us", 25_000, 3),
    ],
)
def test_dying_while_charging_two_quotas_burns_permits_at_worst(store, quota, advance, words):
    """Of a log those stamped so far; the others charge all with the last word or nothing."""
    deaths = 0
    while True:
        clock = ManualClock(deaths * 100_000 + 5_000)
        with Limiter(f"{quota}; 9 per 20us", store=store, clock=clock, capacity=1) as limiter:
            limiter.reset("a")
            limiter.hit("a", cost=2)
            clock.advance(advance)
            before = remaining(limiter)

            def deed(limiter=limiter, number=deaths):
                die_at(limiter, number)
                limiter.hit("a", cost=3)

            died = dies(deed)
            charged = [b - a for b, a in zip(before, remaining(limiter), strict=True)]
            assert all(0 <= burnt <= 3 for burnt in charged)
            assert "log" in quota or charged[0] in {0, 3}
            assert died or charged == [3, 3]
            clock.advance(limiter.peek("a").reset_after_ns)
            assert remaining(limiter) == [5, 9], "a burnt permit never came back"
        if not died:
            break
        deaths += 1
    assert deaths == 2 + words + 3, "latest of both tables, the words of one, 3 cells of the other"


def remaining(limiter: Limiter) -> list[int]:
    decision = limiter.peek("a")
    assert decision.reason == "quota", "the dead process kept the lock"
    return [state.remaining for state in decision.quotas]


def test_dying_while_taking_over_a_slot_loses_and_revives_nobody(store):
    """Eight slots, seven live: the eighth is taken over while the process dies."""
    deaths, start = 0, 100
    while True:
        clock = ManualClock(start)
        with Limiter("2 per 50ns", store=store, clock=clock, capacity=1) as limiter:
            for key in ["idle", *"abcdefg"]:
                limiter.reset(key)
            limiter.hit("idle", cost=2)
            clock.advance(49)
            for key in "abcdefg":
                assert limiter.hit(key, cost=2).admitted
            clock.advance(1)

            def deed(limiter=limiter, number=deaths):
                die_at(limiter, number)
                limiter.hit("new")

            died = dies(deed)
            assert not any(limiter.peek(key).admitted for key in "abcdefg")
            left = 2 if died else 1
            assert limiter.peek("new").remaining == left
            assert limiter.hit("new", cost=left).admitted
            assert limiter.peek("idle").reason == "full", "somebody lives in its slot"
            clock.advance(49)
            assert limiter.hit("idle", cost=2).admitted, "the others are idle again"
        if not died:
            break
        deaths += 1
        start += 200
    assert deaths == 3, "tag, latest and one cell"


def test_dying_while_a_table_is_made_leaves_one_that_is_made_anew(monkeypatch):
    """At each step: after the file, the blocks, the header, before it is ready."""
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    name = f"test-{uuid4().hex}"

    def kill(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def deed(target, attribute):
        setattr(target, attribute, kill)
        Limiter("1 per hour", store=f"shm://{name}")

    def deed_before_ready():
        reference_table.memoryview = kill
        Limiter("1 per hour", store=f"shm://{name}")

    try:
        assert dies(lambda: deed(reference_table, "_reserve"))
        assert dies(lambda: deed(reference_table.Table, "_initialise"))
        assert dies(deed_before_ready)
        assert not dies(lambda: Limiter("1 per hour", store=f"shm://{name}").hit("a"))
        with Limiter("1 per hour", store=f"shm://{name}") as limiter:
            assert not limiter.hit("a").admitted
    finally:
        remove(name)
