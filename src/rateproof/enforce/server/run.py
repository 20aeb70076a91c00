"""Serving: a port, the limiter behind it, and whichever HTTP server is installed."""

import functools
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from wsgiref.types import WSGIApplication

from rateproof import __version__, linux
from rateproof.core import active_core
from rateproof.enforce.http.asgi import AsgiApplication
from rateproof.enforce.server.board import Board
from rateproof.enforce.server.listening import bound_socket, url_of
from rateproof.enforce.server.reload import Reloader, warn_of_names
from rateproof.enforce.server.settings import ServerSettings
from rateproof.enforce.server.worker import Worker, greeting, limiter_of
from rateproof.enforce.stores import NETWORK_SCHEMES, remove
from rateproof.output import emit, say

_FOLLOW_S = 0.5


def serve(settings: ServerSettings, read: Callable[[], ServerSettings] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are answered first, for 2 s at most.

    Must run in the main thread, which receives signals. Uses granian, or where
    that is missing Werkzeug in one process, and says so. What is served, and by
    which core, is printed on stderr once connections are accepted.

    Args:
        settings: what to serve.
        read: the settings as they stand now, asked on SIGHUP (see `Reloader`).
            None: there is nothing to read, and SIGHUP ends the server, too,
            unless it is ignored from the start.

    Raises:
        Unreachable: the port is taken, or the host is not this machine.
        StoreError: the store cannot be opened.
        InvalidArgument: Flask is not installed, or this is not Linux.
        RateproofError: the workers do not start.
    """
    linux.required("rateproof serve")
    asked = settings.port
    if settings.with_parent:
        threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    with bound_socket(settings.host, settings.port) as bound:
        settings = replace(settings, port=bound.getsockname()[1])
        again = functools.partial(_again, read or (lambda: settings), asked, settings.port)
        greeting()
        limiter_of(settings).close()
        board = Board()
        reloader = Reloader(settings, again, board)
        reloader.start()
        before = signal.getsignal(signal.SIGHUP)
        if read is not None:
            signal.signal(signal.SIGHUP, reloader.request)
        elif before != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, _stop)
        try:
            _run(settings, reloader, board, bound)
        finally:
            signal.signal(signal.SIGHUP, before)
            if asked == 0:  # nobody will ask for this port again, nor for its store
                remove(settings.own_store.removeprefix("shm://"))


def _again(read: Callable[[], ServerSettings], asked: int, port: int) -> ServerSettings:
    """Read the settings; with `port` if they still ask for the one that it was picked for."""
    settings = read()
    return replace(settings, port=port) if settings.port == asked else settings


def _follow(parent: int) -> None:
    """Stop once the parent is gone, however it ended: a killed one cannot say so."""
    while os.getppid() == parent:
        time.sleep(_FOLLOW_S)
    _stop()


def _stop(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _run(settings: ServerSettings, reloader: Reloader, board: Board, bound: socket.socket) -> None:
    try:
        from rateproof.enforce.server import granian_server
    except ImportError:
        from rateproof.enforce.server import werkzeug_server

        asked = f", not {settings.workers}" if (settings.workers or 1) > 1 else ""
        only = f"Werkzeug serves with 1 worker process{asked}"
        say(f"granian is not installed: {only} (hint: pip install granian)")
        announce = functools.partial(_announce, replace(settings, workers=1))
        werkzeug_server.run(Worker(board), bound, announce)
    else:
        entry = _entry(settings)
        if entry is None:
            reloader.over_wsgi = True
            warn_of_names(settings)
        make, count = functools.partial(Worker, board), settings.worker_count
        announce = functools.partial(_announce, settings)
        granian_server.run(make, count, bound, announce, entry)


def _entry(settings: ServerSettings) -> Callable[[WSGIApplication], AsgiApplication] | None:
    """The way to serve over ASGI, where the key is read from fields."""
    parts = itertools.chain.from_iterable(settings.key.alternatives)
    if not any(part.kind in {"header", "cookie"} for part in parts):
        return None
    from rateproof.enforce.server.asgi_entry import AsgiEntry

    return functools.partial(AsgiEntry, waits=settings.location.startswith(NETWORK_SCHEMES))


def _announce(settings: ServerSettings) -> None:
    core, count = active_core(), settings.worker_count
    url = url_of(settings.host, settings.port)
    forgiving = "WARNING: without the native core the counts lie in one worker's memory, so that a restart forgives them\n"
    banner = (
        f"rateproof {__version__} ({core} core): {settings.policy} per {settings.key}, "
        f"{count} worker{'s' * (count > 1)}, listening at {url}"
    )
    # In one piece, for lines of the workers may come between.
    say(forgiving * (core == "python" and settings.store is None) + banner)
    if settings.json:
        facts = {"url": url, "core": core, "workers": count, "store": settings.shown_location}
        facts |= {"policy": str(settings.policy), "key": str(settings.key)}
        emit(json.dumps(facts))
