"""The demo: a limiter that keeps its promise, one that does not, and the difference proven.

Exits 0 when the tester finds the first consistent and the second violated.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rateproof import __version__
from rateproof.core import active_core

ROOT = Path(__file__).parent.parent
OUT = ROOT / "build" / "demo"
CONSISTENT, VIOLATED = 0, 1
OURS, THEIRS = "rateproof", "flask-limiter"


def free_port(preferred: int) -> int:
    """The preferred loopback port, or where that is taken another one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", preferred))
            return preferred
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(port: int, *command: str) -> Iterator[None]:
    """Run a server while the body runs, from when it accepts connections."""
    print(f"\n$ python {' '.join(command)} &", flush=True)
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the server
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                said.seek(0)
                sys.exit(f"demo: {command[0]} does not listen on port {port}\n{said.read()}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()


def test(name: str, port: int, *options: str) -> int:
    """Run the tester against a port; what it writes is kept in a folder of that name."""
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    command = ["tester.py", f"http://127.0.0.1:{port}", *options]
    command += ["--out", str(folder.relative_to(ROOT))]
    print(f"$ python {' '.join(command)}", flush=True)
    return subprocess.call([sys.executable, *command], cwd=ROOT)


def main() -> int:
    """Run both halves and compare."""
    core = active_core()
    print(f"rateproof {__version__}, {core} core")
    workers, said = ("2", "two worker processes")
    if core == "python":
        workers, said = ("1", "one worker process")
        print(
            "WARNING: the python core is slow, and counts in one process; install Rust, then make."
        )

    print(f"\n--- 1. our own server, {said}: the promise holds")
    port = free_port(8080)
    with running(port, "server.py", "--port", str(port), "--workers", workers):
        ours = test(OURS, port, "--iterations", "3")

    print("\n--- 2. Flask-Limiter with its default strategy: the promise does not hold")
    port = free_port(8081)
    app = ("examples/flask_limiter_app.py", "--strategy", "fixed-window", "--port", str(port))
    with running(port, *app):
        theirs = test(THEIRS, port, "--iterations", "3", "--fail-fast", "--worst-time", "10s")

    good = (ours, theirs) == (CONSISTENT, VIOLATED)
    print(
        f"\nThe demo {'came out as promised' if good else 'DID NOT come out as promised'}. Reports:"
    )
    for name in (OURS, THEIRS):
        page = OUT / name / "test_report.html"
        written = page if page.exists() else page.with_name("test_summary.txt")
        print(f"  {name:<14} {written.relative_to(ROOT)}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
