"""One module asks for whatever only Linux has, and ends elsewhere with one clear error."""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import rateproof
from rateproof import linux
from rateproof.cli import main
from rateproof.enforce.server import ServerSettings, serve
from rateproof.enforce.server.board import Board
from rateproof.enforce.stores import open_store
from rateproof.errors import InvalidArgument

ROOT = Path(rateproof.__file__).parent
ONLY_LINUX = re.compile(
    r"/proc/|/sys/|Path\(\"/dev/shm|memfd_|sched_(?:get|set)|pidfd_|eventfd|prctl|\bepoll\b|timerfd"
)


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")


def test_no_other_module_asks_for_it():
    asking = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if ONLY_LINUX.search(path.read_text())
    ]
    assert asking == ["linux.py"]


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("store 'shm://a'", lambda: open_store("shm://a")),
        ("rateproof serve", lambda: serve(ServerSettings.told(port=0))),
        ("a server's board", Board),
        ("a nemesis", lambda: linux.hold_process(1)),
    ],
)
def test_elsewhere_what_needs_it_is_refused_by_name(what, call):
    with pytest.raises(InvalidArgument) as refused:
        call()
    assert refused.value.message == f"{what} needs Linux; this is darwin"
    assert refused.value.hint


@pytest.mark.usefixtures("elsewhere")
def test_elsewhere_commands_that_need_it_exit_64_in_one_line(capsys):
    assert main(["doctor"]) == 64
    assert capsys.readouterr().err.startswith(
        "rateproof: error: rateproof doctor needs Linux; this is darwin\n"
    )


@pytest.mark.usefixtures("elsewhere")
def test_elsewhere_as_many_processors_are_used_as_there_are(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert linux.processors() == 7


def test_where_not_even_the_package_can_be_loaded_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["--version"]) == 64
    assert "rateproof needs Linux; this is win32" in capsys.readouterr().err
    monkeypatch.delitem(vars(rateproof), "Limiter", raising=False)
    with pytest.raises(InvalidArgument, match="rateproof needs Linux; this is win32"):
        _ = rateproof.Limiter


def test_here_it_is_all_there():
    linux.required("anything")
    linux.check_system()
    assert linux.processors() >= 1
    assert linux.shows_processes()
    assert linux.descriptors() >= 3
    assert len(linux.outgoing_ports()) > 1000
    assert linux.boot_id()


def test_a_thread_and_those_that_it_starts_interrupt_none_until_it_leaves():
    def rules():
        return os.sched_getscheduler(0)

    before = rules()
    with linux.interrupting_none(), ThreadPoolExecutor(1) as started:
        found = rules(), started.submit(rules).result()
    assert rules() == before
    assert found == (os.SCHED_BATCH if before == os.SCHED_OTHER else before,) * 2


@pytest.mark.usefixtures("elsewhere")
def test_elsewhere_threads_keep_their_rules():
    before = os.sched_getscheduler(0)
    with linux.interrupting_none():
        assert os.sched_getscheduler(0) == before
