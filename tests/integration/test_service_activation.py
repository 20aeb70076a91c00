"""Sockets that systemd opened and hands over: served beside the addresses that are told, or refused by name."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from rateproof.enforce.service import PROGRAM
from tests.rls import OK, Client, descriptor
from tests.service import LIMITS

RULES = "domain: shop\ndescriptors: [{key: user, rate_limit: {unit: hour, requests_per_unit: 3}}]\n"


@contextlib.contextmanager
def activated(folder, files, *words, text=LIMITS, **told):
    """The service, to which these files are handed over by their names."""
    settings = folder / "limits.toml"
    settings.write_text(text)
    # No number that is given away may be one that is still to be given.
    passed = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 50) for _, each in files]
    gives = " ".join(f"{place}<&{each}" for place, each in enumerate(passed, 3))
    names = {"LISTEN_FDS": str(len(files)), "LISTEN_FDNAMES": ":".join(name for name, _ in files)}
    process = subprocess.Popen(
        ["bash", "-c", f'LISTEN_PID=$$ exec "$0" "$@" {gives}', PROGRAM, "--config", settings, *words],
        env=os.environ | names | told,
        pass_fds=passed,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        for each in passed:
            os.close(each)


def refused(folder, files, *words, code=64, **told):
    """The words of a service that does not start."""
    with activated(folder, files, *words, **told) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    return said


def test_a_socket_that_systemd_opened_is_served_and_left_there(tmp_path):
    path = tmp_path / "handed.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with activated(tmp_path, [("http", listener)]) as process:
            file = tmp_path / "limits.toml"
            assert process.stderr.readline() == (
                f"serving unix:{path} from memory://, settings of {file}\n"
            )
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(60)
                sock.connect(str(path))
                sock.sendall(b"GET /check/api HTTP/1.0\r\n\r\n")
                assert sock.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert path.exists(), "it is systemd's"


def test_a_socket_named_rls_is_an_address_for_rules(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, files = listener.getsockname()[1], [("rls", listener)]
        with activated(tmp_path, files, "--rls-config", rules, text="") as process:
            assert process.stderr.readline().startswith(f"serving grpc://127.0.0.1:{port} from ")
            with Client(port) as client:
                assert client.ask(descriptor(("user", "a"))).code == OK
        said = refused(tmp_path, files)
        assert "an address or a socket for rls needs rls_config (a file of rules" in said
    said = refused(tmp_path, [], "--rls-config", rules)
    assert "rls_config needs an address (rls, or a socket named rls that systemd" in said


def test_addresses_that_are_told_are_opened_beside_the_sockets(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        with activated(tmp_path, [("", listener)], "--resp", "127.0.0.1:0") as process:
            first = process.stderr.readline()
            assert first.startswith(f"serving http://127.0.0.1:{port} and redis://127.0.0.1:")
            assert first.count("http://") == 1, "no address of HTTP was told"
        with activated(tmp_path, [("resp", listener)], "--port", "0") as process:
            first = process.stderr.readline()
            assert first.startswith(f"serving redis://127.0.0.1:{port} and http://127.0.0.1:")
        said = refused(tmp_path, [("", listener)], "--port", port, code=69)
        assert f"cannot listen at 127.0.0.1, port {port}: " in said
        assert "an address that is told is opened beside the sockets that are handed over" in said


def datagrams():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def pipe():
    reader, writer = os.pipe()
    os.close(writer)
    return os.fdopen(reader)


@pytest.mark.parametrize(
    ("handed", "told", "what"),
    [
        (datagrams, {}, 'descriptor 3, handed over as "resp", is no stream socket'),
        (Path(__file__).open, {}, "cannot be used: Socket operation on non-socket"),
        (pipe, {}, "cannot be used: Socket operation on non-socket"),
        (socket.socket, {}, "does not listen"),
        (None, {"LISTEN_FDS": "2"}, 'LISTEN_FDNAMES is "resp", but LISTEN_FDS is 2 (a name for each'),
        (None, {"LISTEN_FDNAMES": "a:b"}, 'LISTEN_FDNAMES is "a:b", but LISTEN_FDS is 1 (a name for'),
        (None, {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}, 'descriptor 4, handed over as "b", '),
        (None, {"LISTEN_FDS": "many"}, 'LISTEN_FDS is "many" (a number of sockets)'),
    ],
)  # fmt: skip
def test_what_is_no_socket_that_listens_is_refused_by_name(tmp_path, handed, told, what):
    with handed() if handed else socket.create_server(("127.0.0.1", 0)) as file:
        said = refused(tmp_path, [("resp", file)], **told)
    assert what in said
    if "descriptor" in said:
        assert "(a TCP or Unix stream socket that listens: ListenStream=, Accept=no)" in said


@pytest.mark.parametrize("place", ["{}/notify", "@rateproof{}"])
def test_systemd_is_told_of_each_state(start_service, tmp_path, monkeypatch, place):
    """Byte for byte what sd_notify(3) says of READY, RELOADING with its time, and STOPPING."""
    place = place.format(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.settimeout(60)
        told.bind(place.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", place)
        service = start_service()
        assert told.recv(99) == b"READY=1"
        assert service.ask()[0] == 200
        for text in (LIMITS.replace("5 per hour", "6 per hour"), "no settings"):
            before = time.monotonic_ns() // 1000
            service.reload(text)
            began = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", told.recv(99))
            assert before <= int(began[1]) <= time.monotonic_ns() // 1000
            assert told.recv(99) == b"READY=1"
        assert service.stop() == 0
        assert told.recv(99) == b"STOPPING=1"
    service = start_service()
    assert "cannot tell NOTIFY_SOCKET" in service.said()
    assert service.ask()[0] == 200
