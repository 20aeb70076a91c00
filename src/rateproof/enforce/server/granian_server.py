"""Serving by granian: worker processes that share one port and one store."""

import asyncio
import functools
import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from wsgiref.types import WSGIApplication

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import MPServer

from rateproof.enforce.http.asgi import AsgiApplication
from rateproof.enforce.server.bodies import BodyReader
from rateproof.enforce.server.listening import accepts
from rateproof.errors import RateproofError

_log = logging.getLogger("rateproof")

_START_S = 30.0
_DRAIN_S = 2
_POLL_S = 0.01
_BEAT_S = 0.2
_MINUTE_S, _MOST_DEATHS = 60.0, 10
_PAUSE_S, _MOST_PAUSE_S = 0.1, 5.0

# Of granian's two limits on connections, one is the queue of those not accepted yet, the other
# that of those open at once in a worker: one more waits until another closes, so a keep-alive
# client beyond it would starve. Open files bound it anyway.
_BACKLOG, _CONNECTIONS = 1024, 65_536
_FILES = 65_536
_THREADS = 8
_READERS = _THREADS - 2  # others answer while these wait for bodies
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(
    make: Callable[[], WSGIApplication],
    workers: int,
    bound: socket.socket,
    announce: Callable[[], None],
    entry: Callable[[WSGIApplication], AsgiApplication] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; what SIGHUP does stays as it is.

    Each worker makes the application by `make`, which can be pickled, and serves it over ASGI
    where there is an `entry`. The socket stays bound, so
    that nobody takes the port before the workers have it. `announce` is called once they accept.
    Workers that die are replaced, unless one dies ten times within a minute.

    Raises:
        RateproofError: the workers die, or do not accept in 30 s.
    """
    ip, port = bound.getsockname()[:2]
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as the workers' sockets have
    _raise_file_limit()
    start = _Start(ip, port, announce)
    interface = Interfaces.WSGI if entry is None else Interfaces.ASGINL
    server = _server(ip, port, workers, interface, start)
    # granian's own answer to it replaces the workers, and drops their connections.
    server.on_startup(
        functools.partial(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
    )
    server.on_startup(start.watch)
    try:
        with _signals(start):
            server.serve(
                target_loader=functools.partial(_load, make, entry, os.getpid()), wrap_loader=False
            )
    except SystemExit as stop:  # the workers die as often as they are replaced
        raise RateproofError(
            "the worker processes died" if start.ready else "the worker processes did not start",
            "what they said is above",
        ) from stop
    if start.expired:
        raise RateproofError(f"no worker process accepts connections after {_START_S:.0f} s")


class Deaths:
    """Instants of the last minute at which workers died, by their numbers."""

    def __init__(self) -> None:
        self._at_s: dict[int, list[float]] = {}

    def pause_s(self, workers: Iterable[int], now_s: float) -> float | None:
        """The time to wait before these, which died, are replaced; None: enough is enough."""
        worst = 0
        for worker in workers:
            recent = [at_s for at_s in self._at_s.get(worker, ()) if now_s - at_s < _MINUTE_S]
            self._at_s[worker] = [*recent, now_s]
            worst = max(worst, len(recent))
        return None if worst + 1 >= _MOST_DEATHS else min(_PAUSE_S * (2**worst - 1), _MOST_PAUSE_S)


class _Server(MPServer):
    """Replaces workers that die, first at once, then after pauses that double.

    granian gives up when a worker dies within 5.5 s of its start, by `respawned_wrks`: until the
    server is ready that is right, for a worker that cannot start is no accident.
    """

    start: "_Start"

    def _respawn_workers(
        self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0
    ) -> None:
        if self.start.ready:
            now_s = time.monotonic()
            pause_s = self.start.deaths.pause_s(workers, now_s)
            if pause_s is None:
                self.interrupt_children += workers
                self.interrupt_signal = True
                self.main_loop_interrupt.set()
                return
            while not self.interrupt_signal and time.monotonic() < now_s + pause_s:
                time.sleep(_POLL_S)
        super()._respawn_workers(workers, spawn_target, target_loader, delay)
        if self.start.ready:
            self.respawned_wrks.clear()


def _server(ip: str, port: int, workers: int, interface: Interfaces, start: "_Start") -> MPServer:
    handler = {"class": "logging.StreamHandler", "formatter": "generic"}  # to stderr
    server = _Server(
        "rateproof",
        address=ip,
        port=port,
        interface=interface,
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        blocking_threads=_THREADS if interface == Interfaces.WSGI else 1,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS,
        respawn_failed_workers=True,
        workers_kill_timeout=_DRAIN_S,
        log_level=LogLevels.error,
        log_dictconfig={"handlers": {"console": handler, "access": handler}},
        log_access=False,
    )
    server.start = start
    return server


class _Start:
    """Waits in a thread of its own for the port to accept, and ends a start that takes too long."""

    def __init__(self, ip: str, port: int, announce: Callable[[], None]) -> None:
        self.over = threading.Event()
        self.deaths = Deaths()
        self.ready = False
        self.expired = False
        self._address = ip, port
        self._announce = announce
        self._interrupted = False

    def interrupt(self, *_: int | FrameType | None) -> None:
        self._interrupted = True

    def watch(self) -> None:
        """Called by granian after its signal handlers are in place, before the workers start."""
        if self._interrupted:
            _stop_this_process()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self.over.wait(_POLL_S):
            if accepts(*self._address):
                self.ready = True
                self._announce()
                return
            if time.monotonic() > deadline:
                self.expired = True
                _stop_this_process()
                return


@contextmanager
def _signals(start: _Start) -> Iterator[None]:
    """Lose no signal between here and granian's own handlers, in this process or a worker.

    A forked worker inherits handlers that know nothing of it, and may not run
    for milliseconds: until it is ready for them, a signal ends it.
    """
    before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGALRM)}
    for number in _SIGNALS:
        signal.signal(number, start.interrupt)
    _beat(lambda *_: None)

    def block() -> None:
        if not start.over.is_set():
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def unblock() -> None:
        if not start.over.is_set():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def forget() -> None:
        if not start.over.is_set():
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=forget)
    try:
        yield
    finally:
        start.over.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _beat(handler: Callable[[int, FrameType | None], None]) -> None:
    """Call `handler` five times a second in the main thread.

    That alone ends a wait: a signal that arrives just before the main thread
    blocks would otherwise go unnoticed until the next one.
    """
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, _BEAT_S, _BEAT_S)


def _load(
    make: Callable[[], WSGIApplication],
    entry: Callable[[WSGIApplication], AsgiApplication] | None,
    parent: int,
) -> WSGIApplication | AsgiApplication:
    """Prepare a worker process, and make the application that it serves."""
    # granian mixes the environment into every request: HTTP_X_CLIENT_ID there would become a
    # header that every client seems to have sent.
    for name in [name for name in os.environ if name.startswith("HTTP_")]:
        del os.environ[name]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal tells all: the parent is enough
    _beat(functools.partial(_follow, parent))
    if entry is None:
        return BodyReader(make(), _READERS)
    asyncio.get_event_loop().call_soon(_expect_full)  # once granian has set up its signals
    return entry(make())


def _expect_full() -> None:
    """Say nothing of a beat that finds the loop's queue of wake-ups full: it is about to wake."""
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)


def _follow(parent: int, *_: int | FrameType | None) -> None:
    """Stop with a parent that was killed and could not say so, or the port would stay taken."""
    if os.getppid() != parent:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        signal.setitimer(signal.ITIMER_REAL, _DRAIN_S)
        _stop_this_process()


def _stop_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _raise_file_limit() -> None:
    """Ask for as many open files, and so connections, as may be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            _log.warning("at most %d connections a worker", soft)
