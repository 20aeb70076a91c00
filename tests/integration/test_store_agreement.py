"""The tables of both cores, in memory and in files, keep every claim on stores."""

import pytest

from rateproof.enforce.stores import open_store, remove
from rateproof.testing import StoreAgreement, StoreRaces


class Tables(StoreAgreement, StoreRaces):
    core = "native"
    rounds = 2000

    @pytest.fixture(autouse=True)
    def forced(self, monkeypatch):
        monkeypatch.setenv("RATEPROOF_CORE", self.core)

    def open_store(self, name, capacity):
        return open_store(f"shm://{name}" if self.shared else "memory://", capacity)

    def remove_store(self, name):
        if self.shared:
            remove(name)


class TestNativeMemory(Tables):
    pass


class TestNativeFiles(Tables):
    shared = True


class TestReferenceMemory(Tables):
    core = "python"


class TestReferenceFiles(TestReferenceMemory):
    shared = True


@pytest.mark.slow
class TestNativeFilesAtLength(TestNativeFiles):
    schedules = 500
