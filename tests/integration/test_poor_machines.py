"""Machines that lack something: no /dev/shm, a home that cannot be written."""

import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.slow

READ_ONLY = 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"'


@pytest.fixture
def poor(tmp_path):
    """A command where /dev/shm and the home cannot be written, and what it needs besides."""
    alone = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", sys.executable, "-m", "rateproof"]
    return alone, os.environ | {"HOME": "/proc", "TMPDIR": str(tmp_path)}


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_server_of_two_workers_keeps_its_store_in_the_temporary_folder(
    poor, free_port, wait_for_port, tmp_path
):
    command, environment = poor
    serving = [*command, "serve", "--port", str(free_port), "--workers", "2"]
    with subprocess.Popen(serving, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            wait_for_port(free_port, server)
            url = f"http://127.0.0.1:{free_port}/?clientId=a"
            assert [status_of(url) for _ in range(6)] == [200] * 5 + [503]
            (store,) = tmp_path.glob("rateproof-*")
            assert store.name.endswith(f"-server-{free_port}")
        finally:
            server.terminate()
            _, said = server.communicate(timeout=280)
    assert server.returncode == 0, said
    assert "Traceback" not in said


def test_doctor_names_what_is_missing_and_where_stores_lie(poor, tmp_path):
    command, environment = poor
    done = subprocess.run(
        [*command, "doctor"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"wrong   /dev/shm        cannot be written: stores lie in {tmp_path}" in done.stdout


@pytest.mark.parametrize("core", ["native", "python"])
def test_the_tester_needs_no_home(poor, core, free_port, tmp_path):
    command, environment = poor
    testing = ["test", f"http://127.0.0.1:{free_port}", "--self", "--policy", "5 per 1s"]
    length = [
        "--iterations",
        "1",
        "--allow-untested",
        "--worst-time",
        "0s",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        [*command, *testing, *length],
        env=environment | {"RATEPROOF_CORE": core},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
