"""`rateproof check --on` a scheduler, of a log that lies in an S3 server: both are processes of their own."""

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest

from tests.integration.test_check_on import write

pytestmark = pytest.mark.slow


@pytest.fixture
def s3(spawn, free_port, wait_for_port, monkeypatch):
    """A bucket of a real S3 server."""
    import s3fs  # not by whoever collects these tests and leaves them out

    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = spawn("-m", "moto.server", "-p", free_port, **silent)
    wait_for_port(free_port, process)
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    files.mkdir("logs")
    return files


@pytest.fixture
def scheduler(spawn, tmp_path):
    """The address of a scheduler with two workers."""
    from distributed import Client

    told, silent = (
        tmp_path / "scheduler.json",
        {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    )
    process = spawn(
        *("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard"),
        *("--scheduler-file", told),
        **silent,
    )
    deadline = time.monotonic() + 60
    address = None
    while address is None:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
        with contextlib.suppress(OSError, ValueError):
            address = json.loads(told.read_text())["address"]
    spawn(
        *("-m", "dask", "worker", address, "--nworkers", 2, "--nthreads", 1, "--no-dashboard"),
        *("--local-directory", tmp_path),
        **silent,
    )
    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
    return address


def check(*words):
    command = [sys.executable, "-m", "rateproof", "check", *map(str, words), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def test_a_log_in_s3_has_the_verdict_that_it_has_here(s3, scheduler, tmp_path):
    path = write(tmp_path / "log.parquet")
    s3.put(str(path), "logs/log.parquet")
    whole = check(path)
    found = check("s3://logs/log.parquet", "--on", scheduler)
    assert (found.returncode, json.loads(found.stdout)) == (1, json.loads(whole.stdout))
    assert "pieces by key go to s3://logs/log.parquet.rateproof-" in found.stderr
    assert s3.find("logs") == ["logs/log.parquet"], "pieces were left behind"
    assert json.loads(check(path, "--on", scheduler).stdout) == json.loads(whole.stdout)
    assert [one.name for one in tmp_path.glob("log.*")] == ["log.parquet"]
    nothing = check("s3://logs/none.parquet", "--on", scheduler)
    assert nothing.returncode == 65
    assert "cannot read s3://logs/none.parquet: No such file" in nothing.stderr
