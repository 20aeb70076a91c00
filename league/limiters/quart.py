"""Quart-Rate-Limiter."""

from league.installed import pypi
from league.limiters.serving import uvicorn
from league.row import Row, Truth

ROWS = (
    Row(
        name="Quart-Rate-Limiter, one process",
        truth=Truth.YES,
        why="GCRA: 5 at once, and one more every second",
        worst=9,
        version=lambda: pypi("quart-rate-limiter", "Quart", "uvicorn"),
        commands=lambda place: [uvicorn(place, "quart_app:app")],
    ),
)
