"""`rateproof store`: which stores there are, who has them open, and their removal."""

import json
import time

import pytest

from rateproof import Limiter
from rateproof.cli import main
from rateproof.enforce import upkeep
from rateproof.enforce.stores import listing
from rateproof.enforce.stores.location import directory_of

HOLDER = """
import sys
from rateproof import Limiter
limiter = Limiter("5 per 1h; 9 per 2h", store=sys.argv[1], capacity=100)
limiter.hit("a"); limiter.hit("b")
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def name(store):
    return store.removeprefix("shm://")


@pytest.fixture
def holder(spawn, store):
    """A process that has the store open."""
    process = spawn("-c", HOLDER, store, stdin=-1)
    assert process.stdout.readline() == "open\n"
    return process


def test_a_store_is_shown_with_its_quotas_keys_and_processes(name, holder, capsys):
    assert main(["store", "show", name, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["name"] == name
    assert shown["processes"] == [holder.pid]
    assert 0 <= shown["age_s"] < 60
    tables = {table["quota"]: table for table in shown["tables"]}
    assert {table["live"] for table in tables.values()} == {2}
    assert {table["capacity"] for table in tables.values()} == {100}
    assert sorted(tables) == ["5 per 1h", "9 per 2h"]
    assert shown["size"] >= sum(table["size"] for table in shown["tables"]) > 20_000
    assert main(["store", "show", f"shm://{name}"]) == 0, "the name as it is listed"
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith(f"shm://{name}: ")
    assert head.endswith(f" old, open in process {holder.pid}")
    assert sorted(line.split(", ")[0] for line in lines) == [
        "  5 per 1h: 2 live keys of 100",
        "  9 per 2h: 2 live keys of 100",
    ]


def test_without_the_native_core_the_count_is_not_known(name, store, capsys, monkeypatch):
    Limiter("5 per 1h", store=store).close()
    monkeypatch.setattr(listing, "native", lambda: None)
    assert main(["store", "show", name]) == 0
    assert "  5 per 1h: live keys not known (the native core is" in capsys.readouterr().out


def test_the_table_of_new_clients_by_address_is_named(name, store, capsys):
    with Limiter("5 per 1h; 9 per 2h", store=store, capacity=5_000) as limiter:
        assert limiter.hit("a").admitted
        limiter.room().take(b"192.0.2.1")
        assert main(["store", "show", name]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split(" of ")[0] for line in lines) == [
        "  5 per 1h: 1 live key",
        "  9 per 2h: 1 live key",
        "  new clients by address: 1 live key",
    ]


def test_all_stores_of_the_user_are_listed(name, holder, capsys):
    assert main(["store", "ls", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["processes"] for each in listed if each["name"] == name] == [[holder.pid]]


@pytest.mark.usefixtures("holder")
def test_a_store_that_is_removed_while_stores_are_listed_is_left_out(name, monkeypatch, capsys):
    monkeypatch.setattr(upkeep, "stored_names", lambda: ["gone", name])
    assert main(["store", "ls", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["name"] == name


def test_a_store_in_use_is_removed_only_by_force(name, holder, capsys):
    assert main(["store", "rm", name]) == 73
    said = capsys.readouterr().err
    assert f"is open in process {holder.pid}" in said
    assert "--force" in said
    assert directory_of(name).exists()
    assert main(["store", "rm", name, "--force"]) == 0
    assert not directory_of(name).exists()


def test_a_store_that_nobody_has_open_is_removed(name, store, capsys):
    Limiter("5 per 1h", store=store).close()
    assert main(["store", "show", name]) == 0
    assert "old, in no process" in capsys.readouterr().out
    assert main(["store", "rm", name]) == 0
    assert not directory_of(name).exists()
    assert main(["store", "rm", name]) == 64
    assert "there is no store" in capsys.readouterr().err


def test_a_store_that_was_made_again_by_those_who_use_it_is_listed(name, store, capsys):
    with Limiter("5 per 1h", store=store) as limiter:
        limiter.hit("a")
        assert main(["store", "rm", name]) == 0
        time.sleep(1)
        assert limiter.hit("a").remaining == 4
        assert main(["store", "ls", "--json"]) == 0
        listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (found,) = (each for each in listed if each["name"] == name)
        assert [table["live"] for table in found["tables"]] == [1]


def test_looking_at_a_store_changes_nothing(name, store):
    with Limiter("2 per 1h", store=store) as limiter:
        limiter.hit("a")
        for _ in range(3):
            assert main(["store", "show", name]) == 0
        assert limiter.hit("a").admitted
        assert not limiter.hit("a").admitted


def test_a_table_that_cannot_be_opened_is_named(name, store, capsys):
    Limiter("5 per 1h", store=store).close()
    (file,) = directory_of(name).glob("sliding-log-*")
    file.write_bytes(b"hello")
    assert main(["store", "show", name]) == 0
    assert "5 per 1h: live keys not known (limit is 0), 0.0 kB" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["ls", "a"], ["show"], ["rm"], ["rm", "../x"], ["drop", "a"]])
def test_what_cannot_be_meant_is_refused(words, capsys):
    assert main(["store", *words]) == 64
    assert "hint: " in capsys.readouterr().err
