"""`rateproof doctor`: what a machine lacks is said with what to do."""

import itertools
import json
import socket
import time
import tomllib
from pathlib import Path

import pytest

from rateproof import linux
from rateproof.cli import main
from rateproof.enforce import doctor


@pytest.fixture
def found(monkeypatch):
    """Findings, by what they are about; on a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setattr(doctor, "_PORT", probe.getsockname()[1])
    return lambda: {finding.about.partition(" ")[0]: finding for finding in doctor.examine()}


def test_everything_is_looked_at_and_said_as_json(found, capsys):
    findings = found()
    names = {"core", "/dev/shm", "descriptors", "clock", "time", "RemoveIPC", "port"}
    assert names | set(doctor.EXTRAS) == set(findings)
    code = main(["doctor", "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["about"] for line in lines] == [each.about for each in findings.values()]
    assert code == int(any(line["state"] == "wrong" for line in lines))
    assert all(bool(line["hint"]) == (line["state"] != "ok") for line in lines)


def test_the_extras_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = {
        extra: tuple(package.partition(">")[0] for package in packages)
        for extra, packages in extras.items()
        if extra != "all"
    }
    assert {extra: packages for extra, (packages, _) in doctor.EXTRAS.items()} == wanted


def test_a_package_that_is_missing_is_no_fault_and_named(found, monkeypatch):
    monkeypatch.setattr(doctor, "EXTRAS", {"redis": (("no-such-package",), "redis:// stores")})
    assert found()["redis"] == doctor.Condition(
        "redis",
        "missing",
        "no no-such-package; for redis:// stores",
        "pip install no-such-package",
    )


def test_a_core_that_was_asked_for_is_no_fault(found, monkeypatch):
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    assert found()["core"].state == "ok"
    monkeypatch.setenv("RATEPROOF_CORE", "")
    monkeypatch.setattr(doctor, "lacking", lambda: "is not built")
    assert found()["core"].state == "wrong"


def test_a_machine_without_room_in_shared_memory_is_wrong(found, monkeypatch, tmp_path):
    monkeypatch.setattr(linux, "SHARED_MEMORY", tmp_path / "none")
    assert found()[str(tmp_path / "none")].state == "wrong"
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "_LEAST_ROOM", 10**18)
    assert found()["/dev/shm"].state == "wrong"


def test_a_port_that_is_taken_is_no_fault():
    """A server may run there, as it should."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = doctor._port(port)
    assert (finding.state, finding.hint) == ("note", "another one: rateproof serve --port PORT")
    assert doctor._port(port).state == "ok"


@pytest.mark.parametrize(
    ("lines", "user", "state"),
    [
        ("", 1000, "wrong"),
        ("#RemoveIPC=no", 1000, "wrong"),
        ("RemoveIPC=no", 1000, "ok"),
        ("RemoveIPC=f", 1000, "ok"),
        ("RemoveIPC=no\nRemoveIPC=yes", 1000, "wrong"),
        ("", 33, "ok"),
    ],
)
def test_remove_ipc_concerns_users_that_log_in(tmp_path, monkeypatch, lines, user, state):
    monkeypatch.setattr(doctor, "_SYSTEMD", tmp_path)
    (tmp_path / "logind.conf").write_text("[Login]\n" + lines)
    places = (tmp_path / "logind.conf", tmp_path / "logind.conf.d")
    assert doctor._remove_ipc(places, user).state == state


@pytest.mark.parametrize(("every", "state"), [(1000, "ok"), (1, "wrong")])
def test_a_clock_is_slow_only_where_every_read_of_it_is(found, monkeypatch, every, state):
    reads = itertools.count()

    def read():
        until = time.perf_counter() + (every / 4e4 if next(reads) % every == 0 else 0)
        while time.perf_counter() < until:
            pass

    monkeypatch.setattr(doctor, "_SLOWEST_CLOCK_NS", 20_000)  # this one takes 400 ns
    monkeypatch.setattr(time, "monotonic_ns", read)
    assert found()["clock"].state == state


def test_settings_of_logind_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_SYSTEMD", tmp_path)
    unreadable = tmp_path / "logind.conf.d" / "own.conf"
    unreadable.mkdir(parents=True)
    finding = doctor._remove_ipc((tmp_path / "logind.conf", tmp_path / "logind.conf.d"), 1000)
    assert (finding.state, finding.said) == (
        "note",
        f"cannot be read: {unreadable}: Is a directory",
    )


def test_settings_of_logind_in_another_encoding_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_SYSTEMD", tmp_path)
    place = tmp_path / "logind.conf"
    place.write_bytes(b"# f\xfcr uns\nRemoveIPC=no\n")
    assert doctor._remove_ipc((place,), 1000).state == "ok"
