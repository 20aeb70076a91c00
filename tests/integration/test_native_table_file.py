"""The native table's file and arguments: what is made, what is refused, and by what name."""

import fcntl
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rateproof._native import Table, hit_all
from rateproof.errors import InvalidArgument, NeverPossible, StoreError, StoreMismatch
from tests.native_table import HOUR_NS, admissions, hit, peek, sliding_log

SECOND_NS = 10**9

# Where words of the header stand, 8 bytes each in the machine's order.
READY, BOOT, NAMESPACE = 8, 56, 104


@contextmanager
def over_at_the_end(over: threading.Event):
    """Whatever happens, tell a thread that it is over."""
    try:
        yield
    finally:
        over.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table"


def test_the_file_is_for_its_owner_alone_whatever_the_umask(path):
    before = os.umask(0)
    try:
        sliding_log(path, 5, HOUR_NS, 100)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_block_of_the_file_is_reserved_when_it_is_made(path):
    """Else a full file system would be a SIGBUS at some later hit."""
    sliding_log(path, 5, HOUR_NS, 10_000)
    made = path.stat()
    assert made.st_blocks * 512 >= made.st_size > 1_000_000


def test_what_was_counted_is_there_after_everybody_has_gone(path):
    assert admissions(sliding_log(path, 5, HOUR_NS, 100), b"a") == 5
    assert admissions(sliding_log(path, 5, HOUR_NS, 100), b"a") == 0


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((6, HOUR_NS, 100), "limit 6"),
        ((5, 1, 100), "window_ns 1,"),
        ((5, HOUR_NS, 101), "capacity 101"),
    ],
)
def test_a_table_of_another_shape_is_refused_naming_both(path, shape, named):
    sliding_log(path, 5, HOUR_NS, 100)
    with pytest.raises(StoreMismatch) as refused:
        sliding_log(path, *shape)
    assert f"sliding-log, limit 5, window_ns {HOUR_NS}, burst 5, capacity 100" in str(refused.value)
    assert named in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("length", [20, 4_095, 4_096, -8, 8])
def test_a_file_of_another_length_is_refused(path, length):
    sliding_log(path, 5, HOUR_NS, 100)
    size = path.stat().st_size
    os.truncate(path, length if length > 8 else size + length)
    with pytest.raises(StoreMismatch, match="bytes"):
        sliding_log(path, 5, HOUR_NS, 100)


@pytest.mark.parametrize(
    "content", [b"hello", b"\0" * 8, b"\0" * 10_000, b"SQLite format 3\0" * 999]
)
def test_a_stranger_s_file_is_refused_and_left_alone(path, content):
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(StoreMismatch, match="not a rateproof table"):
        sliding_log(path, 5, HOUR_NS, 100)
    assert path.read_bytes() == content


def test_a_table_of_another_layout_is_refused_naming_both(path):
    sliding_log(path, 5, HOUR_NS, 100)
    content = path.read_bytes()
    at = 7 if sys.byteorder == "little" else 0
    path.write_bytes(content[:at] + b"\x63" + content[at + 1 :])
    with pytest.raises(StoreMismatch, match="layout 99, this core reads layout 4"):
        sliding_log(path, 5, HOUR_NS, 100)


@pytest.mark.parametrize("length", [8, 1_000, 10_000_000])
def test_a_file_whose_maker_died_is_made_again(path, length):
    hit(sliding_log(path, 3, HOUR_NS, 100), b"a", 2, None)
    content = path.read_bytes()[:length]
    path.write_bytes(content[:READY] + bytes(8) + content[READY + 8 :])
    os.truncate(path, length)
    assert admissions(sliding_log(path, 5, HOUR_NS, 100), b"a") == 5
    assert admissions(sliding_log(path, 5, HOUR_NS, 100), b"a") == 0


