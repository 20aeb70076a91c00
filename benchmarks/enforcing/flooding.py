"""Invented identities: how many honest new clients still find a place.

Two processes share a `shm://` store of the default capacity under `5 per 1h`. Each passes requests to
the middleware as a server does: 5,000 a second of the attack, each with a new identity, and 50
of honest new clients, each from an address of its own. It lasts for 200,000 requests of the
attack, and the table has 114,688 places. Counted are the honest of the last quarter.
"""

import time
import uuid
from collections.abc import Iterator
from multiprocessing import get_context
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from enforcing.measuring import Figure, figure
from rateproof import Limiter, RateLimitMiddleware
from rateproof.enforce.stores import remove

_WORKERS = 2
_ATTACK, _HONEST = 50, 0.5  # a hundredth of a second, in each process
_TICKS = 2_000


def measure(_: int) -> Iterator[Figure]:
    """Shares of honest new clients that are served, with the defence and without."""
    for addresses in (1, 1_000):
        for exempt in ("", "all"):
            served, asked, took_s = _run(addresses, exempt)
            name = f"honest new clients served, attack from {addresses} address{'es' * (addresses > 1)}"
            wanted = ">= 99" if addresses == 1 and not exempt else None
            if exempt:
                name += ", without the defence"
            yield figure(name, 100 * served / asked, "%", wanted=wanted)
            if not exempt:
                rate = _WORKERS * _ATTACK * _TICKS / took_s
                yield figure(f"rate of that attack, {addresses}", rate, "requests/s")


def _run(addresses: int, exempt: str) -> tuple[int, int, float]:
    name = f"flooding-{uuid.uuid4().hex}"
    try:
        with get_context("spawn").Pool(_WORKERS) as pool:
            parts = [(f"shm://{name}", part, addresses, exempt) for part in range(_WORKERS)]
            found = pool.starmap(_work, parts)
    finally:
        remove(name)
    return sum(each[0] for each in found), sum(each[1] for each in found), max(e[2] for e in found)


def _work(store: str, part: int, addresses: int, exempt: str) -> tuple[int, int, float]:
    with Limiter("5 per 1h", store=store) as limiter:
        app = RateLimitMiddleware(_greet, limiter, key="query:id|ip", flood_exempt=exempt or ())
        served = counted = asked = 0
        began = time.monotonic()
        for tick in range(_TICKS):
            for each in range(_ATTACK):
                number = tick * _ATTACK + each
                attacker = number * _WORKERS + part
                _ask(app, f"10.0.{attacker % addresses // 250}.{attacker % addresses % 250}",
                     f"invented-{part}-{number}")  # fmt: skip
            while asked < tick * _HONEST:
                asked += 1
                address = f"172.{16 + part}.{asked // 250}.{asked % 250}"
                passed = _ask(app, address, f"honest-{part}-{asked}")
                counted += tick >= _TICKS * 3 // 4
                served += passed and tick >= _TICKS * 3 // 4
            time.sleep(max(0, began + (tick + 1) / 100 - time.monotonic()))
        return served, counted, time.monotonic() - began


def _ask(app: RateLimitMiddleware, address: str, identity: str) -> bool:
    said: list[str] = []
    environ: WSGIEnvironment = {
        "REMOTE_ADDR": address,
        "QUERY_STRING": f"id={identity}",
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
    }

    def start(status: str, *_: Any) -> Any:
        said.append(status)

    app(environ, start)
    return said[0].startswith("200")


def _greet(_: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello\n"]
