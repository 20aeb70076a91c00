"""Promises of the tables in plain Python alone: one process, every place used, every loss bounded."""

import os
import pickle
import sys
import threading
from itertools import count

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.counters import Count
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import open_store
from rateproof.enforce.stores.plain import PlainStore
from rateproof.errors import InvalidArgument, StoreError
from rateproof.policy import Quota

S = 1_000_000_000


@pytest.fixture(autouse=True)
def python_core(monkeypatch):
    monkeypatch.setenv("RATEPROOF_CORE", "python")


def in_child(deed):
    """The result of the deed in a forked child, or the error that it raised."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = deed()
        except Exception as error:  # noqa: BLE001 - told to the parent
            told = (type(error).__name__, str(error))
        os.write(writer, pickle.dumps(told))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pickle.load(pipe)
    os.waitpid(child, 0)
    return told


def test_files_that_processes_share_need_the_native_core():
    with pytest.raises(InvalidArgument, match="'shm://a' needs the native core") as refused:
        open_store("shm://a")
    assert "RATEPROOF_CORE=python forbids it" in refused.value.hint


@pytest.mark.parametrize("on_error", ["deny", "admit", "local"])
def test_every_call_in_a_forked_child_is_an_error_that_names_the_fork(on_error):
    """Its parent would admit again what it admitted."""
    with Limiter("5 per hour", on_error=on_error) as limiter:
        limiter.hit("a")
        deeds = [
            lambda: limiter.hit("a"),
            lambda: limiter.hit("a", policy="6 per hour"),
            lambda: limiter.peek("a"),
            lambda: limiter.reset("a"),
            limiter.clear,
            limiter.stats,
        ]
        for deed in deeds:
            name, said = in_child(deed)
            assert name == "StoreError"
            assert "forked" in said
            assert "native core" in said
        assert in_child(limiter.close) is None
        assert limiter.hit("a").remaining == 3, "the parent goes on"


def test_tables_that_begin_anew_in_a_child_are_empty_there_and_count_alone():
    """As those that decide while a network cannot be reached."""
    store = PlainStore(8, anew=True)
    ledger = store.ledger([Quota(2, 3600 * S)])

    def two_hits():
        told = [ledger.hit(b"a", 1, None).admitted for _ in range(2)]
        store.counters().add(Count.DENIED)
        return told, store.counters().totals()[Count.DENIED]

    store.counters().add(Count.DENIED)
    assert two_hits() == ([True, True], 2)
    assert in_child(two_hits) == ([True, True], 1)
    assert not ledger.hit(b"a", 1, None).admitted


def test_a_fork_while_another_thread_decides_hangs_no_child():
    store = PlainStore(8, anew=True)
    ledger = store.ledger([Quota(2, 3600 * S)])
    taken, done = threading.Event(), threading.Event()

    def hold():
        with store.lock:
            taken.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    assert in_child(lambda: ledger.hit(b"a", 1, None).admitted)
    done.set()
    holder.join()


def test_every_place_is_used_and_only_idle_keys_make_room():
    clock = ManualClock()
    with Limiter("1 per 5s", clock=clock, capacity=100) as limiter:
        for number in range(100):
            assert limiter.hit(str(number)).admitted
            clock.advance(1)
        denial = limiter.hit("new")
        assert (denial.admitted, denial.reason, denial.retry_after_ns) == (
            False,
            "full",
            5 * S - 100,
        )
        clock.advance(denial.retry_after_ns)
        assert limiter.hit("new").admitted
        assert limiter.hit("0").reason == "full", "its place is taken"
        assert not limiter.hit("1").admitted, "it is remembered to its last nanosecond"


def test_memory_stays_bounded_whatever_is_hit_and_reset():
    clock = ManualClock()
    with Limiter("1 per 5s", clock=clock, capacity=4) as limiter:
        (table,) = limiter._store._tables.values()
        for number in range(1000):
            for key in ("a", "b", str(number)):
                limiter.reset(key)
                assert limiter.hit(key).admitted
                assert len(table._states) <= 4
                assert len(table._ends) <= 8
            limiter.reset(str(number))


class Readings:
    """A clock whose readings were taken too early, as by a thread that then stood still."""

    def __init__(self, *readings):
        self._readings = iter(readings)

    def now_ns(self):
        return next(self._readings)


def test_the_time_of_a_table_never_goes_back():
    """Waits are counted from the caller's own reading, though."""
    with Limiter("1 per 100ns", clock=Readings(100, 99)) as limiter:
        assert limiter.hit("a").admitted
        assert limiter.hit("a").retry_after_ns == 101, "from 99 to 200"


def test_a_late_reader_does_not_fall_behind_a_key_that_was_forgotten():
    """Its stamps of 50 and 100 are gone since 200: at 199 the one of 100 would count."""
    with Limiter("2 per 100ns", clock=Readings(50, 100, 200, 199, 300), capacity=1) as limiter:
        assert limiter.hit("a").admitted
        assert limiter.hit("a").admitted
        assert limiter.hit("new").admitted, "in the place of a"
        denial = limiter.hit("a")
        assert (denial.reason, denial.retry_after_ns) == ("full", 101), "decided at 200"
        assert limiter.hit("a").admitted


def test_what_a_signal_handler_raises_burns_a_permit_at_worst_and_keeps_no_lock(monkeypatch):
    class Interrupted(Exception):
        pass

    with Limiter("5 per hour; 9 per day") as limiter:
        _, second = limiter._store._tables.values()
        charge = type(second).charge

        def interrupted(table, *arguments):
            if table is second:
                raise Interrupted
            return charge(table, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(type(second), "charge", interrupted)
            with pytest.raises(Interrupted):
                limiter.hit("a")
        assert [state.remaining for state in limiter.peek("a").quotas] == [4, 9]


def lines_of_tables(deed, *, fail_at=0):
    """The number of lines of a table's methods that the deed runs; None if one of them raised."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        if event == "line" and frame.f_code.co_qualname.startswith("_Table."):
            lines += 1
            if lines == fail_at:
                raise InterruptedError
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        deed()
    except InterruptedError:
        return None
    finally:
        sys.settrace(former)
    return lines


def test_what_is_raised_between_any_two_lines_spoils_no_table():
    quota, keys = Quota(1, 10 * S), [b"%d" % number for number in range(6)]
    for line in count(1):
        ledger = PlainStore(3).ledger([quota])
        assert all(ledger.hit(key, 1, S).admitted for key in keys[:3])

        def use(ledger=ledger):
            ledger.reset(keys[0])
            ledger.hit(keys[3], 1, 2 * S)  # in the place of who was reset
            ledger.hit(keys[4], 1, 11 * S)  # in the place of who is idle
            ledger.reset(keys[3])

        told = lines_of_tables(use, fail_at=line)
        admitted = [ledger.hit(key, 1, 30 * S).admitted for key in keys]
        assert admitted == [True] * 3 + [False] * 3, f"after line {line}: room for three"
        if told is not None:
            break
    assert line > 20


def test_a_reset_looks_at_no_other_key():
    def lines(keys):
        ledger = PlainStore(1000).ledger([Quota(1, S)])
        for number in range(keys):
            ledger.hit(b"%d" % number, 1, S)
        return lines_of_tables(lambda: ledger.reset(b"0"))

    assert lines(1000) == lines(1) > 0


def test_a_closed_store_lets_go_of_nothing_twice():
    store = PlainStore(8)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.counters()
