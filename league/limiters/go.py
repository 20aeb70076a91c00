"""Limiters for Go's net/http, in memory."""

from functools import partial

from league.installed import go_module
from league.limiters.serving import go
from league.row import Place, Row, Truth


def _commands(name: str, place: Place) -> list[tuple[str, ...]]:
    return [go(place, name)]


_NAMED = {"fiber sliding": ", sliding"}
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
    (
        "github.com/throttled/throttled/v2",
        "throttled",
        9,
        "GCRA: 5 at once, and one more every second",
    ),
    ("github.com/labstack/echo/v4", "echo", 9, "a bucket: 5 at once, and one more every second"),
    (
        "github.com/gofiber/fiber/v2",
        "fiber",
        10,
        (
            "a window opens at a client's first request and ends with a whole second of the clock: "
            "it may last hardly more than 4 s"
        ),
    ),
    (
        "github.com/gofiber/fiber/v2",
        "fiber sliding",
        None,
        (
            "counts per window, weighs the previous one by whole seconds and rounds it down; "
            "denied requests count too"
        ),
    ),
)

ROWS = tuple(
    Row(
        name=f"{path.removeprefix('github.com/')} in memory{_NAMED.get(name, '')}",
        truth=Truth.YES,
        why=why,
        worst=worst,
        needs=("go",),
        version=partial(go_module, path),
        commands=partial(_commands, name),
    )
    for path, name, worst, why in _MODULES
)
