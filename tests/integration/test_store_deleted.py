"""A store that is deleted under its users: they notice within a second, say so, and share one again."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rateproof import Limiter, ManualClock
from rateproof.enforce.counters import Count
from rateproof.enforce.stores.location import directory_of
from rateproof.errors import StoreError
from tests.native_table import wait_for_lines

SECOND_NS = 10**9
LIMIT, WINDOW_NS = 20, 300_000_000

# Reports each admission with the bounds of its instant, until it is told to stop.
HAMMER = """
import os, sys, threading, time
from rateproof import Limiter
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
with Limiter("20 per 300ms; 1000 per 1h", store=sys.argv[1], capacity=100) as limiter:
    print("ready", flush=True)
    while not over.is_set():
        begin = time.monotonic_ns()
        if limiter.hit("a").admitted:
            os.write(1, b"%d %d\\n" % (begin, time.monotonic_ns()))
        time.sleep(0.001)
"""


def most_in_a_window(admitted):
    """The most admissions that certainly lie within a time shorter than the window."""
    ordered = sorted(admitted, key=lambda bounds: bounds[1])
    most = 0
    for index, (_, end_ns) in enumerate(ordered):
        within = [begin for begin, _ in ordered[: index + 1] if begin > end_ns - WINDOW_NS]
        most = max(most, len(within))
    return most


def test_after_a_second_all_processes_keep_one_limit_again(spawn, store):
    def hammer():
        worker = spawn("-c", HAMMER, store, stdin=subprocess.PIPE)
        assert worker.stdout.readline() == "ready\n"
        return worker

    before = [hammer(), hammer()]
    wait_for_lines(before, LIMIT)
    shutil.rmtree(directory_of(store.removeprefix("shm://")))
    deleted_ns = time.monotonic_ns()
    after = hammer()
    time.sleep(max(0, deleted_ns + SECOND_NS - time.monotonic_ns()) / SECOND_NS)
    wait_for_lines([*before, after], LIMIT + 3)  # one of each may have begun before
    reports = [worker.communicate(timeout=60) for worker in [*before, after]]
    lines = "".join(out for out, _ in reports).splitlines()
    admitted = [tuple(map(int, line.split())) for line in lines]
    later = [bounds for bounds in admitted if bounds[0] > deleted_ns + SECOND_NS]
    earlier = [bounds for bounds in admitted if bounds[1] < deleted_ns]
    assert most_in_a_window(later) <= LIMIT
    assert most_in_a_window(earlier) <= LIMIT
    assert most_in_a_window(admitted) <= 2 * LIMIT
    assert min(len(later), len(earlier)) >= LIMIT
    for _, said in reports[:2]:
        assert len(re.findall(r"rateproof: table /\S+ was deleted while it was open", said)) == 2
    assert reports[2][1] == ""
    with Limiter("20 per 300ms; 1000 per 1h", store=store, capacity=100) as limiter:
        counts = limiter.stats().counts
        assert counts[Count.DELETED] >= 2
        # What was admitted on the deleted store is gone with it; all else is in one place.
        since = [bounds for bounds in admitted if bounds[0] > deleted_ns + SECOND_NS]
        assert len(since) <= counts[Count.ADMITTED] <= len(admitted)


@pytest.mark.parametrize("policy", ["3 per 10s", "token-bucket 3 per 10s", "3 per 10s; 100 per 1h"])
def test_who_looks_for_a_deleted_store_charges_it_nothing_more(store, policy):
    """The other process has it for as long as it has seen it just now."""
    clock = ManualClock(10**12)
    options = {"store": store, "clock": clock, "capacity": 100}
    with Limiter(policy, **options) as first, Limiter(policy, **options) as second:
        first.hit("b")
        clock.advance(6 * SECOND_NS // 10)
        assert second.hit("a").remaining == 2
        shutil.rmtree(directory_of(store.removeprefix("shm://")))
        clock.advance(SECOND_NS // 2)
        assert first.hit("a").remaining == 2, "in the new store"
        assert second.hit("a").remaining == 1, "in the deleted one"
        clock.advance(SECOND_NS)
        assert second.hit("a").remaining == 1, "in the new store"


def deletions(server):
    """The count of deleted stores in the metrics."""
    page = server.ask("/metrics")[2]
    return re.search(rb"^rateproof_store_deleted_total (\d+)$", page, re.MULTILINE)[1]


def test_a_server_goes_over_with_all_of_its_workers_and_says_so(start, store):
    server = start("native core, granian", "--workers", 2, "--policy", "5 per 1h")
    assert [server.status("a") for _ in range(6)] == [200] * 5 + [503]
    directory, workers = directory_of(store.removeprefix("shm://")), server.workers(2)
    deadline = time.monotonic() + 60
    while not all(str(directory) in Path(f"/proc/{pid}/maps").read_text() for pid in workers):
        assert time.monotonic() < deadline, "one of them has not opened it yet"
        time.sleep(0.02)
    shutil.rmtree(directory)
    os.kill(min(workers), signal.SIGKILL)
    time.sleep(1)
    deadline = time.monotonic() + 60
    statuses, shown = [], set()
    with ThreadPoolExecutor(8) as pool:  # so that both workers are asked
        while b"1" not in shown or len(statuses) < 40:
            assert time.monotonic() < deadline, shown
            statuses += pool.map(server.status, "aaaaaaaa")
            shown = set(pool.map(deletions, [server] * 8))
    assert statuses.count(200) == 5
    assert max(shown) == b"1"
    assert "was deleted while it was open" in server.stop()[2]


def test_a_second_limiter_of_the_process_shares_the_new_store_too(store, capfd):
    with Limiter("2 per 1h", store=store) as first:
        assert first.hit("a").admitted
        shutil.rmtree(directory_of(store.removeprefix("shm://")))
        with Limiter("2 per 1h", store=store) as second:
            assert second.hit("a").admitted
            assert second.stats().counts[Count.ADMITTED] == 1
            time.sleep(1)
            assert first.hit("a").admitted
            assert not second.hit("a").admitted
            assert not first.hit("a").admitted
            for limiter in (first, second):
                counts = limiter.stats().counts
                assert (counts[Count.ADMITTED], counts[Count.DENIED]) == (2, 2)
                assert counts[Count.DELETED] == 1
    assert "was deleted while it was open" in capfd.readouterr().err


LOSER = """
import pathlib, shutil, sys
from rateproof import Limiter, ManualClock
clock = ManualClock(10**12)
with Limiter("2 per 1h; 3 per 1h", store=sys.argv[1], clock=clock, capacity=100) as limiter:
    limiter.hit("a")
    shutil.rmtree(pathlib.Path(sys.argv[2]))
    clock.advance(10**9)
    limiter.hit("a")
