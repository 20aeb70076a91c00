"""Our tables, plain ones in memory and native ones in memory and in files, keep every claim."""

import pytest

from rateproof.enforce.stores import open_store, remove
from rateproof.testing import StoreAgreement, StoreRaces


class Tables:
    core = "native"
    rounds = 150

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


@pytest.mark.slow
class TestNativeFilesAtLength(TestNativeFiles):
    schedules = 200
    rounds = 1_500
