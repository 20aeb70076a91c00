"""The rate-limited server: a Flask application, exact across its worker processes."""

import functools
import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from wsgiref.types import WSGIApplication

from rateproof import __version__
from rateproof.core import active_core
from rateproof.enforce.http import RateLimitMiddleware, checked_status
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.listening import bound_socket, url_of
from rateproof.enforce.stores.location import remove
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["ServerSettings", "application", "greeting", "serve"]

DEFAULT_POLICY = Policy.parse("5 per 5s")
DEFAULT_KEY = KeySpec.parse("query:clientId|header:X-Client-Id|ip")

_MAX_WORKERS = 256
_FOLLOW_S = 0.5
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What to serve, where, and to whom how often.

    Args:
        policy: what each client may do.
        key: where a request says whose it is.
        host: a name or address of this machine.
        port: 0 to 65535; 0 picks a free one.
        workers: processes, 1 to 256; None for one a core, or for one only if
            `store` cannot be shared.
        store: where admissions are kept; None for `shm://server-PORT` (on the
            python core `shm://server-PORT-python`), which all workers share. It outlives the server, so that a restart forgives nothing,
            unless the port was picked.
        status: the code of a denial, 400 to 599.
        json: say what is served as one JSON object on stdout, too.
        with_parent: stop when the process that started this one is gone.

    Raises:
        InvalidArgument: a value out of these bounds, or several workers that
            would each count in a memory of their own.
    """

    policy: Policy = DEFAULT_POLICY
    key: KeySpec = DEFAULT_KEY
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int | None = None
    store: str | None = None
    status: int = 503
    json: bool = False
    with_parent: bool = False

    def __post_init__(self) -> None:
        checked_status(self.status)
        if not self.host:
            raise InvalidArgument("an empty host", "a name or address of this machine")
        if not 0 <= self.port <= 65_535:
            raise InvalidArgument(f"port {self.port}", "0 to 65535")
        if self.workers is not None and not 1 <= self.workers <= _MAX_WORKERS:
            raise InvalidArgument(f"{self.workers} workers", f"1 to {_MAX_WORKERS}")
        if (self.workers or 1) > 1 and self._in_memory:
            raise InvalidArgument(
                f"{self.workers} workers with {self.store}, which they cannot share",
                "shm://NAME is shared by all processes of this machine",
            )

    @property
    def _in_memory(self) -> bool:
        return self.store is not None and self.store.startswith("memory:")

    @property
    def worker_count(self) -> int:
        """How many processes serve, where granian is installed."""
        if self.workers is not None:
            return self.workers
        return 1 if self._in_memory else min(os.cpu_count() or 1, _MAX_WORKERS)

    @property
    def location(self) -> str:
        """The store in use. Its default derives from the port, and from the core if that is slow.

        Two cores never share a table: a server that is restarted on the other
        one, with the default store, must not fail on what the first left behind.
        """
        if self.store is not None:
            return self.store
        suffix = "" if active_core() == "native" else "-python"
        return f"shm://server-{self.port}{suffix}"


def application(settings: ServerSettings) -> WSGIApplication:
    """The greeting behind a limiter: what each worker process serves.

    Raises:
        StoreError: the store cannot be opened.
        InvalidArgument: Flask is not installed.
    """
    app = greeting()
    limiter = Limiter(settings.policy, store=settings.location)
    return RateLimitMiddleware(app, limiter, key=settings.key, status=settings.status)


def greeting() -> "Flask":
    """A Flask application with one page, and `/healthz`, which is never limited.

    Raises:
        InvalidArgument: Flask is not installed.
    """
    try:
        import flask
    except ImportError as error:
        raise InvalidArgument("Flask is not installed", "pip install flask") from error
    app = flask.Flask("rateproof", static_folder=None)

    @app.route("/", methods=_METHODS)
    def greet() -> flask.Response:
        return flask.Response('{"message": "hello"}\n', mimetype="application/json")

    @app.route("/healthz")
    def health() -> flask.Response:
        return flask.Response("ok\n", mimetype="text/plain")

    return app


def serve(settings: ServerSettings) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are answered first.

    Must run in the main thread, which receives signals. Uses granian, or where
    that is missing Werkzeug in one process, and says so. What is served, and by
    which core, is printed on stderr once connections are accepted.

    Raises:
        Unreachable: the port is taken, or the host is not this machine.
        StoreError: the store cannot be opened.
        InvalidArgument: Flask is not installed.
        RateproofError: the workers do not start.
    """
    passing = settings.port == 0 and settings.store is None
    if settings.with_parent:
        threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    with bound_socket(settings.host, settings.port) as bound:
        settings = replace(settings, port=bound.getsockname()[1])
        greeting()
        Limiter(settings.policy, store=settings.location).close()
        try:
            _run(settings, bound)
        finally:
            if passing:  # nobody will ask for this port again, nor for its store
                remove(settings.location.removeprefix("shm://"))


def _follow(parent: int) -> None:
    """Stop once the parent is gone, however it ended: a killed one cannot say so."""
    while os.getppid() == parent:
        time.sleep(_FOLLOW_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _run(settings: ServerSettings, bound: socket.socket) -> None:
    try:
        from rateproof.enforce import granian_server
    except ImportError:
        from rateproof.enforce import werkzeug_server

        _explain_missing_granian(settings)
        settings = replace(settings, workers=1)
        werkzeug_server.run(application(settings), bound, lambda: _announce(settings))
    else:
        make = functools.partial(application, settings)
        granian_server.run(make, settings.worker_count, bound, lambda: _announce(settings))


def _announce(settings: ServerSettings) -> None:
    core, count = active_core(), settings.worker_count
    url = url_of(settings.host, settings.port)
    slow = (
        "WARNING: the python core is the slow reference; the native one needs "
        "a Rust toolchain when rateproof is installed\n"
    )
    banner = (
        f"rateproof {__version__} ({core} core): {settings.policy} per {settings.key}, "
        f"{count} worker{'s' * (count > 1)}, listening at {url}\n"
    )
    # In one piece, for lines of the workers may come between.
    sys.stderr.write(banner if core == "native" else slow + banner)
    sys.stderr.flush()
    if settings.json:
        facts = {"url": url, "core": core, "workers": count, "store": settings.location}
        facts |= {"policy": str(settings.policy), "key": str(settings.key)}
        print(json.dumps(facts), flush=True)


def _explain_missing_granian(settings: ServerSettings) -> None:
    asked = f", not {settings.workers}" if (settings.workers or 1) > 1 else ""
    print(
        f"granian is not installed: Werkzeug serves with 1 worker process{asked} "
        "(hint: pip install granian)",
        file=sys.stderr,
    )
