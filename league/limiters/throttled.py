"""throttled-py: all five of its algorithms, in memory."""

from functools import partial

from league.installed import pypi
from league.limiters.serving import gunicorn
from league.row import Place, Row, Truth


def _commands(algorithm: str, place: Place) -> list[tuple[str, ...]]:
    return [gunicorn(place, f'throttled_app:create_app("{algorithm}")')]


_SECONDS = "5 at once, and time is kept in whole seconds: 5 more when 5 of them have begun"
_ALGORITHMS = (
    ("fixed_window", 10, "windows of the clock: 5 just before an edge, 5 just after"),
    (
        "sliding_window",
        10,
        "counts per window of the clock, and rounds the weight of the previous one down",
    ),
    ("token_bucket", 10, _SECONDS),
    ("leaking_bucket", 10, _SECONDS),
    ("gcra", 9, "5 at once, and one more every second"),
)

ROWS = tuple(
    Row(
        name=f"throttled-py {algorithm.replace('_', ' ')}, one process",
        truth=Truth.YES,
        why=why,
        worst=worst,
        version=lambda: pypi("throttled-py", "gunicorn"),
        commands=partial(_commands, algorithm),
    )
    for algorithm, worst, why in _ALGORITHMS
)
