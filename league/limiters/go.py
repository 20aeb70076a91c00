"""Limiters for Go's net/http, in memory."""

from functools import partial

from league.installed import go_module
from league.limiters.serving import go
from league.row import Place, Row, Truth


def _commands(name: str, place: Place) -> list[tuple[str, ...]]:
    return [go(place, name)]


_MODULES = (
    ("golang.org/x/time", "x/time/rate", 9, "a bucket: 5 at once, and one more every second"),
    (
        "github.com/go-chi/httprate",
        "httprate",
        10,
        "counts per window, and rounds the weight of the previous one to the nearest",
    ),
    (
        "github.com/ulule/limiter/v3",
        "ulule",
        9,
        "a window opens at a client's first request, and the next one right after it",
    ),
    (
        "github.com/sethvargo/go-limiter",
        "go-limiter",
        10,
        "windows that follow each other from a client's first request on",
    ),
)

ROWS = tuple(
    Row(
        name=f"{path.removeprefix('github.com/')} in memory",
        truth=Truth.YES,
        why=why,
        worst=worst,
        needs=("go",),
        version=partial(go_module, path),
        commands=partial(_commands, name),
    )
    for path, name, worst, why in _MODULES
)
