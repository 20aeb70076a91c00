"""Fixtures of the tests of real servers: stores of their own, and processes that lack a package."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rateproof.cluster import Cluster, connected
from rateproof.enforce.stores.location import remove
from rateproof.simulate.target import Target
from tests.integration.client_session import SERVER, Terminal
from tests.service import LIMITS, Service

_STARTED_S = 300
"""A busy machine starts a worker slowly."""

_CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
collect_ignore = [] if _CHROMIUM else ["test_report_browser.py"]

_HIDING = """
import sys

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hiding())
"""


class Running:
    """A server that has said that it listens."""

    def __init__(self, process):
        self.process = process
        self.said = []
        while not self.said or "listening at" not in self.said[-1]:
            line = process.stderr.readline()
            assert line, f"it ended: {self.said}"
            self.said.append(line)
        self.port = int(re.search(r":(\d+)$", self.said[-1])[1])

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, target="/", connection=None, method="GET", **options):
        """The status, fields and body of one answer."""
        own = connection or self.connect()
        try:
            own.request(method, target, **options)
            answer = own.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            if connection is None:
                own.close()

    def status(self, client, **options):
        return self.ask(f"/?clientId={client}", **options)[0]

    def workers(self, count):
        """The processes that it started, once they are so many: it may listen before the last one runs."""
        deadline = time.monotonic() + 60
        while len(found := self.pids()) != count:
            assert time.monotonic() < deadline, f"{count} workers asked, {len(found)} found"
            time.sleep(0.02)
        return found

    def pids(self):
        """The processes that it started, from the machine's table of processes."""
        table = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split() for line in table.splitlines()]
        return {
            int(pid)
            for pid, parent, state in rows
            if int(parent) == self.process.pid and not state.startswith("Z")
        }

    def stop(self, number=signal.SIGTERM):
        """Its exit code, how long it took, and all that it said."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(60)
        took = time.monotonic() - began
        self.said += [*self.process.stderr, *self.process.stdout]
        return code, took, "".join(self.said)


@pytest.fixture(scope="session")
def chromium() -> str | None:
    """A browser, where there is one; what needs it is not collected elsewhere."""
    return _CHROMIUM


@pytest.fixture(scope="module")
def dask() -> Iterator[Cluster]:
    """A Dask cluster on this machine, for all tests of a file."""
    with connected("dask", 2) as found:
        found._without_worker_s = _STARTED_S
        yield found


@pytest.fixture
def two(dask: Cluster) -> Cluster:
    """The same, of two workers, also after the test before killed some."""
    dask.client.wait_for_workers(2, timeout=_STARTED_S)
    return dask


@pytest.fixture
def on_two(two: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ModuleType], None]]:
    """Have `--on dask` of a command's module mean the cluster of this file, which nothing is left behind on."""

    def instead(module: ModuleType) -> None:
        monkeypatch.setattr(
            module, "connected", lambda on: {"dask": contextlib.nullcontext(two)}[on]
        )

    yield instead
    assert not list(two.folder.glob("rateproof-*")), "files were left behind"


@pytest.fixture(params=["native", "threads"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each way to send."""
    return str(request.param)


@pytest.fixture
def store() -> Iterator[str]:
    """A store that no other test uses, removed afterwards."""
    name = f"test-{uuid.uuid4().hex}"
    yield f"shm://{name}"
    remove(name)


@pytest.fixture
def hide(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """The environment variables of a Python process that cannot import some packages."""

    def environment(*names: str) -> dict[str, str]:
        (tmp_path / "sitecustomize.py").write_text(_HIDING.format(names=set(names)))
        others = os.environ.get("PYTHONPATH", "")
        return {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), others]))}

    return environment


@pytest.fixture
def permissions() -> Callable[[str], list[str]]:
    """Permissions that the page on Redis gives a user of the server, for something."""
    page = Path(__file__).parents[2] / "docs" / "enforce" / "redis.md"
    rules = re.findall(r"^- (?:for|in) (.*): `(\S.*)`$", page.read_text(), re.MULTILINE)

    def found(purpose: str) -> list[str]:
        ((_, words),) = [each for each in rules if purpose in each[0]]
        return words.split()

    return found


@pytest.fixture
def listening() -> type[Running]:
    """Wait until a server process says that it listens."""
    return Running


@pytest.fixture
def start(spawn, store, hide, listening):
    """Start a server of one flavour on a free port and wait until it listens.

    The flavours: `native core, granian`, `python core, granian`, and `bare`, which is the python
    core without granian. On the python core the store is the memory of one worker.
    """

    running = []

    def started(flavour, *arguments, program=("-m", "rateproof"), wait=True, **variables):
        environment = {"RATEPROOF_CORE": "native" if flavour[:6] == "native" else "python"}
        environment |= (hide("granian") if flavour == "bare" else {}) | variables
        shared = ("--store", store) if environment["RATEPROOF_CORE"] == "native" else ()
        process = spawn(
            *program,
            *("serve", "--port", 0, *shared, *arguments),
            env=os.environ | environment,
        )
        if not wait:
            return process
        running.append(listening(process))
        return running[-1]

    yield started
    for server in running:
        remove(f"server-{server.port}")  # its counters, where its store has none


@pytest.fixture
def start_tester(spawn, tmp_path):
    """Start `rateproof test --json`, without a search for the worst."""

    def started(url, *options, policy="5 per 1s", **settings):
        fixed = ("--policy", policy, "--worst-time", 0, "--out", tmp_path, "--json")
        return spawn("-m", "rateproof", "test", url, *fixed, *options, **settings)

    return started


@pytest.fixture
def run_tester(start_tester):
    """Run `rateproof test`; its exit code, the lines of its output, and its words."""

    def run(url, *options, **settings):
        process = start_tester(url, *options, **settings)
        output, words = process.communicate(timeout=280)
        return process.returncode, list(map(json.loads, output.splitlines())), words

    return run


class ScriptedServer:
    """Does to each request what its script says, and remembers the requests.

    A script is called with the connection and the header section of a request; anything
    but None ends the connection.
    """

    def __init__(self, script: Callable[[socket.socket, bytes], object], host: str) -> None:
        self.script = script
        self.heads: list[bytes] = []
        self.connections = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=1_024)
        self.host, self.port = host, self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def target(self, path: str = "/") -> Target:
        return Target("http", self.host, self.port, path)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.add(connection)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffered = b""
        with contextlib.suppress(OSError), connection:
            while True:
                while b"\r\n\r\n" not in buffered:
                    chunk = connection.recv(65_536)
                    if not chunk:
                        return
                    buffered += chunk
                head, _, buffered = buffered.partition(b"\r\n\r\n")
                self.heads.append(head)
                if self.script(connection, head) is not None:
                    return

    def wait_for_heads(self, count: int) -> None:
        """Until it has read so many requests: those that a client gave up may come later."""
        deadline = time.monotonic() + 60
        while len(self.heads) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self) -> None:
        # shutdown wakes the accept that is in progress, close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            connection.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    servers: list[ScriptedServer] = []

    def start(script: Callable[[socket.socket, bytes], object], host: str = "127.0.0.1"):
        servers.append(ScriptedServer(script, host))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    """The URL of a server that answers 200 after a delay, one a delay for all tests of a file."""
    started: dict[float, subprocess.Popen[str]] = {}
    urls: dict[float, str] = {}

    def url(delay: float = 0) -> str:
        if delay not in urls:
            process = started[delay] = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(delay)], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            urls[delay] = f"http://127.0.0.1:{int(process.stdout.readline())}/"
        return urls[delay]

    yield url
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(settings: str, **options: Any) -> Terminal:
        opened.append(Terminal(settings, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def start_service(tmp_path):
    """Start a service with these settings and words, ended with the test."""
    with contextlib.ExitStack() as stack:

        def begin(text=LIMITS, *words, **options):
            service = Service(tmp_path, text, *words, **options)
            stack.callback(service.process.stderr.close)
            stack.callback(service.process.wait, 60)
            stack.callback(service.process.kill)
            return service

        yield begin
