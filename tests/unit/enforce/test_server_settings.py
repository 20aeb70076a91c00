"""Settings that cannot work are refused before anything starts."""

import pickle

import pytest

from rateproof.enforce.server import ServerSettings
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", 399),
        ("status", 600),
        ("workers", 0),
        ("workers", -1),
        ("workers", 257),
        ("port", -1),
        ("port", 65_536),
        ("host", ""),
    ],
)
def test_a_value_out_of_bounds_is_named(name, value):
    with pytest.raises(InvalidArgument) as refused:
        ServerSettings(**{name: value})
    assert str(value) in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("name", "value"), [("status", 400), ("status", 599), ("workers", 256), ("port", 65_535)]
)
def test_the_bounds_themselves_are_accepted(name, value):
    assert getattr(ServerSettings(**{name: value}), name) == value


def test_workers_that_would_each_count_alone_are_refused():
    with pytest.raises(InvalidArgument, match="cannot share"):
        ServerSettings(store="memory://", workers=2)
    assert ServerSettings(store="memory://").worker_count == 1
    assert ServerSettings(store="memory://", workers=1).worker_count == 1


def test_there_is_a_worker_a_core_by_default(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert ServerSettings().worker_count == 3
    monkeypatch.setattr("os.cpu_count", lambda: 1000)
    assert ServerSettings().worker_count == 256
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert ServerSettings().worker_count == 1


def test_the_default_store_derives_from_the_port_and_the_core(monkeypatch):
    monkeypatch.setattr("rateproof.enforce.server.settings.active_core", lambda: "native")
    assert ServerSettings(port=8081).location == "shm://server-8081"
    monkeypatch.setattr("rateproof.enforce.server.settings.active_core", lambda: "python")
    assert ServerSettings(port=8081).location == "shm://server-8081-python"
    assert ServerSettings(store="shm://mine").location == "shm://mine"


def test_settings_reach_a_process_that_does_not_inherit_them():
    settings = ServerSettings(
        policy=Policy.parse("5 per 5s; 9 per 1m"), key=KeySpec.parse("ip+path|header:a"), port=1
    )
    assert pickle.loads(pickle.dumps(settings)) == settings
