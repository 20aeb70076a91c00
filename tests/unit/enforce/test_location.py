"""Stores have places that only their user can reach, and that two cores never share."""

import dis
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rateproof import linux
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import location, open_store, remove
from rateproof.enforce.stores.location import directory_of, locked_folder, parse_url
from rateproof.errors import InvalidArgument, StoreError, StoreMismatch
from rateproof.policy import Quota


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


def test_the_directory_and_its_files_are_for_their_user_only(shm_name):
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
        "counters.native": 0o600,
        "sliding-log-1-5000000000.native": 0o600,
        "sliding-log-2-1.native": 0o600,
    }


def test_removing_leaves_nothing_and_says_whether_there_was_something(shm_name):
    assert remove(shm_name) is False
    Limiter("1 per 5s", store=f"shm://{shm_name}").close()
    assert remove(shm_name) is True
    assert not directory_of(shm_name).exists()


def test_who_waited_while_a_store_was_removed_makes_it_anew(monkeypatch, shm_name):
    """Else it would decide on a file that nobody else finds."""
    with ThreadPoolExecutor(1) as pool:
        waits = threading.Event()
        monkeypatch.setattr(location.time, "sleep", lambda _: waits.set())
        monkeypatch.setattr(location, "PATIENCE_S", 60)
        with locked_folder(shm_name):
            opening = pool.submit(Limiter, "1 per hour", store=f"shm://{shm_name}")
            waits.wait()
            (directory_of(shm_name) / "lock").unlink()
            directory_of(shm_name).rmdir()
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


FILES = ["lock", "sliding-log-1-5000000000.native", "counters.native"]


@pytest.mark.parametrize("file", FILES)
def test_a_link_inside_the_directory_is_not_followed(tmp_path, shm_name, file):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory_of(shm_name).mkdir(mode=0o700)
    (directory_of(shm_name) / file).symlink_to(victim)
    with pytest.raises(StoreError, match=file):
        Limiter("1 per 5s", store=f"shm://{shm_name}")
    assert victim.read_text() == "precious"
    (directory_of(shm_name) / file).unlink()


@pytest.mark.parametrize("file", FILES)
def test_what_is_no_regular_file_is_refused_by_name(shm_name, file):
    """A FIFO would be waited for, or taken for a table that is not made yet."""
    directory_of(shm_name).mkdir(mode=0o700)
    os.mkfifo(directory_of(shm_name) / file, 0o600)
    with pytest.raises(StoreError, match=rf"{file}.* not a regular file"):
        Limiter("1 per 5s", store=f"shm://{shm_name}")
    (directory_of(shm_name) / file).unlink()


def test_without_dev_shm_the_temporary_folder_serves(monkeypatch, tmp_path, shm_name):
    monkeypatch.setattr(linux, "SHARED_MEMORY", tmp_path / "missing")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    with Limiter("1 per 5s", store=f"shm://{shm_name}") as limiter:
        assert directory_of(shm_name).parent == tmp_path
        assert limiter.hit("a").admitted
    assert remove(shm_name)


def test_a_store_that_the_python_core_once_wrote_is_refused_by_name(shm_name):
    """It counts what no table of today knows. It can be removed."""
    directory_of(shm_name).mkdir(mode=0o700)
    (directory_of(shm_name) / "sliding-log-1-5000000000.python").touch()
    with pytest.raises(StoreError, match=r"sliding-log-1-5000000000\.python") as refused:
        Limiter("2 per hour", store=f"shm://{shm_name}")
    assert f"remove('{shm_name}')" in refused.value.hint
    assert remove(shm_name)


def test_a_store_that_goes_while_it_is_looked_through_is_made_anew(monkeypatch, shm_name):
    glob = Path.glob

    def meanwhile(folder, _):
        monkeypatch.setattr(Path, "glob", glob)
        remove(shm_name)
        return folder.iterdir()

    Limiter("1 per 5s", store=f"shm://{shm_name}").close()
    monkeypatch.setattr(Path, "glob", meanwhile)
    with Limiter("1 per 5s", store=f"shm://{shm_name}") as limiter:
        assert limiter.hit("a").admitted


