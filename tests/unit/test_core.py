"""The core that runs, and what is said, and how often, where it is the plain one."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import rateproof
from rateproof import core
from rateproof.errors import InvalidArgument, RateproofError

PACKAGE = Path(rateproof.__file__).parent
SERVED = ("-m", "rateproof", "test", "http://127.0.0.1:9", "--iterations", "1", "--out", "out")


@pytest.fixture(autouse=True)
def _plain_install(monkeypatch, tmp_path):
    monkeypatch.delenv("RATEPROOF_CORE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setitem(sys.modules, "rateproof._native", None)


def test_an_install_without_the_native_core_says_so_once_with_the_way_to_it(tmp_path):
    told = core.first_remark()
    assert "is not built" in told
    assert core.INSTALL in told
    assert core.first_remark() is None
    assert len(list((tmp_path / "state/rateproof").iterdir())) == 1


@pytest.mark.parametrize("change", ["lacks a function", "lacks an argument", "lacks a method"])
def test_a_core_older_than_the_python_code_is_refused_with_a_hint(monkeypatch, tmp_path, change):
    stub = "class Table:\n    def hit(self, key: bytes) -> None: ...\ndef screen(log: bytes) -> int: ...\n"
    module = ModuleType("rateproof._native")
    module.Table = type("Table", (), {} if change == "lacks a method" else {"hit": lambda *_: None})
    if change != "lacks a function":
        module.screen = SimpleNamespace(__text_signature__="(events)")
    (tmp_path / "_native.pyi").write_text(stub)
    monkeypatch.setattr(core, "__file__", str(tmp_path / "core.py"))
    monkeypatch.setitem(sys.modules, "rateproof._native", module)
    with pytest.raises(RateproofError, match="older than the Python code") as caught:
        core.native()
    assert ("'hit'" if change == "lacks a method" else "'screen'") in str(caught.value)
    assert "make env" in caught.value.hint


def test_nothing_is_said_where_the_native_core_runs_or_was_forbidden(monkeypatch, tmp_path):
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    assert core.first_remark() is None
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert core.first_remark() is None
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("home", ["/proc", "/dev/null", "/sys/kernel"])
def test_a_home_that_cannot_be_written_breaks_nothing_and_it_is_said_each_time(monkeypatch, home):
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", home)
    assert [core.first_remark() is None for _ in range(2)] == [False, False]


def test_nor_does_a_user_without_a_home(monkeypatch):
    def nowhere(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "expanduser", nowhere)
    assert [core.first_remark() is None for _ in range(2)] == [False, False]


def run(folder, *words, **more):
    """Run a copy of the package that lies in a folder."""
    variables = {"PYTHONPATH": str(folder), "HOME": str(folder / "home"), "PATH": "/usr/bin"}
    return subprocess.run(
        [sys.executable, *words],
        env=variables | more,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_native_core_of_another_machine_is_named_and_the_plain_one_runs(monkeypatch, tmp_path):
    """As where a wheel of another platform was unpacked by force."""
    monkeypatch.undo()
    ours = Path(find_spec("rateproof._native").origin).read_bytes()
    shutil.copytree(PACKAGE, tmp_path / "rateproof", ignore=shutil.ignore_patterns("*.so"))
    foreign = ours[:18] + b"\xb7\x00" + ours[20:4096]  # e_machine of aarch64
    (tmp_path / "rateproof/_native.abi3.so").write_bytes(foreign)
    done = run(tmp_path, "-m", "rateproof", "--version")
    assert (done.returncode, done.stdout[-14:]) == (0, "(python core)\n")
    first, second = run(tmp_path, *SERVED), run(tmp_path, *SERVED)
    assert "the native core cannot be loaded here: " in first.stderr
    assert "_native.abi3.so" in first.stderr
    assert "nothing listens" in first.stderr.replace("\n", " ")
    assert "native core" not in second.stderr
    forced = run(tmp_path, "-m", "rateproof", "--version", RATEPROOF_CORE="native")
    assert forced.returncode == 70
    assert "cannot be loaded here" in forced.stderr
    examined = run(tmp_path, "-m", "rateproof", "doctor")
    assert examined.returncode == 1
    assert "cannot be loaded here" in examined.stdout


def test_what_needs_the_native_core_says_why_there_is_none(monkeypatch):
    with pytest.raises(InvalidArgument, match="it needs the native core") as refused:
        core.required_native("it")
    assert refused.value.hint == f"it is not built; {core.INSTALL}"
    monkeypatch.setenv("RATEPROOF_CORE", "native")
    with pytest.raises(RateproofError, match="'native', but the native core is not built"):
        core.native()
