"""SIGINT and SIGTERM while a test goes on: the first ends it in order, a second one at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

NO_VERDICT = "interrupted before there was a verdict"


class Signals:
    """The effect of signals, once `handled`.

    Args:
        stop: set by the first of them. One that comes when it is set interrupts.
        why: what the end waits for, for the message of the first.
    """

    def __init__(self, stop: threading.Event, why: str = "requests in flight are awaited") -> None:
        self.seen = 0
        self._words = f"stopping: {why}\n".encode()
        self.stop = stop
        self._held = False
        self._waits = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle them while the body runs; only the main thread can."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Interrupt at the end of the body only: what is kept of an iteration is kept whole."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._waits:
            raise KeyboardInterrupt(NO_VERDICT)

    def ignore(self) -> None:
        """From now on nothing is interrupted."""
        self._held = True

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.seen += 1
        if self.stop.is_set():
            self._waits = True
            if not self._held:
                raise KeyboardInterrupt(NO_VERDICT)
            return
        self.stop.set()
        with suppress(OSError):  # not through sys.stderr, whose lock this may have interrupted
            shown = os.isatty(2) and os.environ.get("TERM") != "dumb"
            clear = b"\r\x1b[K" if shown else b""  # of what is under way
            os.write(2, clear + self._words)