"""


def test_what_is_said_of_a_deleted_table_is_one_write(store):
    """Else the words of two processes mix in the log of a server."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    folder = directory_of(store.removeprefix("shm://"))
    ours.settimeout(0)  # all is there when the process has ended
    with ours, theirs:
        subprocess.run([sys.executable, "-c", LOSER, store, folder], stderr=theirs, check=True)
        said = [ours.recv(10_000) for _ in range(2)]
    assert all(re.fullmatch(rb"rateproof: table /.* is there now\n", each) for each in said)


def test_counters_without_tables_are_shared_again_within_a_second(store, capfd):
    """As those of a server whose limits are in Redis."""
    folder = directory_of(store.removeprefix("shm://"))
    with Limiter("9 per 1h", counters=store) as first:
        first.hit("a")
        shutil.rmtree(folder)
        time.sleep(1)
        first.hit("a")
        with Limiter("9 per 1h", counters=store) as second:
            assert second.stats().counts[Count.ADMITTED] == 1
            assert second.stats().counts[Count.DELETED] == 1
            shutil.rmtree(folder)
            with Limiter("9 per 1h", counters=store) as third:
                third.hit("a")
                time.sleep(1)
                first.hit("a")
                assert third.stats().counts[Count.ADMITTED] == 2
    assert "rateproof: counters /" in capfd.readouterr().err


def test_a_table_that_cannot_be_made_again_is_an_error_that_is_counted(store):
    quotas = ["2 per 1h", "3 per 1h"]
    with Limiter("; ".join(quotas), store=store) as limiter:
        limiter.hit("a")
        (file,) = directory_of(store.removeprefix("shm://")).glob("sliding-log-2-*")
        file.unlink()
        file.mkdir()
        try:
            time.sleep(1)
            for _ in range(2):
                with pytest.raises(StoreError, match="was deleted while it was open"):
                    limiter.hit("a")
            stats = limiter.stats()
            assert stats.counts[Count.ERROR] == 2
            assert [str(quota) for quota in stats.tables] == quotas[1:]
            assert [str(quota) for quota in stats.unreadable] == quotas[:1]
        finally:
            file.rmdir()
        assert limiter.peek("a").quotas[1].remaining == 2, "the other table was charged in vain"
        assert limiter.hit("a").quotas[0].remaining == 1


@pytest.mark.parametrize("kept", ["file", "folder"])
def test_a_store_that_was_moved_away_counts_until_there_is_another_one(store, kept):
    folder = directory_of(store.removeprefix("shm://"))
    with Limiter("3 per 1h", store=store) as first:
        assert first.hit("a").admitted
        moved = folder.with_name(f"{folder.name}-moved")
        try:
            if kept == "folder":
                folder.rename(moved)
            else:
                moved.mkdir()
                for each in folder.iterdir():
                    each.rename(moved / each.name)
            time.sleep(1)
            assert first.hit("a").remaining == 1
            with Limiter("3 per 1h", store=store) as second:
                assert second.hit("a").remaining == 2
                time.sleep(1)
                assert first.hit("a").remaining == 1
        finally:
            shutil.rmtree(moved)
