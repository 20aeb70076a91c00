"""Changing the settings of a server that runs: read anew on SIGHUP, posted to the workers."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue

from rateproof.clock import Clock, SystemClock
from rateproof.enforce.server.board import Board
from rateproof.enforce.server.settings import ServerSettings
from rateproof.enforce.server.succession import Succession
from rateproof.enforce.server.worker import limiter_of
from rateproof.errors import RateproofError
from rateproof.output import say
from rateproof.units import SECOND_NS

_IDENTITY = frozenset({"key", "proxies", "proxy_header", "ipv6_prefix"})


class Reloader:
    """Posts the settings at the start, and others whenever it is told to read them.

    Settings that cannot be, or whose tables cannot be opened, are said and
    change nothing. What cannot change while the server runs (the address, the
    number of workers, the store) is said too, and stays. The workers look at the
    board; the clock ticks at the rate of the store's.
    """

    def __init__(
        self,
        settings: ServerSettings,
        read: Callable[[], ServerSettings],
        board: Board,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._read = read
        self._board = board
        self._clock = clock or SystemClock()
        self._succession = Succession(settings.policy)
        self._requests: SimpleQueue[None] = SimpleQueue()
        self.over_wsgi = False
        """True where granian serves over WSGI: see `warn_of_names`."""
        board.post(settings)

    def start(self) -> None:
        """Do what is requested in a thread of its own, for as long as the process lives."""
        threading.Thread(target=self._run, name="reloader", daemon=True).start()

    def request(self, *_: object) -> None:
        """Ask for `reload`: a handler of signals, so it may come at any instant."""
        self._requests.put(None)

    def reload(self) -> None:
        """Read the settings and let the workers follow them."""
        try:
            settings, lasting = self._settings.followed_by(self._read())
            tried = self._succession.after(settings.policy, self._clock.now_ns())
            limiter_of(replace(settings, policy=tried.in_force)).close()  # its tables can be had
        except RateproofError as error:
            say(f"rateproof: not reloaded, all stays as it was: {error}")
            return
        changed = self._settings.differences(settings)
        self._settings = settings
        self._succeed(self._succession.after(settings.policy, self._clock.now_ns()))
        self._report(changed, lasting)

    def cease(self) -> None:
        """Let go of quotas that were left behind long enough ago."""
        self._succeed(self._succession.at(self._clock.now_ns()))

    def _succeed(self, succession: Succession) -> None:
        self._succession = succession
        self._board.post(replace(self._settings, policy=succession.in_force))

    def _report(self, changed: Sequence[str], lasting: Sequence[str]) -> None:
        now_ns = self._clock.now_ns()
        what = f"changed: {', '.join(changed)}" if changed else "nothing changed"
        say(f"rateproof: reloaded, {what}; {self._settings.policy} per {self._settings.key}")
        if _IDENTITY.intersection(changed):
            say("rateproof: clients that are told apart in another way now are counted anew")
        if self.over_wsgi and {"proxies", "proxy_header"}.intersection(changed):
            warn_of_names(self._settings)
        for quota, end_ns in self._succession.leaving:
            seconds = -(-(end_ns - now_ns) // SECOND_NS)
            say(f"rateproof: {quota} holds beside it for another {seconds} s")
        if lasting:
            say(f"rateproof: only a restart changes {', '.join(lasting)}")

    def _run(self) -> None:
        while True:
            try:
                self._requests.get(timeout=self._wait_s())
            except Empty:
                self.cease()
            else:
                self.reload()

    def _wait_s(self) -> float | None:
        next_ns = self._succession.next_ns
        return None if next_ns is None else max(0, next_ns - self._clock.now_ns()) / SECOND_NS


def warn_of_names(settings: ServerSettings) -> None:
    """Say that granian over WSGI believes a name that a proxy may not have written."""
    if settings.proxies:
        taken = f"{settings.proxy_header.replace('-', '_')} for {settings.proxy_header}"
        drop = "the proxies must drop field names with an underscore"
        say(f"WARNING: {drop}: granian takes {taken}")
