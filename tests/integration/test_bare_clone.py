"""A bare clone with nothing but Flask and Requests runs the three programs, and says what it lacks."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(clone, tmp_path_factory):
    """An environment with Flask, Requests and nothing of ours; returns its python."""
    folder = tmp_path_factory.mktemp("bare") / "env"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin/python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, "-c", clone / "constraints.txt", "flask", "requests"], check=True)
    return folder / "bin/python"


@pytest.fixture
def bare(clone, python, tmp_path):
    """Start one of the programs in the bare environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "VIRTUAL_ENV", "RATEPROOF_CORE"}
    } | {"XDG_STATE_HOME": str(tmp_path / "state")}
    started = []

    def start(program, *arguments):
        process = subprocess.Popen(
            [python, program, *map(str, arguments)],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_server_limits_and_names_what_is_missing(bare, free_port, wait_for_port):
    server = bare("server.py", "--port", free_port)
    wait_for_port(free_port, server)
    url = f"http://127.0.0.1:{free_port}/?clientId=a"
    assert [status_of(url) for _ in range(6)] == [200] * 5 + [503]
    server.send_signal(signal.SIGTERM)
    _, errors = server.communicate(timeout=280)
    assert server.returncode == 0
    assert "granian" in errors
    assert "python core" in errors
    assert "the native core is not built, so all runs on the plain one" in errors


def test_the_client_runs_against_it(bare, free_port, wait_for_port):
    wait_for_port(free_port, bare("server.py", "--port", free_port))
    client = bare(
        *("client.py", f"http://127.0.0.1:{free_port}", "--clients", 20),
        *("--duration", "2s", "--json"),
    )
    output, errors = client.communicate(timeout=280)
    assert client.returncode == 0, errors
    assert json.loads(output)["requests"] > 20
    assert "native core" not in errors, "the server has said it"


def test_the_tester_starts_a_server_and_proves_it_consistent(bare, clone, free_port):
    tester = bare(
        *("tester.py", f"http://127.0.0.1:{free_port}", "--self", "--policy", "5 per 1s"),
        *("--worst-time", 0, "--iterations", 3, "--seed", 1, "--json"),
    )
    output, errors = tester.communicate(timeout=280)
    assert tester.returncode == 0, output + errors
    assert json.loads(output.splitlines()[-1])["verdict"] == "consistent"
    assert "a server of our own" in errors
    assert list(clone.glob("test_log_*.jsonl")), "JSON lines where pyarrow is missing"
