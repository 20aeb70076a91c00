"""How a run is watched: in the view where there is a whole terminal, else by a line."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec

from rateproof.output import say
from rateproof.simulate.client.console import Attention
from rateproof.simulate.client.figures import Figures, Heading
from rateproof.simulate.control import Control

__all__ = ["can_view", "watch_view"]


def can_view() -> bool:
    """Whether the view can be shown.

    It needs textual, and a terminal at stdin, stdout and stderr, in whose
    foreground we are; one that can move its cursor.
    """
    if find_spec("textual") is None or os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        streams = [stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)]
        return all(map(os.isatty, streams)) and os.tcgetpgrp(streams[0]) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False


def watch_view(
    figures: Figures,
    control: Control,
    attention: Attention,
    heading: Heading,
    start: Callable[[], None],
) -> None:
    """Show a run until it is over, and do what the person says.

    Returns early, and says so, if the view itself fails: the run goes on.

    Args:
        figures: of the run.
        control: of the run.
        attention: entered, without the terminal.
        heading: what stands above the figures.
        start: called once the view is up.
    """
    from rateproof.simulate.client.view import View

    view = View(figures, control, heading, start=start, attention=attention)
    view.run(mouse=False)
    if not figures.finished:
        say("the view has failed; the run goes on, Ctrl-C stops")
