"""Stores have places that only their user can reach, and that two cores never share."""

import os
import stat
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import location, remove
from rateproof.enforce.stores.location import directory_of, enter, parse_url
from rateproof.errors import InvalidArgument, StoreError, StoreMismatch


@pytest.mark.parametrize("name", ["a", "api-8080", "A.b_c", "x" * 64])
def test_a_name_is_taken_as_it_is(name):
    assert parse_url(f"shm://{name}") == name


@pytest.mark.parametrize(
    "url",
    [
        "", "api", "rediss:/api", "shm:/api", "SHM://api", "memory", "shm://", "shm://a/b",
        "shm:///etc", "shm://..", "shm://.hidden", "shm://a b", "shm://é", "shm://a\n",
        "shm://a\0", "shm://" + "x" * 65, "memory://a",
    ],
)  # fmt: skip
def test_any_other_store_is_refused_with_the_accepted_form(url):
    with pytest.raises(InvalidArgument) as caught:
        Limiter("1 per 5s", store=url)
    assert repr(url) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["", "a/b", "..", "/"])
def test_only_names_can_be_removed(name):
    with pytest.raises(InvalidArgument):
        remove(name)


def test_the_directory_and_its_files_are_for_their_user_only(core, shm_name):
    previous = os.umask(0)
    try:
        Limiter("1 per 5s; 2 per 1ns", store=f"shm://{shm_name}").close()
    finally:
        os.umask(previous)
    directory = directory_of(shm_name)
    assert directory.name == f"rateproof-{os.geteuid()}-{shm_name}"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {
        "lock": 0o600,
        f"counters.{core}": 0o600,
        f"sliding-log-1-5000000000.{core}": 0o600,
        f"sliding-log-2-1.{core}": 0o600,
    }


@pytest.mark.usefixtures("core")
def test_removing_leaves_nothing_and_says_whether_there_was_something(shm_name):
    assert remove(shm_name) is False
    Limiter("1 per 5s", store=f"shm://{shm_name}").close()
    assert remove(shm_name) is True
    assert not directory_of(shm_name).exists()


@pytest.mark.usefixtures("core")
def test_who_waited_while_a_store_was_removed_makes_it_anew(shm_name):
    """Else it would decide on a file that nobody else finds."""
    with ThreadPoolExecutor(1) as pool:
        with enter(shm_name) as place:
            opening = pool.submit(Limiter, "1 per hour", store=f"shm://{shm_name}")
            while place.lock.users < 2:
                time.sleep(0.001)
            (place.directory / "lock").unlink()
            place.directory.rmdir()
        with opening.result(), Limiter("1 per hour", store=f"shm://{shm_name}") as other:
            assert opening.result().hit("a").admitted
            assert not other.hit("a").admitted


def test_a_directory_of_somebody_else_is_refused(monkeypatch, shm_name):
    monkeypatch.setattr(location.os, "geteuid", lambda: 54_321)
    directory_of(shm_name).mkdir(mode=0o700)
    try:
        with pytest.raises(StoreError, match=r"belongs to user .* not to 54321"):
            Limiter("1 per 5s", store=f"shm://{shm_name}")
    finally:
        directory_of(shm_name).rmdir()


def test_a_link_a_file_and_a_directory_open_to_others_are_refused(tmp_path, shm_name):
    directory = directory_of(shm_name)
    store = f"shm://{shm_name}"
    tmp_path.chmod(0o700)
    directory.symlink_to(tmp_path)
    with pytest.raises(StoreError, match="is not a directory"):
        Limiter("1 per 5s", store=store)
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="is not a directory"):
        remove(shm_name)
    directory.unlink()
    directory.touch()
    with pytest.raises(StoreError, match="is not a directory"):
        Limiter("1 per 5s", store=store)
    directory.unlink()
    directory.mkdir()
    directory.chmod(0o750)
    with pytest.raises(StoreError, match=r"is open to others \(mode 750, not 700\)"):
        Limiter("1 per 5s", store=store)
    directory.rmdir()


@pytest.mark.parametrize("file", ["lock", "sliding-log-1-5000000000.python"])
def test_a_link_inside_the_directory_is_not_followed(monkeypatch, tmp_path, shm_name, file):
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory_of(shm_name).mkdir(mode=0o700)
    (directory_of(shm_name) / file).symlink_to(victim)
    with pytest.raises(StoreError, match="cannot use"):
        Limiter("1 per 5s", store=f"shm://{shm_name}")
    assert victim.read_text() == "precious"
    (directory_of(shm_name) / file).unlink()


@pytest.mark.usefixtures("core")
def test_without_dev_shm_the_temporary_folder_serves(monkeypatch, tmp_path, shm_name):
    monkeypatch.setattr(location, "_SHM_FOLDER", tmp_path / "missing")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    with Limiter("1 per 5s", store=f"shm://{shm_name}") as limiter:
        assert directory_of(shm_name).parent == tmp_path
        assert limiter.hit("a").admitted
    assert remove(shm_name)


@pytest.mark.parametrize(("first", "second"), [("python", "native"), ("native", "python")])
def test_the_two_cores_never_share_a_quota(monkeypatch, shm_name, first, second):
    """Each would admit it in full. Other quotas of the same name are free to either core."""
    store = f"shm://{shm_name}"
    monkeypatch.setenv("RATEPROOF_CORE", first)
    with Limiter("1 per 5s", store=store):
        monkeypatch.setenv("RATEPROOF_CORE", second)
        with pytest.raises(StoreMismatch, match=r"native core.*python core|python.*native"):
            Limiter("9 per 5s; 1 per 5s", store=store)
        with Limiter("2 per 5s", store=store) as other:
            assert other.hit("a").admitted


@pytest.mark.usefixtures("core")
def test_a_table_of_another_capacity_names_both(shm_name):
    with Limiter("1 per 5s", store=f"shm://{shm_name}", capacity=4096) as limiter:
        with pytest.raises(StoreMismatch, match=r"(?s)4096.*8192|8192.*4096"):
            Limiter("1 per 5s", store=f"shm://{shm_name}", capacity=8192)
        assert limiter.hit("a").admitted


def test_a_truncated_or_foreign_table_is_refused_and_left_as_it_is(core, shm_name):
    store = f"shm://{shm_name}"
    Limiter("1 per 5s", store=store).close()
    table = directory_of(shm_name) / f"sliding-log-1-5000000000.{core}"
    whole = table.read_bytes()
    for damaged in (whole[:-8], whole[:4096], whole[:50], b"PAR1" + whole[4:], b"hello"):
        table.write_bytes(damaged)
        with pytest.raises(StoreMismatch, match=table.name):
            Limiter("1 per 5s", store=store)
        assert table.read_bytes() == damaged
    table.write_bytes(whole)
    Limiter("1 per 5s", store=store).close()


def test_removing_while_others_open_never_fails(monkeypatch, shm_name):
    """Somebody who waits to enter makes the lock's file anew, between two steps of removing."""
    directory = directory_of(shm_name)
    rmdir = Path.rmdir

    def meanwhile(path):
        monkeypatch.setattr(Path, "rmdir", rmdir)
        (path / "lock").touch(mode=0o600)
        rmdir(path)

    Limiter("5 per 5s", store=f"shm://{shm_name}").close()
    monkeypatch.setattr(Path, "rmdir", meanwhile)
    assert remove(shm_name)
    assert not directory.exists()
