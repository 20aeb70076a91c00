"""Invented identities: how many honest new clients still find a place.

Two processes share a `shm://` store of the default capacity under `5 per 1h`. Each passes requests to
the middleware as a server does, without sockets: 5,000 a second of the attack, each with a new
identity, and 50 of honest new clients, each from an address of its own. It lasts for 200,000
requests of the attack, and the table has 114,688 places. Counted are the honest of the last
quarter, and clients that came once before the attack and come again after it.
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
_KNOWN = 100


def measure(_: int) -> Iterator[Figure]:
    """Shares of honest clients that are served, with the defence and without."""
    for addresses, exempt in ((1, ""), (1, "all"), (250, ""), (1_000, ""), (1_000, "all")):
        served, asked, known, took_s = _run(addresses, exempt)
        attack = f"attack from {addresses} address{'es' * (addresses > 1)}"
        if exempt:
            attack += ", without the defence"
        wanted = None if addresses > 250 or exempt else ">= 99"
        yield figure(f"new clients served, {attack}", 100 * served / asked, "%", wanted=wanted)
        again = 100 * known / (_WORKERS * _KNOWN)
        yield figure(f"known clients served, {attack}", again, "%", wanted="100")
        rate = _WORKERS * _ATTACK * _TICKS / took_s
        yield figure(f"rate, {attack}", rate, "requests/s", wanted=">= 9900")


def _run(addresses: int, exempt: str) -> tuple[int, int, int, float]:
    """Counts of new clients served and asked, of known clients served, and the seconds it took."""
    name = f"flooding-{uuid.uuid4().hex}"
    try:
        with get_context("spawn").Pool(_WORKERS) as pool:
            parts = [(f"shm://{name}", part, addresses, exempt) for part in range(_WORKERS)]
            found = pool.starmap(_work, parts)
    finally:
        remove(name)
    served, asked, known, took_s = zip(*found, strict=True)
    return sum(served), sum(asked), sum(known), max(took_s)


def _work(store: str, part: int, addresses: int, exempt: str) -> tuple[int, int, int, float]:
    with Limiter("5 per 1h", store=store) as limiter:
        app = RateLimitMiddleware(_greet, limiter, key="query:id|ip", flood_exempt=exempt or ())
        served = counted = asked = 0
        known = [(f"192.168.{part}.{n}", f"known-{part}-{n}") for n in range(_KNOWN)]
        for client in known:
            _ask(app, *client)
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
        took_s = time.monotonic() - began
        return served, counted, sum(_ask(app, *client) for client in known), took_s


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
