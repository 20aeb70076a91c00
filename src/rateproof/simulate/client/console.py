"""The person at the terminal: questions, and being asked to stop.

Questions and hints go to stderr: stdout is for data.
"""

import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Any, Self

from rateproof.errors import InvalidArgument
from rateproof.output import say
from rateproof.simulate.consent import ask
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import MAX_CLIENTS

BOUND = "+-bBpP?"
"""Keys that do something; every other one ends the run."""

HELP = (
    ("+ -", "a tenth more clients, or fewer: at least one"),
    ("b", "burst: every client that waits sends its next request now"),
    ("p", "pause, and go on: the clock of the run stands still meanwhile"),
    ("?", "this help"),
    ("any other key", "ends the run: requests in flight finish, nothing new is sent"),
    ("once more", "gives up what is still in flight"),
)
"""The effect of each key."""

_AGAIN_NS = 500_000_000
_FORM = f"a whole number from 1 to {MAX_CLIENTS}"


def ask_clients() -> int:
    """Ask for the number of clients until it is one.

    Raises:
        InvalidArgument: the input ended, as by Ctrl-D.
        KeyboardInterrupt: on Ctrl-C.
    """
    while True:
        answer = ask("How many clients? ")
        if answer is None:
            raise InvalidArgument("no number of clients", f"--clients: {_FORM}")
        text = answer.strip()
        if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_CLIENTS:
            return int(text)
        # repr: what was typed may hold control characters.
        say(f"{text[:40]!r} is not {_FORM}")


def act(key: str, control: Control, clients: int) -> str | None:
    """Do what a key says.

    Args:
        key: a character; in upper case it is the same key.
        control: of the run.
        clients: how many there are now.

    Returns:
        What was done, in a few words; None for `?`, which is the view's own
        matter, and for a key that is not bound.
    """
    match key.lower():
        case "+":
            step = max(1, clients // 10)
            control.add_clients(step)
            return f"{step} more"
        case "-":
            step = min(max(1, clients // 10), clients - 1)
            control.add_clients(-step)
            return f"{step} fewer" if step else "one client has to stay"
        case "b":
            control.burst()
            return "burst"
        case "p" if control.paused:
            control.resume()
            return "going on"
        case "p":
            control.pause()
            return "paused"
    return None


class Attention(ExitStack):
    """While entered, a key press, Ctrl-C, SIGTERM and SIGHUP are notes, not interruptions.

    Some keys can be bound: `typed` hands them out, and every other key asks
    for the end, as do the signals. Whoever asks again, half a second later or
    more, does not want to wait for what is in flight: what comes sooner is a
    key held down, or one signal sent twice, as by a terminal that is closed.

    A terminal gives its keys one by one, without echo, and is put back on
    exit, however that happens; so are the signal handlers. Entered in another
    thread than the main one it leaves the signals alone. A signal only sets a
    flag and writes to a pipe: a handler must not meet a lock that it interrupted.

    Args:
        bound: characters that do not stop; a key that sends several bytes,
            such as an arrow, is never bound.
        terminal: False leaves the terminal to somebody else who reads its keys.
        now_ns: the clock.
    """

    def __init__(
        self,
        bound: str = "",
        *,
        terminal: bool = True,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__()
        self.stopping = self.abandoning = False
        self._now_ns = now_ns
        self._asked_ns = 0
        self._bound = bound.encode("ascii")
        self._typed = ""
        self._uses_terminal = terminal
        self._terminal: tuple[int, list[Any]] | None = None
        self._reader = self._writer = -1

    def wait(self, seconds: float) -> bool:
        """Sleep until something happens, for at most `seconds`.

        Returns:
            Whether somebody has asked to stop, now or before.
        """
        sources = [self._reader]
        if self._terminal is not None and not self.abandoning:
            sources.append(self._terminal[0])
        ready, _, _ = select.select(sources, [], [], max(0.0, seconds))
        if self._reader in ready:
            os.read(self._reader, 4096)
        if ready and ready != [self._reader]:
            self._read_keys()
        return self.stopping

    @property
    def has_keys(self) -> bool:
        """True if somebody can press a key: there is a terminal, and it is ours."""
        return self._terminal is not None

    def ask(self) -> None:
        """Ask for the end, or once more; also called by a handler of signals."""
        now_ns = self._now_ns()
        if not self.stopping:
            self._asked_ns = now_ns
            self.stopping = True
        elif now_ns - self._asked_ns >= _AGAIN_NS:
            self.abandoning = True

    def obey(self, control: Control) -> None:
        """Pass on to a run what was asked for."""
        if self.abandoning:
            control.abandon()
        elif self.stopping:
            control.stop()

    def typed(self) -> str:
        """The bound keys that were pressed since the last call, in order."""
        typed, self._typed = self._typed, ""
        return typed

    def wake(self) -> None:
        """End the `wait` in progress, from any thread."""
        with suppress(BlockingIOError):  # full of notes that nobody has read yet
            os.write(self._writer, b".")

    def _read_keys(self) -> None:
        if self._terminal is None:
            return
        try:
            keys = os.read(self._terminal[0], 4096)
        except OSError:
            keys = b""
        if keys and all(key in self._bound for key in keys):
            self._typed += keys.decode("ascii")
        elif keys:
            self.ask()
        else:
            self._release_terminal()  # hung up: readable for ever, and nothing in it

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.ask()
        self.wake()

    def _on_resume(self, _number: int, _frame: FrameType | None) -> None:
        """After Ctrl-Z and `fg` the shell has put its own modes back: take ours again."""
        self._take_terminal()
        self.wake()

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        for descriptor in (self._reader, self._writer):
            self.callback(os.close, descriptor)
            os.set_blocking(descriptor, False)
        try:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    self.callback(signal.signal, number, signal.signal(number, self._on_signal))
                before = signal.signal(signal.SIGCONT, self._on_resume)
                self.callback(signal.signal, signal.SIGCONT, before)
            self.callback(self._release_terminal)
            self._take_terminal()
        except BaseException:
            self.close()
            raise
        return self

    def _take_terminal(self) -> None:
        try:
            if not self._uses_terminal:
                return
            descriptor = sys.stdin.fileno()
            # A job in the background that touched its terminal would be stopped.
            if not os.isatty(descriptor) or os.tcgetpgrp(descriptor) != os.getpgrp():
                return
            if self._terminal is None:
                self._terminal = (descriptor, termios.tcgetattr(descriptor))
            tty.setcbreak(descriptor)
        except (OSError, ValueError, AttributeError, termios.error):
            self._release_terminal()

    def _release_terminal(self) -> None:
        if self._terminal is None:
            return
        descriptor, before = self._terminal
        self._terminal = None
        try:
            termios.tcflush(descriptor, termios.TCIFLUSH)
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
        except (OSError, termios.error):
            pass  # the terminal is gone
