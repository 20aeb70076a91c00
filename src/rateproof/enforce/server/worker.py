"""The application of a worker process: a greeting behind a limiter that follows the settings."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rateproof.enforce.http import RateLimitMiddleware
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.server.board import Board
from rateproof.enforce.server.metrics import MetricsPage
from rateproof.enforce.server.settings import ServerSettings
from rateproof.enforce.stores import Store, open_store
from rateproof.errors import InvalidArgument
from rateproof.output import say

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from flask import Flask

_MS_NS = 1_000_000
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Worker:
    """The application of one process, limited as the newest settings on the board say.

    No request that begins after a post is decided by the settings before it;
    one that is being answered meanwhile ends as it began.

    Raises:
        StoreError: the store cannot be opened.
        InvalidArgument: Flask is not installed.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._greeting = greeting()
        self._renewing = threading.Lock()
        self._mark = board.mark()
        settings = board.read(self._mark)
        local = settings.on_error == "local"
        self._store = open_store(settings.location, settings.capacity, local=local)
        self._app = self._limited(settings)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if self._board.mark() != self._mark:
            self._renew()
        return self._app(environ, start_response)

    def _renew(self) -> None:
        with self._renewing:
            mark = self._board.mark()
            if mark != self._mark:
                # The limiter before is let go, not closed: it may be deciding.
                settings = self._board.read(mark)
                self._app = self._limited(settings)
                self._store.retain(settings.policy.quotas)
                self._mark = mark

    def _limited(self, settings: ServerSettings) -> WSGIApplication:
        limiter = limiter_of(settings, self._store)
        app: WSGIApplication = RateLimitMiddleware(
            self._greeting,
            limiter,
            key=settings.key,
            status=settings.status,
            exempt=("/healthz", *settings.exempt),
            address=settings.address,
            x_ratelimit=settings.x_ratelimit,
            flood_exempt=settings.flood_exempt,
        )
        if settings.metrics != "off":
            app = MetricsPage(app, limiter, settings.metrics)
        return _AccessLog(app) if settings.access_log else app


class _AccessLog:
    """A WSGI application that notes what another one answered, and the milliseconds it took.

    The line has no query and no field, where identities are, and what clients
    choose is escaped: no path writes a line.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began_ns, code = time.monotonic_ns(), "-"

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
        ) -> Callable[[bytes], object]:
            nonlocal code
            code = status.partition(" ")[0]
            return start_response(status, headers, exc_info)

        try:
            return self._app(environ, start)
        finally:
            took_ms = (time.monotonic_ns() - began_ns) / _MS_NS
            what = f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"
            say(f"{environ.get('REMOTE_ADDR')} {what!a} {code} {took_ms:.3f} ms")


def limiter_of(settings: ServerSettings, store: Store | None = None) -> Limiter:
    """The limiter that these settings ask for, on a store that is open or on its own."""
    return Limiter(
        settings.policy,
        store=settings.location if store is None else store,
        on_full=settings.on_full,
        on_error=settings.on_error,
        capacity=settings.capacity,
        shadow=settings.shadow,
        counters=settings.counters,
    )


def greeting() -> "Flask":
    """A Flask application with one page, and `/healthz`."""
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
