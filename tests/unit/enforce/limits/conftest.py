"""The tables behind a storage for `limits`, of either core and place, on a manual clock."""

from uuid import uuid4

import pytest

from rateproof import ManualClock
from rateproof.enforce import limits_storage
from rateproof.enforce.limits_storage import LimitsTables
from rateproof.enforce.stores import remove

KINDS = [("python", "memory"), ("native", "memory"), ("native", "shm")]
S = 1_000_000_000


class ClockedStore:
    """A store whose own clock is a manual one: its ledgers' `None` is what that reads."""

    def __init__(self, store, clock):
        self.store, self.clock = store, clock

    def __getattr__(self, name):
        return getattr(self.store, name)

    def ledger(self, quotas):
        return ClockedLedger(self.store.ledger(quotas), self.clock)


class ClockedLedger:
    def __init__(self, ledger, clock):
        self.ledger, self.clock = ledger, clock
        self.clear, self.reset, self.slots = ledger.clear, ledger.reset, ledger.slots

    def sample(self, index, _, turn, count):
        return self.ledger.sample(index, self.clock.now_ns(), turn, count)

    def __getattr__(self, name):
        method = getattr(self.ledger, name)

        def clocked(*arguments):
            *others, now_ns = arguments
            return method(*others, self.clock.now_ns() if now_ns is None else now_ns)

        return clocked


class Clock(ManualClock):
    """In place of the module `time`: both clocks that a storage reads."""

    def time(self):
        return 1_800_000_000 + self.now_ns() / S

    monotonic_ns = ManualClock.now_ns


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(1000 * S)
    monkeypatch.setattr(limits_storage, "time", clock)
    return clock


@pytest.fixture(params=KINDS, ids="-".join)
def url(request, monkeypatch):
    core, kind = request.param
    monkeypatch.setenv("RATEPROOF_CORE", core)
    name = f"test-{uuid4().hex}"
    yield f"shm://{name}" if kind == "shm" else "memory://"
    remove(name)


@pytest.fixture
def open_tables_at(clock):
    """Open the tables of a storage at a URL."""
    opened = []

    def start(url, capacity=64):
        tables = LimitsTables(url, capacity)
        tables._store = ClockedStore(tables._store, clock)
        opened.append(tables)
        return tables

    yield start
    for tables in opened:
        tables._store.close()


@pytest.fixture
def tables(url, open_tables_at):
    return open_tables_at(url)
