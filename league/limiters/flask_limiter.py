"""Flask-Limiter: its three strategies, and one of them on several workers."""

from functools import partial

from league.installed import ROOT, program, pypi
from league.limiters.serving import gunicorn, redis
from league.row import Place, Row, Truth


def _version() -> str:
    return pypi("Flask-Limiter", "limits", "gunicorn")


def _app(place: Place, strategy: str, store: str, *, workers: int = 1) -> tuple[str, ...]:
    app = f'flask_limiter_app:create_app("{strategy}", "{store}")'
    return gunicorn(place, app, workers=workers)


def _drop_in(place: Place) -> list[tuple[str, ...]]:
    app = _app(place, "moving-window", "rateproof+shm://league-drop-in", workers=4)
    return [("env", f"PYTHONPATH={ROOT / 'src'}", *app)]


def _redis(strategy: str, place: Place) -> list[tuple[str, ...]]:
    app = _app(place, strategy, f"redis://127.0.0.1:{place.backing_port}", workers=4)
    return [redis(place), app]


ROWS = (
    Row(
        name="Flask-Limiter fixed-window, one process",
        truth=Truth.YES,
        why="a window opens at a client's first request, and the next one right after it",
        worst=9,
        version=_version,
        commands=lambda place: [_app(place, "fixed-window", "memory://")],
    ),
    Row(
        name="Flask-Limiter moving-window, one process",
        truth=Truth.NO,
        why="an exact log under a lock",
        worst=5,
        version=_version,
        commands=lambda place: [_app(place, "moving-window", "memory://")],
    ),
    Row(
        name="Flask-Limiter sliding-window-counter, one process",
        truth=Truth.YES,
        why="counts per window of the clock, and rounds the weight of the previous one down",
        worst=10,
        version=_version,
        commands=lambda place: [_app(place, "sliding-window-counter", "memory://")],
    ),
    Row(
        name="Flask-Limiter moving-window, 4 workers, memory",
        truth=Truth.YES,
        why="each worker counts for itself",
        worst=20,
        version=_version,
        commands=lambda place: [_app(place, "moving-window", "memory://", workers=4)],
    ),
    Row(
        name="Flask-Limiter moving-window, 4 workers, Redis",
        truth=Truth.NO,
        why="a script in Redis admits a sixth only with a stamp 5 s after the first's, "
        "and stamps are taken while their requests are under way",
        worst=5,
        needs=("redis-server",),
        version=lambda: f"{_version()}, {program('redis-server', '--version')}",
        commands=partial(_redis, "moving-window"),
    ),
    Row(
        name="Flask-Limiter fixed-window, 4 workers, Redis",
        truth=Truth.YES,
        why="a window opens at a client's first request, and the next one right after it",
        worst=9,
        needs=("redis-server",),
        version=lambda: f"{_version()}, {program('redis-server', '--version')}",
        commands=partial(_redis, "fixed-window"),
    ),
    Row(
        name="Flask-Limiter moving-window, 4 workers, rateproof+shm://",
        truth=Truth.NO,
        why="an exact log that all workers share: `import rateproof.limits`",
        worst=5,
        version=_version,
        commands=_drop_in,
    ),
)
