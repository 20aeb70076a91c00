"""Servers of the small applications of `league/apps`."""

from league.installed import APPS, BIN, GO_LIMITERS, NODE_MODULES
from league.row import Place

__all__ = ["go", "gunicorn", "node", "redis", "uvicorn"]


def gunicorn(place: Place, app: str, *, workers: int = 1, threads: int = 8) -> tuple[str, ...]:
    """A WSGI application behind gunicorn's threaded workers; one thread decides in turn."""
    return (
        *(str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{place.port}", "--log-level", "error"),
        *("--worker-class", "gthread", "--workers", str(workers), "--threads", str(threads)),
        *("--keep-alive", "75", "--worker-tmp-dir", str(place.folder)),
        *("--no-control-socket", "--pythonpath", str(APPS), app),
    )


def uvicorn(place: Place, app: str) -> tuple[str, ...]:
    """An ASGI application behind one process of uvicorn."""
    return (
        *(str(BIN / "uvicorn"), "--host", "127.0.0.1", "--port", str(place.port)),
        *("--log-level", "error", "--app-dir", str(APPS), app),
    )


def node(place: Place, script: str) -> tuple[str, ...]:
    """A script of `apps/node`."""
    path = ("env", f"NODE_PATH={NODE_MODULES}")
    return (*path, "node", str(APPS / "node" / script), str(place.port))


def redis(place: Place) -> tuple[str, ...]:
    """A Redis that keeps nothing, at the place's backing port."""
    return (
        *("redis-server", "--bind", "127.0.0.1", "--port", str(place.backing_port)),
        *("--save", "", "--dir", str(place.folder)),
    )


def go(place: Place, name: str) -> tuple[str, ...]:
    """One of the limiters in `apps/go/main.go`."""
    return (str(GO_LIMITERS), name, str(place.port))
