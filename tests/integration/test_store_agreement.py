"""Our tables, plain ones in memory and native ones in memory and in files, keep every claim."""

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


class TestPlain(Tables):
    core = "python"


@pytest.mark.slow
class TestNativeFilesAtLength(TestNativeFiles):
    schedules = 500
