"""Limiters for Node, in memory."""

from functools import partial

from league.installed import npm
from league.limiters.serving import node
from league.row import Place, Row, Truth


def _commands(script: str, place: Place) -> list[tuple[str, ...]]:
    return [node(place, script)]


_OPENED = "a window opens at a client's first request, and the next one right after it"
_FORGETS = (
    "an exact log, but a timer forgets a client 5 s after his last request by the time of the "
    "event loop, which lags behind: 5 more in a hair less than 5 s"
)
_BUCKET = (
    "a bucket of 5 that gains one every second, and 5 in each of the client's windows: 4 at the "
    "end of one, 5 in the next"
)
_PACKAGES = (
    ("express-rate-limit", "express_rate_limit.js", ("express",), Truth.YES, 9, _OPENED),
    ("@fastify/rate-limit", "fastify_rate_limit.js", ("fastify",), Truth.YES, 9, _OPENED),
    ("rate-limiter-flexible", "rate_limiter_flexible.js", (), Truth.YES, 9, _OPENED),
    ("koa-ratelimit", "koa_ratelimit.js", ("koa",), Truth.YES, 9, _OPENED),
    ("hono-rate-limiter", "hono_rate_limiter.js", ("hono",), Truth.YES, 9, _OPENED),
    ("limiter", "limiter.js", (), Truth.YES, 9, _BUCKET),
    (
        "rolling-rate-limiter",
        "rolling_rate_limiter.js",
        (),
        Truth.EITHER,
        10,
        _FORGETS,
    ),
)

ROWS = tuple(
    Row(
        name=f"{package}, one process",
        truth=truth,
        why=why,
        worst=worst,
        needs=("node", "npm"),
        version=partial(npm, package, *others),
        commands=partial(_commands, script),
    )
    for package, script, others, truth, worst, why in _PACKAGES
)
