"""Our own server."""

import sys

from league.installed import program
from league.limiters.serving import redis
from league.row import POLICY, Place, Row, Truth
from rateproof import __version__


def _serve(place: Place, store: str = "shm://league-server") -> tuple[str, ...]:
    settings = ("--port", str(place.port), "--policy", POLICY, "--key", "query:clientId")
    server = (sys.executable, "-m", "rateproof", "serve", *settings)
    return (*server, "--store", store, "--workers", "4")


ROWS = (
    Row(
        name="rateproof serve, 4 workers",
        truth=Truth.NO,
        why="an exact log that all workers share",
        worst=5,
        version=lambda: f"rateproof {__version__}",
        commands=lambda place: [_serve(place)],
    ),
    Row(
        name="rateproof serve, 4 workers, Redis",
        truth=Truth.NO,
        why="an exact log in Redis, decided by one script and by the clock of Redis; who has no "
        "decision within 250 ms is denied, whatever Retry-After said before",
        worst=5,
        needs=("redis-server",),
        version=lambda: f"rateproof {__version__}, {program('redis-server', '--version')}",
        commands=lambda place: [
            redis(place),
            _serve(place, f"redis://127.0.0.1:{place.backing_port}"),
        ],
    ),
)
