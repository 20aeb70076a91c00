"""Our tables, plain ones in memory and native ones in memory and in files, keep every claim."""

import pytest

from rateproof.enforce.stores import open_store, remove
from rateproof.testing import StoreAgreement, StoreRaces


class Tables:
    core = "native"
    rounds, schedules = 50, 10

    @pytest.fixture(autouse=True)
    def forced(self, monkeypatch):
        monkeypatch.setenv("RATEPROOF_CORE", self.core)

    def open_store(self, name, capacity):
        return open_store(f"shm://{name}" if self.shared else "memory://", capacity)

    def remove_store(self, name):
        if self.shared:
            remove(name)


class TestNativeMemory(Tables, StoreAgreement, StoreRaces):
    pass


class TestNativeFiles(Tables, StoreAgreement, StoreRaces):
    shared = True


class TestPlain(Tables, StoreAgreement, StoreRaces):
    core = "python"


class AtLength:
    rounds, schedules = 1_000, 100


@pytest.mark.slow
class TestNativeMemoryAtLength(AtLength, TestNativeMemory):
    pass


@pytest.mark.slow
class TestNativeFilesAtLength(AtLength, TestNativeFiles):
    pass


@pytest.mark.slow
class TestPlainAtLength(AtLength, TestPlain):
    pass
