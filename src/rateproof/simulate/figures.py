"""The line of figures that a person watches while a run goes on."""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

from rateproof.events import ADMITTED, REJECTED, Event
from rateproof.output import say
from rateproof.simulate.summary import Summary, nearest_rank

__all__ = ["Figures", "LiveLine"]

_RECENT = 1_000
_RATE_SPAN_S = 2.0
_USUAL_COLUMNS = 80


class Figures:
    """The live figures: totals, the rate of the last 2 s, the median of the last 1,000 answers.

    Args:
        clients: how many there are.
        summary: what to count in; read it only when the run is over.
    """

    def __init__(self, clients: int, summary: Summary) -> None:
        self._clients = clients
        self._summary = summary
        self._recent_ns: deque[int] = deque(maxlen=_RECENT)
        self._start_s = time.monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._start_s, 0)])
        self._lock = threading.Lock()

    def observe(self, event: Event) -> None:
        """Count one event, in the summary too."""
        with self._lock:
            self._summary.observe(event)
            if event.status is not None and event.done_ns is not None:
                self._recent_ns.append(event.done_ns - event.sent_ns)

    def text(self) -> str:
        """The figures now, on one line."""
        now_s = time.monotonic()
        with self._lock:
            summary = self._summary
            requests, errors = summary.requests, summary.errors.total()
            admitted, rejected = summary.outcomes[ADMITTED], summary.outcomes[REJECTED]
            recent_ns = sorted(self._recent_ns)
        while len(self._marks) > 1 and now_s - self._marks[1][0] >= _RATE_SPAN_S:
            self._marks.popleft()
        since_s, before = self._marks[0]
        rate = (requests - before) / (now_s - since_s) if now_s > since_s else 0.0
        self._marks.append((now_s, requests))
        p50_ns = nearest_rank(recent_ns, 50)
        p50 = "-" if p50_ns is None else f"{p50_ns / 1e6:.1f} ms"
        return (
            f"{self._clients} clients {now_s - self._start_s:.0f} s: {requests} sent {rate:.0f}/s, "
            f"{admitted} admitted {rejected} rejected {errors} errors, p50 {p50}"
        )


class LiveLine(ExitStack):
    """One line that is rewritten in place on a terminal, and a line a second elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._in_place = sys.stderr.isatty()
        self.interval_s = 0.2 if self._in_place else 1.0
        self._next_s = 0.0
        self._width = 0
        self.callback(self._end)

    def show(self, text: Callable[[], str], *, last: bool = False) -> None:
        """Show the text if it is time to, and at the end of the run."""
        now_s = time.monotonic()
        if now_s < self._next_s and not last:
            return
        self._next_s = now_s + self.interval_s
        if not self._in_place:
            say(text())
            return
        # The last column stays free: some terminals wrap as soon as it is filled.
        columns = max(1, _columns() - 1)
        line = text()[:columns]
        padding = " " * min(max(0, self._width - len(line)), columns - len(line))
        self._width = len(line)
        say(f"\r{line}{padding}", end="")

    def say(self, text: str) -> None:
        """A line of its own, above the live one."""
        self._end()
        say(text)

    def _end(self) -> None:
        if self._in_place and self._width:
            say()
            self._width = 0


def _columns() -> int:
    """Width of the terminal at stderr; stdout, which shutil asks, may be a file."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS
