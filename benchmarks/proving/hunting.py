"""Time that the hunt takes to find what is known to be wrong."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from enforcing.measuring import Figure, figure

ROUNDS = 10
"""The figures that are wanted are medians of so many."""

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 120.0
_MEMORY = """
import time
from collections import defaultdict, deque

SEEN = defaultdict(deque)


def app(environ, start_response):
    times, now = SEEN[environ["QUERY_STRING"]], time.monotonic()
    while times and times[0] <= now - 5:
        times.popleft()
    full = len(times) >= 5
    if not full:
        times.append(now)
    status = "429 Too Many Requests" if full else "200 OK"
    start_response(status, [("Content-Length", "0")])
    return [b""]
"""


def measure(rounds: int, _events: int, _keys: int) -> Iterator[Figure]:
    """Seconds from the start of the command to its end at the first violation, each seed once."""
    seeds = range(max(rounds, ROUNDS))
    example = ["examples/flask_limiter_app.py", "--strategy", "fixed-window", "--port"]
    with _served(lambda port, _: [*example, str(port)]) as url:
        yield _median("Flask-Limiter fixed-window, 5 per 5s", url, seeds, "<= 60")
    with _served(_workers) as url:
        yield _median("in memory on 4 workers, 5 per 5s", url, seeds, "<= 10")


def _workers(port: int, folder: Path) -> list[str]:
    (folder / "limited.py").write_text(_MEMORY)
    where = ["--chdir", str(folder), "--bind", f"127.0.0.1:{port}"]
    return ["-m", "gunicorn", "limited:app", *where, "--workers", "4", "--log-level", "error"]


def _median(title: str, url: str, seeds: range, wanted: str) -> Figure:
    took = [_hunt(url, seed) for seed in seeds]
    return figure(f"hunt finds {title}", median(took), "s", wanted=wanted)


def _hunt(url: str, seed: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "rateproof", "test", url, "--policy", "5 per 5s"),
            *("--worst-time", "0", "--seed", str(seed), "--fail-fast", "--no-shrink"),
            *("--out", folder),
        ]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=False)
        took = time.perf_counter() - start
    if done.returncode != 1:
        raise RuntimeError(f"seed {seed} found nothing: {done.stdout.decode()}")
    return took


@contextmanager
def _served(command: Callable[[int, Path], list[str]]) -> Iterator[str]:
    """Run a server while the body runs; its URL."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        words = [sys.executable, *command(port, Path(folder))]
        silent = subprocess.DEVNULL
        with subprocess.Popen(words, cwd=_ROOT, stdout=silent, stderr=silent) as server:
            try:
                _wait_for(port)
                yield f"http://127.0.0.1:{port}"
            finally:
                server.send_signal(signal.SIGTERM)


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens at port {port}")
