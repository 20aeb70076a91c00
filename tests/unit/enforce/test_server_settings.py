"""Settings that cannot work are refused before anything starts."""

import pickle

import pytest

from rateproof.enforce.server import ServerSettings
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy


def test_workers_that_would_each_count_alone_are_refused():
    with pytest.raises(InvalidArgument, match="cannot share"):
        ServerSettings.told(store="memory://", workers=2)
    assert ServerSettings.told(store="memory://").worker_count == 1
    assert ServerSettings.told(store="memory://", workers=1).worker_count == 1


def test_there_is_a_worker_a_core_by_default(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert ServerSettings.told().worker_count == 3
    monkeypatch.setattr("os.cpu_count", lambda: 1000)
    assert ServerSettings.told().worker_count == 256
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert ServerSettings.told().worker_count == 1


def test_the_default_store_derives_from_the_port(monkeypatch):
    monkeypatch.setenv("RATEPROOF_CORE", "native")
    assert ServerSettings.told(port=8081).location == "shm://server-8081"
    assert ServerSettings.told(store="shm://mine").location == "shm://mine"


def test_without_the_native_core_one_worker_counts_in_memory(monkeypatch):
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert (ServerSettings.told().location, ServerSettings.told().worker_count) == ("memory://", 1)
    with pytest.raises(InvalidArgument, match="2 workers with memory://") as refused:
        ServerSettings.told(workers=2)
    assert "native core" in refused.value.hint
    on_redis = ServerSettings.told(workers=2, store="redis://h")
    assert (on_redis.worker_count, on_redis.counters) == (2, None)


@pytest.mark.parametrize(
    ("store", "shown"),
    [
        (None, "shm://server-8080"),
        ("memory://", "memory://"),
        ("redis://app:secret@h:1/2?timeout=1s", "redis://h:1/2"),
        ("rediss+cluster://:secret@h:1,i:2", "rediss+cluster://h:1,i:2"),
        ("unix:///run/redis?password=secret@", "unix://..."),
    ],
)
def test_a_store_is_shown_without_its_password(store, shown, monkeypatch):
    monkeypatch.setenv("RATEPROOF_CORE", "native")
    assert ServerSettings.told(store=store).shown_location == shown


@pytest.mark.parametrize(
    "store", ["redis+sentinel://:secret@h", "redis:secret@h", "redis://:se#cret@h"]
)
def test_a_store_that_cannot_be_is_named_without_its_password(store):
    with pytest.raises(InvalidArgument, match="redis://") as refused:
        ServerSettings.told(store=store)
    assert "cret" not in str(refused.value)


def test_settings_reach_a_process_that_does_not_inherit_them():
    settings = ServerSettings.told(
        policy=Policy.parse("5 per 5s; 9 per 1m"), key=KeySpec.parse("ip+path|header:a"), port=1
    )
    assert pickle.loads(pickle.dumps(settings)) == settings
