"""Claims about the client where nobody watches: what it runs, refuses and says."""

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from rateproof.errors import RateproofError
from rateproof.keyspec import KeySpec  # noqa: F401 - of the settings below
from rateproof.simulate.client.live import run_client
from rateproof.simulate.client.settings import ClientSettings  # noqa: F401
from tests.integration.client_session import DRIVER, shell
from tests.samples import quick_first


def test_without_a_terminal_or_a_number_it_runs_ten_and_says_so(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn("-c", DRIVER, f"url={serve()!r}, duration_ns=2 * 10**9")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "10 clients" in err.splitlines()[0]
    seconds = re.findall(r"^10 clients (\d+) s: \d+ sent", err, re.MULTILINE)
    assert 1 <= len(seconds) <= int(seconds[-1]) + 2, "one a second, and the last"
    assert "\r" not in err
    assert "clients   10" in out


@pytest.mark.parametrize("number", quick_first([signal.SIGTERM, signal.SIGINT]))
def test_a_signal_ends_a_run_once_the_slowest_request_is_answered(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]], number: int
) -> None:
    process = spawn("-c", DRIVER, f"url={serve(0.5)!r}, clients=50, behaviour='saturate'")
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "unknown: 0" in out
    assert "errors    none" in out
    assert "Traceback" not in err


def test_500_clients_run_and_are_drained(
    serve: Callable[..., str], spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn("-c", DRIVER, f"url={serve()!r}, clients=500, json=True, timeout_ns=60 * 10**9")
    assert process.stderr is not None
    while not re.search(r"[1-9]\d* admitted", process.stderr.readline()):
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["clients"] == 500
    assert summary["statuses"] == {"200": summary["requests"]}
    assert summary["errors"] == {}
    assert summary["audit"]["requests"] == summary["requests"]


def test_nothing_listening_is_one_error_that_says_how_to_start_the_server(
    free_port: int, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn("-c", DRIVER, f"url='http://127.0.0.1:{free_port}/', clients=3")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 69
    assert out == ""
    assert err.strip() == (
        f"error: nothing answers at http://127.0.0.1:{free_port}/ "
        f"(start the server first: rateproof serve --port {free_port})"
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("clients=0", "clients: 0 is"),
        ("clients=-1", "clients: -1 is"),
        ("clients=0, rate_per_s=5", "clients: 0 is"),
        ("clients=5, rate_per_s=0", "rate: 0.0 is"),
        ("clients=1000001", "clients: 1000001 is"),
        ("clients=5, duration_ns=0", "duration: 0s is"),
        ("clients=5, max_rate=0", "max_rate: 0 is"),
        ("clients=5, timeout_ns=1", "timeout: 1ns is"),
        ("clients=5, key=KeySpec.parse('ip')", "no place for an identity"),
        ("clients=5, url='127.0.0.1:8080'", "write http://127.0.0.1:8080"),
        ("clients=5, url='http://192.0.2.1/'", "give --yes"),
        ("clients=5, connections=0", "connections: 0 is"),
        ("clients=5, transport='carrier pigeon'", "unknown transport 'carrier pigeon'"),
        ("clients=5, transport='threads', threads=2", "threads is 2"),
        ("clients=5, log='log.txt'", "'log.txt' is not the name of a log"),
    ],
)
def test_a_bad_value_is_named_before_anything_is_sent(
    serve: Callable[..., str], capsys: pytest.CaptureFixture[str], settings: str, named: str
) -> None:
    url = "" if "url=" in settings else f"url={serve()!r}, "
    with pytest.raises(RateproofError, match=re.escape(named)) as refused:
        run_client(eval(f"ClientSettings.told({url}{settings})"))
    assert refused.value.exit_code == 64
    assert capsys.readouterr().out == ""


def test_a_server_that_dies_is_counted_and_does_not_end_the_run(
    spawn: Callable[..., subprocess.Popen[str]],
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def die_soon() -> None:
        for _ in range(2):  # the probe, and the first request
            connection, _ = listener.accept()
            connection.close()
        listener.close()

    threading.Thread(target=die_soon, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    settings = f"url={url!r}, clients=1, duration_ns=10**9, json=True, behaviour='saturate'"
    process = spawn("-c", DRIVER, settings)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    errors = json.loads(out)["errors"]
    assert errors["refused"] >= 2
    assert sum(errors.values()) == json.loads(out)["outcomes"]["unknown"]


@pytest.mark.parametrize("stdin", ["<&-", "</dev/null"])
def test_without_stdin_it_runs_and_asks_nobody(serve: Callable[..., str], stdin: str) -> None:
    code, out, err = shell(f"url={serve()!r}, duration_ns=3 * 10**8", stdin)
    assert (code, "clients   10\n" in out) == (0, True)
    assert "no terminal to ask at: 10 clients" in err
    code, _, err = shell("url='http://192.0.2.1/', clients=1", stdin)
    assert (code, "give --yes" in err) == (64, True)


def test_without_stderr_it_runs(serve: Callable[..., str]) -> None:
    code, out, _ = shell(f"url={serve()!r}, clients=2, duration_ns=3 * 10**8", "2>&-")
    assert (code, "clients   2\n" in out) == (0, True)
