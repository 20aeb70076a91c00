"""Limiters to probe, each a process of its own on a port of the loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree, which

from ports import free_port

__all__ = [
    "ALGORITHMS",
    "STRATEGIES",
    "flask_limiter",
    "nginx",
    "nginx_program",
    "our_server",
    "running",
]

ALGORITHMS = (
    "sliding-log",
    "token-bucket",
    "fixed-window",
    "first-hit-window",
    "sliding-counter",
)
STRATEGIES = ("fixed-window", "moving-window", "sliding-window-counter")

_APPLICATION = """
from flask import Flask, request
from flask_limiter import Limiter

app = Flask(__name__)
limiter = Limiter(
    lambda: request.args.get("clientId", ""),
    app=app,
    default_limits=["{limit} per {seconds} second"],
    strategy="{strategy}",
    storage_uri="memory://",
)

@app.get("/")
def page():
    return "ok"
"""
_NGINX = """
daemon off;
master_process off;
error_log stderr crit;
pid {folder}/pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    limit_req_zone $arg_clientId zone=clients:10m rate={rate};
    limit_req_status 429;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            limit_req zone=clients burst={more}{nodelay};
            try_files /nothing @ok;
        }}
        location @ok {{ return 200 "ok"; }}
    }}
}}
"""


@contextmanager
def our_server(policy: str) -> Iterator[str]:
    """`rateproof serve`, on two workers."""
    port = free_port()
    arguments = ("-m", "rateproof", "serve", "--port", str(port), "--policy", policy)
    store = f"probed-{os.getpid()}-{port}"
    with running(port, sys.executable, *arguments, "--workers", "2", "--store", f"shm://{store}"):
        yield _url(port)
    from rateproof.enforce.stores.location import remove

    for name in (store, f"server-{port}"):
        remove(name)


@contextmanager
def flask_limiter(strategy: str, limit: int, seconds: int, workers: int = 1) -> Iterator[str]:
    """A Flask application behind gunicorn, whose Flask-Limiter keeps its state in memory."""
    port, folder = free_port(), Path(tempfile.mkdtemp())
    text = _APPLICATION.format(limit=limit, seconds=seconds, strategy=strategy)
    (folder / "limited.py").write_text(text, encoding="ascii")
    options = ("--workers", str(workers), "--threads", "32", "--keep-alive", "75")
    where = ("--chdir", str(folder), "--bind", f"127.0.0.1:{port}")
    with running(port, sys.executable, "-m", "gunicorn", *options, *where, "limited:app"):
        yield _url(port)
    rmtree(folder)


def nginx_program() -> str:
    """The path of nginx; ends the benchmark if it is not installed."""
    program = which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("nginx is not installed: apt install nginx-light")
    return program


@contextmanager
def nginx(limit: int, window_ms: int, *, delay: bool) -> Iterator[str]:
    """nginx with limit_req: `limit` at once, and as many in a window."""
    port, folder = free_port(), Path(tempfile.mkdtemp())
    rate = limit * 60_000 // window_ms
    text = _NGINX.format(
        folder=folder,
        port=port,
        rate=f"{rate}r/m",
        more=limit - 1,
        nodelay="" if delay else " nodelay",
    )
    (folder / "nginx.conf").write_text(text, encoding="ascii")
    with running(port, nginx_program(), "-p", str(folder), "-c", str(folder / "nginx.conf")):
        yield _url(port)
    rmtree(folder)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


@contextmanager
def running(port: int, *command: str) -> Iterator[None]:
    """A process that listens, with its children, until the body is done."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        _wait(process, port)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(500):
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended: {process.communicate()[1].decode()}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        time.sleep(0.02)
    raise SystemExit(f"{process.args} does not listen")
