"""Real processes for tests, ended by their own id however a test ends."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from rateproof.enforce.stores.location import directory_of

ROOT = Path(__file__).parent.parent

Spawn = Callable[..., subprocess.Popen[str]]


def pytest_sessionstart() -> None:
    """The tests hold both cores against each other, so both must be there."""
    if find_spec("rateproof._native") is None:
        pytest.exit("the native core is not built: install Rust, then run `make env`", 2)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git tracks, as somebody who clones the project gets it."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def free_port() -> Iterator[int]:
    """A loopback port that nobody listened on; a server's store for it goes after the test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    yield port
    for name in (f"server-{port}", f"server-{port}-python"):
        shutil.rmtree(directory_of(name), ignore_errors=True)


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a Python program in a group of its own; what is left of it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: object, **options: object) -> subprocess.Popen[str]:
        settings = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "stdin": subprocess.DEVNULL,
            "cwd": ROOT,
        }
        process = subprocess.Popen(
            [sys.executable, *map(str, args)],
            text=True,
            start_new_session=True,
            **(settings | options),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def wait_for_port() -> Callable[..., None]:
    """Block until something accepts connections on a loopback port."""

    def wait(port: int, process: subprocess.Popen[str] | None = None, seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process is not None and process.poll() is not None:
                raise AssertionError(f"exited with {process.returncode}: {process.communicate()}")
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"nothing listens on {port} after {seconds} s")

    return wait