def test_stamps_of_another_boot_mean_nothing(path):
    assert admissions(sliding_log(path, 5, HOUR_NS, 100), b"a") == 5
    content = path.read_bytes()
    path.write_bytes(content[:BOOT] + b"another boot, ok" + content[BOOT + 16 :])
    size = path.stat().st_size
    assert admissions(sliding_log(path, 5, HOUR_NS, 100), b"a") == 5
    assert admissions(sliding_log(path, 5, HOUR_NS, 100), b"a") == 0
    assert path.stat().st_size == size


def test_a_file_that_others_may_read_is_refused(path):
    path.touch()
    path.chmod(0o640)
    with pytest.raises(StoreError, match="mode is 0640"):
        sliding_log(path, 5, HOUR_NS, 100)


def test_only_a_regular_file_will_do(tmp_path):
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StoreError, match="symbolic link"):
        sliding_log(tmp_path / "link", 5, HOUR_NS, 100)
    assert not target.exists()
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(StoreError, match="regular file"):
        sliding_log(tmp_path / "fifo", 5, HOUR_NS, 100)
    for nowhere in (tmp_path, tmp_path / "none" / "table", "nul\0"):
        with pytest.raises(StoreError, match="cannot open table"):
            sliding_log(nowhere, 5, HOUR_NS, 100)


def test_no_room_for_the_file_is_an_error_at_once(spawn, path):
    program = f"""
import resource
from rateproof._native import Table
from rateproof.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    Table({str(path)!r}, "sliding-log", 5, 10**9, 5, 100_000)
except StoreError as error:
    print(error)
"""
    out, errors = spawn("-c", program).communicate(timeout=60)
    assert re.match(r"cannot reserve \d+\.\d MB for table", out), errors
    assert "capacity" in out
    # And what was left behind is no obstacle when there is room.
    assert admissions(sliding_log(path, 5, HOUR_NS, 100_000), b"a") == 5


@pytest.mark.parametrize("remade", [False, True])
def test_a_table_that_was_deleted_counts_for_one_more_second(path, remade):
    table = sliding_log(path, 2, HOUR_NS, 100)

    def admits(table, now_ns):
        return hit(table, b"a", 1, now_ns)[0]

    assert admits(table, 0)
    path.unlink()
    other = sliding_log(path, 2, HOUR_NS, 100) if remade else None
    assert [admits(table, SECOND_NS - 1) for _ in range(2)] == [True, False]
    if other is not None:
        assert admits(other, SECOND_NS - 1)
    assert admits(table, SECOND_NS)
    left = [admits(sliding_log(path, 2, HOUR_NS, 100), SECOND_NS) for _ in range(2)]
    assert left == ([False, False] if remade else [True, False])
    assert not admits(table, SECOND_NS)


