"""Our own server."""

import sys

from league.row import POLICY, Place, Row, Truth
from rateproof import __version__


def _serve(place: Place) -> list[tuple[str, ...]]:
    settings = ("--port", str(place.port), "--policy", POLICY, "--key", "query:clientId")
    store = ("--store", "shm://league-server")
    return [(sys.executable, "-m", "rateproof", "serve", *settings, *store, "--workers", "4")]


ROWS = (
    Row(
        name="rateproof serve, 4 workers",
        truth=Truth.NO,
        why="an exact log that all workers share",
        worst=5,
        version=lambda: f"rateproof {__version__}",
        commands=_serve,
    ),
)
