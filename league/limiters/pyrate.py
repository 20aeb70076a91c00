"""pyrate-limiter."""

from league.installed import pypi
from league.limiters.serving import gunicorn
from league.row import Row, Truth

ROWS = (
    Row(
        name="pyrate-limiter in memory, one process",
        truth=Truth.NO,
        why="an exact log; asked not to wait, it rejects whoever asks while another thread decides",
        worst=5,
        version=lambda: pypi("pyrate-limiter", "gunicorn"),
        commands=lambda place: [gunicorn(place, "pyrate_app:create_app()")],
    ),
)