def test_a_table_whose_folder_is_gone_makes_it_again_for_its_user_alone(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    tables = [sliding_log(folder / name, 2, HOUR_NS, 100) for name in ("one", "two")]
    assert hit_all(tables, b"a", 2, 0)[0]
    shutil.rmtree(folder)
    assert [hit_all(tables, b"a", 2, SECOND_NS)[0] for _ in range(2)] == [True, False]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(each.name for each in folder.iterdir()) == ["one", "two"]


def test_a_deleted_table_that_cannot_be_made_again_is_an_error_each_time(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    table = sliding_log(folder / "table", 2, HOUR_NS, 100)
    shutil.rmtree(folder)
    folder.touch()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"table \S+ was deleted .*: cannot open table"):
            hit(table, b"a", 1, 0)
    folder.unlink()
    assert hit(table, b"a", 1, 0)[0]


@pytest.mark.parametrize("deleted", [0, 1])
def test_a_table_beside_a_deleted_one_is_charged_once(tmp_path, deleted):
    names = [tmp_path / "one", tmp_path / "two"]
    tables = [sliding_log(name, 5, HOUR_NS, 100) for name in names]
    assert hit_all(tables, b"a", 1, 0)[0]
    names[deleted].unlink()
    assert hit_all(tables, b"a", 1, SECOND_NS)[0]
    left = [peek(table, b"a", 1, SECOND_NS)[2] for table in tables]
    assert left[deleted] == 4
    assert left[1 - deleted] == 3


def test_a_peek_sees_the_table_that_came_in_place_of_a_deleted_one(path):
    table = sliding_log(path, 5, HOUR_NS, 100)
    hit(table, b"a", 1, 0)
    path.unlink()
    other = sliding_log(path, 5, HOUR_NS, 100)
    hit(other, b"a", 3, SECOND_NS)
    assert peek(table, b"a", 1, SECOND_NS - 1)[2] == 4
    assert peek(table, b"a", 1, SECOND_NS)[2] == 2


@pytest.mark.parametrize("ask", [hit, peek])
def test_a_deleted_table_that_another_process_opens_costs_a_short_wait(path, ask):
    table = sliding_log(path, 5, HOUR_NS, 100)
    ask(table, b"a", 1, 0)
    path.unlink()
    path.touch(mode=0o600)
    beats, over = [], threading.Event()

    def beat():
        while not over.wait(0.001):
            beats.append(time.monotonic())

    with path.open("rb") as opening, ThreadPoolExecutor(1) as pool, over_at_the_end(over):
        fcntl.flock(opening, fcntl.LOCK_EX)
        pool.submit(beat)
        for _ in range(100):  # on a busy machine the other thread may have no turn in one wait
            start = time.monotonic()
            with pytest.raises(StoreError, match=r"was deleted while .*: another process opens it"):
                ask(table, b"a", 1, SECOND_NS)
            end = time.monotonic()
            assert end - start < 60
            if any(start < beat < end for beat in beats):
                break
        else:
            pytest.fail("no other thread ran meanwhile")
    assert ask(table, b"a", 1, SECOND_NS)[0]


REMOVER = """
import os, sys, time
print("removes", flush=True)
while True:
    for remove, path in ((os.unlink, sys.argv[1] + "/table"), (os.rmdir, sys.argv[1])):
        try:
            remove(path)
        except OSError:
            pass
    time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("pause_s", [0, 1e-4])
def test_a_folder_that_is_removed_again_and_again_fails_no_decision(spawn, tmp_path, pause_s):
    folder = tmp_path / "folder"
    folder.mkdir()
    table = Table(str(folder / "table"), "token-bucket", 1, SECOND_NS, 1, 1)
    remover = spawn("-c", REMOVER, folder, str(pause_s))
    assert remover.stdout.readline() == "removes\n"
    for second in range(500):  # each may open one more file
        assert hit(table, b"a", 1, second * SECOND_NS)[0]
    remover.kill()
    remover.wait()
    assert [each.name for each in tmp_path.iterdir() if each.name != "folder"] == []


def test_what_found_no_room_takes_nothing_of_what_others_have_open(spawn, path):
    """The name may have come to mean a table of theirs."""
    theirs = sliding_log(path, 5, HOUR_NS, 100)
    program = f"""
import resource
from rateproof._native import Table
from rateproof.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Table({str(path)!r}, "sliding-log", 5, 3_600 * 10**9, 5, 100_000)
except StoreError as error:
    print(error)
"""
    out, errors = spawn("-c", program).communicate(timeout=60)
    assert "capacity" in out, errors
    assert admissions(theirs, b"a") == 5
    assert admissions(sliding_log(path, 5, HOUR_NS, 100), b"a") == 0


IN_NAMESPACE = """
import sys
from rateproof._native import Table, hit_all
from rateproof.errors import StoreMismatch
try:
    table = Table(sys.argv[1], "sliding-log", 5, 3_600 * 10**9, 5, 100)
    print(hit_all([table], b"a", 1, None)[1][0][2])
except StoreMismatch as error:
    print(error)
"""


@pytest.mark.parametrize("ahead_s", [0, 1000])
def test_a_table_is_shared_by_those_who_read_one_clock_and_refused_to_others(path, ahead_s):
    """Namespaces of time may be forbidden: the other one is written into the table."""
    hit(sliding_log(path, 5, HOUR_NS, 100), b"a", 1, None)
    command = ["unshare", "--time", "--monotonic", str(ahead_s), "--fork"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        command = []
        with path.open("r+b") as file:
            os.pwrite(file.fileno(), struct.pack("=Qq", 1, -ahead_s * SECOND_NS), NAMESPACE)
    words = [*command, sys.executable, "-c", IN_NAMESPACE, str(path)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    if ahead_s:
        assert "is kept by the clock of time namespace " in said
        assert said.count("(clock +0 s)") == 1
        assert said.count(f"(clock {ahead_s:+} s)") + said.count(f"(clock {-ahead_s:+} s)") == 1
        assert "one time namespace" in said
    else:
        assert said == "3\n"


def test_who_closes_descriptors_by_number_keeps_its_lock_and_its_children_get_none(spawn, path):
    """As daemons do; the next file to be opened gets that number."""
    program = f"""
import os, pathlib
from rateproof._native import Table, hit_all
from rateproof.errors import StoreError
path = {str(path)!r}
table = Table(path, "sliding-log", 5, {HOUR_NS}, 5, 100)
mine = [int(fd.name) for fd in pathlib.Path("/proc/self/fd").iterdir() if os.path.realpath(fd) == path]
for fd in mine:
    os.dup2(os.open(path + "-other", os.O_CREAT | os.O_RDWR), fd)
print(hit_all([table], b"new", 1, None)[1][0][0], flush=True)
if os.fork() == 0:
    print(hit_all([table], b"new", 1, None)[1][0][0])
    try:
        hit_all([table], b"newer", 1, None)
    except StoreError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
print(len(mine), all(map(os.fstat, mine)), flush=True)
input()
"""
    worker = spawn("-c", program, stdin=subprocess.PIPE)
    lines = [worker.stdout.readline() for _ in range(4)]
    assert lines[:2] == ["True\n", "True\n"]
    assert lines[2].startswith(f"cannot lock table {path}")
    assert lines[3] == "1 True\n"
    assert is_alive(path, 1)
    worker.kill()
    worker.wait()
    assert not is_alive(path, 1)


def is_alive(path: Path, number: int) -> bool:
    """Say whether a process has that number at the table: its byte far behind the end is locked."""
    with path.open("rb") as file:
        byte = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, (1 << 62) + number, 1, 0)
        found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, byte)
    return struct.unpack("hhqqi4x", found)[0] != fcntl.F_UNLCK


def test_arguments_out_of_bounds_are_named():
    table = sliding_log(None, 5, HOUR_NS, 100)
    with pytest.raises(InvalidArgument, match="now_ns is -1"):
        hit(table, b"a", 1, -1)
    with pytest.raises(InvalidArgument, match=f"now_ns is {2**60}"):
        peek(table, b"a", 1, 2**60)
    with pytest.raises(InvalidArgument, match=f"now_ns is {2**80}"):
        table.census(2**80)
    with pytest.raises(InvalidArgument, match="cost is 0"):
        hit(table, b"a", 0, None)
    with pytest.raises(InvalidArgument, match="cost is too long to show"):
        hit(table, b"a", 10**5_000, None)
    with pytest.raises(NeverPossible, match="cost is 6, the limit is 5"):
        hit_all([table], b"a", 6, None)
    for shape in [(0, 1, 1), (65_537, 1, 1), (1, 0, 1), (1, 2**59 + 1, 1), (1, 1, 2**26 + 1)]:
        with pytest.raises(InvalidArgument, match=r" is (0|65537|\d{8,}) "):
            sliding_log(None, *shape)
    with pytest.raises(InvalidArgument, match='algorithm is "leaky"'):
        Table(None, "leaky", 5, HOUR_NS, 5, 100)
    with pytest.raises(InvalidArgument, match="burst is 6 with fixed-window"):
        Table(None, "fixed-window", 5, HOUR_NS, 6, 100)
    for tables in [[], [table, table]]:
        with pytest.raises(InvalidArgument, match="none or one twice"):
            hit_all(tables, b"a", 1, None)
    for key, cost in [("a", 1), (b"a", 1.0), (b"a", "1"), (None, 1)]:
        with pytest.raises(TypeError):
            hit(table, key, cost, None)
    assert admissions(table, b"a", 0) == 5
