"""slowapi."""

from league.installed import pypi
from league.limiters.serving import uvicorn
from league.row import Row, Truth

ROWS = (
    Row(
        name="slowapi, default strategy, one process",
        truth=Truth.YES,
        why="the fixed window of `limits`, which opens at a client's first request",
        worst=9,
        version=lambda: pypi("slowapi", "limits", "uvicorn"),
        commands=lambda place: [uvicorn(place, "slowapi_app:app")],
    ),
    Row(
        name="slowapi, moving-window, one process",
        truth=Truth.NO,
        why="an exact log, where only one request at a time is decided",
        worst=5,
        version=lambda: pypi("slowapi", "limits", "uvicorn"),
        commands=lambda place: [
            ("env", "STRATEGY=moving-window", *uvicorn(place, "slowapi_app:app"))
        ],
    ),
)
