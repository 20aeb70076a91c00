"""The plain view of a run: one line, rewritten in place or printed once a second."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from rateproof.output import say
from rateproof.simulate.client.console import HELP, Attention, act
from rateproof.simulate.client.figures import Figures, Heading
from rateproof.simulate.control import Control

__all__ = ["DRAINING", "LiveLine", "watch_line"]

DRAINING = (
    "draining: requests in flight finish, nothing new is sent; again to give up what is in flight"
)
GIVING_UP = "giving up what is in flight"

_USUAL_COLUMNS = 80


class LiveLine(ExitStack):
    """One line that is rewritten in place on a terminal, and a line a second elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._in_place = sys.stderr is not None and sys.stderr.isatty()
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


def watch_line(figures: Figures, control: Control, attention: Attention, heading: Heading) -> None:
    """Show a run until it is over, and do what the person says.

    Args:
        figures: of the run.
        control: of the run.
        attention: entered, with the keys that are bound.
        heading: said first.
    """
    if figures.finished:
        return
    with LiveLine() as line:
        noun = "client" if figures.clients == 1 else "clients"
        keys = "? shows the keys that act, any other key or Ctrl-C stops"
        say(
            f"{figures.clients} {noun} to {heading.url}, seed {heading.seed}; "
            f"{keys if attention.has_keys else 'Ctrl-C stops'}"
        )
        drains = gives_up = False
        while not figures.finished:
            line.show(figures.text)
            stopping = attention.wait(line.interval_s)
            for key in attention.typed():
                done = act(key, control, figures.clients)
                line.say(_HELP if done is None else done)
            attention.obey(control)
            if stopping and not drains:
                drains = True
                line.say(DRAINING)
            if attention.abandoning and not gives_up:
                gives_up = True
                line.say(GIVING_UP)
        line.show(figures.text, last=True)


_HELP = "\n".join(f"{keys:>15}  {what}" for keys, what in HELP)


def _columns() -> int:
    """Width of the terminal at stderr; stdout, which shutil asks, may be a file."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS
