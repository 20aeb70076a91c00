"""Requests a second of one worker on one core, with the load from another core (wrk)."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ports import free_port, listens

from enforcing.measuring import Figure, figure, pin, program, ratios

HERE = Path(__file__).parents[1]
SECONDS = 1
TURNS = 2
CONNECTIONS = 64
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  limit_req_zone $arg_clientId zone=clients:10m rate=1r/s; limit_req_status 503;
  server {{
    listen 127.0.0.1:{port} reuseport; root {folder};
    location / {{ limit_req zone=clients burst=4 nodelay; }}
  }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A program that serves at a port."""

    name: str
    port: int
    command: Sequence[str]


def measure(rounds: int) -> Iterator[Figure]:
    """Denials and admissions, ours and the peers'."""
    wrk = program("wrk", "apt install wrk")
    nginx = program("nginx", "apt install nginx")
    gunicorn = program(str(Path(sys.executable).with_name("gunicorn")), "pip install gunicorn")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        servers = [*_granian("bare", "same", "denying", "plain", "admitting", "newcomers")]
        port = free_port()
        servers.append(Server("flask-limiter", port, [
            gunicorn, "--worker-class=gthread", "--threads=8", "--workers=1", "--log-level=error",
            "--keep-alive=60", f"--bind=127.0.0.1:{port}", "enforcing.apps:rival",
        ]))  # fmt: skip
        servers.append(_nginx(nginx, Path(folder)))
        for server in servers:
            running.enter_context(_run(server))
        pin(1)
        rates = {server.name: [] for server in servers}
        for turn in range(TURNS * rounds):
            for server in servers if turn % 2 else servers[::-1]:
                rates[server.name].append(_load(wrk, server))
    yield from _figures(rates)


def _figures(rates: dict[str, list[float]]) -> Iterator[Figure]:
    denying = rates["denying"]
    for peer, name, wanted in (
        ("bare", "granian, a bare WSGI function that answers 503", ">= 0.9"),
        ("same", "granian, a bare function that answers with the fields of a denial", None),
        ("flask-limiter", "gunicorn, Flask-Limiter moving-window in memory", ">= 15"),
        ("nginx", "nginx limit_req", None),
    ):
        yield figure(name, median(rates[peer]), "requests/s")
        yield figure(
            "granian, denials by our middleware", median(denying), "requests/s",
            peer=name, ratio=ratios(denying, rates[peer]), wanted=wanted,
        )  # fmt: skip
    yield figure("granian, Flask without a limiter", median(rates["plain"]), "requests/s")
    for app, whose, wanted in (
        ("admitting", "", ">= 0.95"),
        ("newcomers", ", each a new client's", None),
    ):
        yield figure(
            f"granian, Flask behind our middleware, all admitted{whose}",
            median(rates[app]), "requests/s",
            peer="granian, Flask without a limiter",
            ratio=ratios(rates[app], rates["plain"]), wanted=wanted,
        )  # fmt: skip


def _granian(*apps: str) -> Iterator[Server]:
    command = [
        sys.executable, "-m", "granian", "--interface=wsgi", "--workers=1", "--blocking-threads=1",
        "--http=1", "--no-ws", "--log-level=error", "--backpressure=1024",
    ]  # fmt: skip
    for app in apps:
        port = free_port()
        yield Server(app, port, [*command, f"--port={port}", f"enforcing.apps:{app}"])


def _nginx(path: str, folder: Path) -> Server:
    port = free_port()
    (folder / "index.html").write_text("hello\n", encoding="ascii")
    folder.chmod(0o755)
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, port=port), encoding="ascii")
    return Server("nginx", port, [path, "-c", str(settings)])


@contextmanager
def _run(server: Server) -> Iterator[None]:
    process = subprocess.Popen(server.command, cwd=HERE, preexec_fn=lambda: pin(0))  # noqa: PLW1509
    try:
        deadline = time.monotonic() + 20
        while not listens(server.port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LookupError(f"{server.name} does not start: {' '.join(server.command)}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _load(wrk: str, server: Server) -> float:
    """Requests a second, all of one client."""
    url = f"http://127.0.0.1:{server.port}/?clientId=client-7"
    said = subprocess.check_output([wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", url], text=True)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if found is None:
        raise LookupError(f"wrk said nothing of a rate: {said}")
    return float(found[1])