def test_a_table_of_another_capacity_names_both(shm_name):
    with Limiter("1 per 5s", store=f"shm://{shm_name}", capacity=4096) as limiter:
        with pytest.raises(StoreMismatch, match=r"(?s)4096.*8192|8192.*4096"):
            Limiter("1 per 5s", store=f"shm://{shm_name}", capacity=8192)
        assert limiter.hit("a").admitted


def test_a_truncated_or_foreign_table_is_refused_and_left_as_it_is(shm_name):
    store = f"shm://{shm_name}"
    Limiter("1 per 5s", store=store).close()
    table = directory_of(shm_name) / "sliding-log-1-5000000000.native"
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


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(location, "PATIENCE_S", 0.05)


def locks_in_a_thread(name):
    """Say whether another thread gets the lock."""
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(locked_folder, name).result().close()
        except StoreError:
            return False
    return True


@pytest.mark.usefixtures("impatient")
def test_threads_exclude_each_other_within_bounds(shm_name):
    with locked_folder(shm_name):
        assert not locks_in_a_thread(shm_name)
    assert locks_in_a_thread(shm_name)


@pytest.mark.usefixtures("impatient")
def test_a_forked_child_keeps_no_lock_of_a_thread_that_it_does_not_have(shm_name):
    reader, writer = os.pipe()
    lock = locked_folder(shm_name)
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # until the parent has gone on
        os._exit(0)
    os.close(reader)
    try:
        assert not locks_in_a_thread(shm_name), "the child's copy is no release"
        lock.close()
        assert locks_in_a_thread(shm_name), "the child has no part in it"
    finally:
        os.close(writer)
        os.waitpid(child, 0)


@pytest.mark.usefixtures("impatient")
def test_a_holder_that_does_not_go_on_makes_opening_an_error_and_removing_too(shm_name):
    holder = (
        "import sys; from rateproof.enforce.stores.location import locked_folder\n"
        f"with locked_folder({shm_name!r}):\n    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        for deed in (
            lambda: Limiter("1 per hour", store=f"shm://{shm_name}"),
            lambda: remove(shm_name),
        ):
            with pytest.raises(StoreError, match="stays locked"):
                deed()
        process.kill()
    Limiter("1 per hour", store=f"shm://{shm_name}").close()


class Interrupted(Exception):
    pass


def test_what_a_signal_handler_raises_wherever_it_is_called_keeps_no_lock(shm_name):
    """CPython calls handlers when a function is entered, after a call, and when a loop goes on."""

    def interrupted_at(number):
        left = number
        before = {}

        def trace(frame, event, _):
            nonlocal left
            if frame.f_code.co_filename != location.__file__:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
                left -= before.get(id(frame), "").startswith("CALL") or name in {
                    "RESUME",
                    "JUMP_BACKWARD",
                }
                before[id(frame)] = name
                if left == 0:
                    raise Interrupted
            return trace

        return trace

    kept = []
    for number in range(1, 1000):
        sys.settrace(interrupted_at(number))
        try:
            locked_folder(shm_name).close()
            break
        except Interrupted as error:
            sys.settrace(None)
            kept.append(error)  # with its frames, as a test or a logger may keep it
            locked_folder(shm_name).close()
        finally:
            sys.settrace(None)
    assert len(kept) > 20


def test_who_closes_while_another_thread_cannot_open_is_told_so_in_time(shm_name):
    store = open_store(f"shm://{shm_name}")
    with locked_folder(shm_name), ThreadPoolExecutor(1) as pool:
        opening = pool.submit(store.ledger, [Quota(5, 10**9)])
        while not store._mutex.locked():
            time.sleep(0.001)
        with pytest.raises(StoreError, match="another thread opens it"):
            store.close()
        with pytest.raises(StoreError, match="stays locked"):
            opening.result()
    store.close()
