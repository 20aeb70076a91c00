"""The lock excludes threads and processes, and outlives nobody."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import locks
from rateproof.enforce.stores.locks import open_lock, private_lock
from rateproof.errors import StoreError

TRY = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(3)
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.05)


def held_here(file) -> bool:
    """Whether another process finds the lock taken."""
    return subprocess.run([sys.executable, "-c", TRY, file], check=False).returncode == 3


def test_another_process_is_kept_out_until_the_end_of_the_block(file):
    lock = open_lock(file)
    with lock.held() as held:
        assert held
        assert held_here(file)
    assert not held_here(file)
    lock.close()


def test_opening_and_closing_it_again_in_this_process_does_not_drop_it(file):
    """POSIX drops a process's locks when any descriptor of the file is closed."""
    first = open_lock(file)
    before = open_descriptors()
    second = open_lock(file)
    assert first is second
    assert open_descriptors() == before
    with first.held():
        second.close()
        assert held_here(file)
    first.close()


def test_opening_it_while_it_is_held_neither_waits_nor_drops_it(file):
    lock = open_lock(file)
    with lock.held():
        assert open_lock(file) is lock
        lock.share().close()
        lock.close()
        assert held_here(file)
    lock.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("make", [open_lock, lambda _: private_lock()], ids=["named", "private"])
def test_threads_exclude_each_other_within_bounds(file, make):
    lock = make(file)
    seen = []

    def attempt():
        with lock.held() as held:
            seen.append(held)

    with lock.held():
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    attempt()
    assert seen == [False, True]
    lock.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("make", [open_lock, lambda _: private_lock()], ids=["named", "private"])
def test_a_forked_child_and_its_parent_exclude_each_other(file, make):
    """Also when a thread held the lock at the fork: the child has neither it nor its mutex."""
    lock = make(file)
    entered, leave = threading.Event(), threading.Event()
    reader, writer = os.pipe()

    def hold():
        with lock.held():
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    child = os.fork()
    if child == 0:
        with lock.held() as held:
            os.write(writer, b"first %d\n" % held)
        for _ in range(100):
            with lock.held() as held:
                if held:
                    os._exit(11)
        os._exit(10)
    assert os.read(reader, 20) == b"first 0\n"
    leave.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
    lock.close()
    os.close(reader)
    os.close(writer)


def test_the_last_user_closes_it_and_later_use_is_an_error(file):
    lock = open_lock(file)
    again = open_lock(file)
    lock.close()
    with again.held() as held:
        assert held
    again.close()
    with pytest.raises(StoreError, match="closed"), lock.held():
        pass
    assert open_lock(file) is not lock


def open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_a_private_lock_that_is_forgotten_leaves_no_descriptor():
    before = open_descriptors()
    for _ in range(10):
        private_lock()
    assert open_descriptors() == before


@pytest.mark.usefixtures("impatient")
def test_a_holder_that_does_not_go_on_blocks_nobody(monkeypatch, shm_name):
    """A stopped process keeps its lock: others are denied in bounded time, whatever `on_full`.

    Who may not look knows of no key whether it is known, and its quota used up.
    """
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    store = f"shm://{shm_name}"
    holder = (
        "import os, sys; from rateproof.enforce.stores.location import enter\n"
        f"with enter({shm_name!r}):\n    print('held', flush=True); sys.stdin.read()"
    )
    with (
        Limiter("1 per hour", store=store) as deny,
        Limiter("1 per hour", store=store, on_full="admit") as admit,
        subprocess.Popen(
            [sys.executable, "-c", holder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout.readline() == "held\n"
        for decide in (deny.hit, deny.peek, admit.hit, admit.peek):
            decision = decide("a")
            assert (decision.admitted, decision.reason) == (False, "full")
        with pytest.raises(StoreError, match="stays locked"):
            deny.reset("a")
        with pytest.raises(StoreError, match="stays locked"):
            Limiter("1 per hour", store=store)
        process.stdin.close()
        process.wait()
        assert (deny.hit("a").admitted, deny.hit("a").reason) == (True, "quota")
