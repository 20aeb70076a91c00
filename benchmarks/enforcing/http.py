"""Requests a second of one worker on one core, with the load from another core (wrk)."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from ports import free_port
from serving.servers import Nginx, Server
from simulating.machine import LOAD
from simulating.programs import program

from enforcing.measuring import Figure, figure, pin, ratios

HERE = Path(__file__).parents[1]
SECONDS = 1
TURNS = 2
CONNECTIONS = 64
NGINX = """
  limit_req_zone $arg_clientId zone=clients:10m rate=1r/s; limit_req_status 503;
  server {{
    listen 127.0.0.1:{port} reuseport; root {folder};
    location / {{ limit_req zone=clients burst=4 nodelay; }}
  }}
"""


def measure(rounds: int) -> Iterator[Figure]:
    """Denials and admissions, ours and the peers'."""
    wrk = program("wrk", "apt install wrk")
    with ExitStack() as running:
        apps = ("bare", "same", "denying", "plain", "admitting", "newcomers")
        servers = {app: running.enter_context(_granian(app)) for app in apps}
        servers["flask-limiter"] = running.enter_context(_gunicorn("rival"))
        servers["nginx"] = running.enter_context(Nginx(NGINX, {"index.html": b"hello\n"}))
        pin(LOAD)
        for server in servers.values():
            _load(wrk, server.http)  # some listen before their worker is there
        rates = {name: [] for name in servers}
        for turn in range(TURNS * rounds):
            for name in servers if turn % 2 else reversed(servers):
                rates[name].append(_load(wrk, servers[name].http))
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


def _granian(app: str) -> Server:
    port = free_port()
    return Server(
        sys.executable, "-m", "granian", "--interface=wsgi", "--workers=1", "--blocking-threads=1",
        "--http=1", "--no-ws", "--log-level=error", "--backpressure=1024", f"--working-dir={HERE}",
        f"--port={port}", f"enforcing.apps:{app}", ports=(port,),
    )  # fmt: skip


def _gunicorn(app: str) -> Server:
    port = free_port()
    return Server(
        program(str(Path(sys.executable).with_name("gunicorn")), "pip install gunicorn"),
        "--worker-class=gthread", "--threads=8", "--workers=1", "--log-level=error",
        "--keep-alive=60", f"--chdir={HERE}", f"--bind=127.0.0.1:{port}", f"enforcing.apps:{app}",
        ports=(port,),
    )  # fmt: skip


def _load(wrk: str, port: int) -> float:
    """Requests a second, all of one client."""
    url = f"http://127.0.0.1:{port}/?clientId=client-7"
    said = subprocess.check_output([wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", url], text=True)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if found is None:
        raise LookupError(f"wrk said nothing of a rate: {said}")
    return float(found[1])
