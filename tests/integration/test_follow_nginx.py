"""`check --follow` beside a real nginx whose log is rotated in both ways."""

import http.client
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from tests.nginx import TIMED, running

ASKED = ["--policy", "5 per 2s", "--key", "header:user-agent", "--format", TIMED]
DEADLINE_S = 60


def ask(nginx, client, times=1):
    connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=60)
    for _ in range(times):
        connection.request("GET", "/", headers={"User-Agent": client})
        connection.getresponse().read()
    connection.close()


@contextmanager
def following(nginx, *words):
    command = [sys.executable, "-m", "rateproof", "check", str(nginx.log), "--follow"]
    with subprocess.Popen(
        [*command, *ASKED, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(holds):
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def page(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


@pytest.mark.slow
def test_each_client_that_violates_is_told_through_both_kinds_of_rotation(tmp_path, unused_port):
    """Three have more than 5 in 2 s: before, after a rename, and after copytruncate; one has not."""
    ports = [unused_port(), unused_port()]
    with running(tmp_path, ports[0], server="location / { return 204; }") as nginx:
        ask(nginx, "modest")
        with following(nginx, "--metrics-port", str(ports[1])) as process:
            ask(nginx, "first", 6)
            told = [json.loads(process.stdout.readline())]
            nginx.log.rename(nginx.log.with_suffix(".1"))
            ask(nginx, "modest")  # to the old file
            nginx.reopen()
            wait_until(nginx.log.exists)
            ask(nginx, "second", 6)
            told.append(json.loads(process.stdout.readline()))
            shutil.copy(nginx.log, nginx.log.with_suffix(".2"))
            nginx.log.write_bytes(b"")
            ask(nginx, "third", 6)
            told.append(json.loads(process.stdout.readline()))
            seen = page(ports[1])
            assert seen["rateproof_check_violating_keys"] == "3"
            assert seen["rateproof_check_rotations_total"] == "2"
            assert seen['rateproof_check_requests_total{outcome="admitted"}'] == "20"
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert not out
    assert [one["key"] for one in told] == ["'first'", "'second'", "'third'"]
    assert {one["outcome"] for one in told} == {"violated"}
    assert b"VIOLATED: 6 let through in 2 s, 5 promised" in err


@pytest.mark.slow
def test_fail_fast_ends_at_the_first(tmp_path, free_port):
    with running(tmp_path, free_port, server="location / { return 204; }") as nginx:
        ask(nginx, "first", 6)
        with following(nginx, "--fail-fast") as process:
            out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert json.loads(out)["key"] == "'first'"


@pytest.mark.slow
def test_what_nginx_itself_limits_is_not_called_violated(tmp_path, free_port):
    """5 at once and then one each 400 ms: nginx's limit of 2.5 a second with a burst of 4."""
    zone = "limit_req_zone $http_user_agent zone=a:1m rate=150r/m; limit_req_status 429;"
    server = "limit_req zone=a burst=4 nodelay; location / { try_files /none =204; }"
    with running(tmp_path, free_port, http=zone, server=server) as nginx:
        asked = ["--policy", "token-bucket 5 per 2s", "--granularity", "1ms", "--json"]
        with following(nginx, *asked) as process:
            for _ in range(30):
                ask(nginx, "a", 2)
                time.sleep(0.1)
            wait_until(lambda: nginx.log.read_bytes().count(b"\n") == 60)
            while not process.stderr.readline().startswith(b"following "):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    [verdict] = map(json.loads, out.splitlines())
    assert verdict["outcome"] != "violated", verdict
    assert process.returncode in {0, 2}, err
    assert verdict["counts"]["events"] == 60
    assert verdict["counts"]["rejected"] > 10
