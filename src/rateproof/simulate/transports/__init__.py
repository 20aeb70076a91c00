"""How requests get onto the wire: one scenario in, one event log out."""

import threading
from collections.abc import Callable
from typing import Protocol

from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog
from rateproof.simulate.scenario import Scenario

__all__ = ["Transport", "require_requests"]


class Transport(Protocol):
    """Runs a scenario to its end and records every request of it.

    The interval contract: `sent_ns` is taken before the first byte of the
    request is written, `received_ns` after the first byte of the final status
    line has arrived, both on CLOCK_MONOTONIC; the server's decision lies
    between them. Nothing is sent twice: a request whose answer was lost is its
    own row, outcome `unknown`.
    """

    def __call__(
        self,
        scenario: Scenario,
        *,
        stop: threading.Event,
        observe: Callable[[Event], None] | None = None,
        run_number: int = 0,
        keep: bool = True,
    ) -> EventLog:
        """Run until the duration is over or `stop` is set, then drain.

        Args:
            scenario: what to run.
            stop: set by the caller to end the run: requests in flight finish,
                nothing new is sent. The transport sets it when the run fails.
            observe: called with each event as it ends, one at a time, from
                any thread; what it raises ends the run.
            run_number: the number of the run in its log.
            keep: False leaves the events out of the log that is returned, for
                endless runs; its metadata is the same.

        Raises:
            InvalidArgument: the machine cannot run so many clients.
        """
        ...


def require_requests() -> None:
    """Make sure that Requests is there, before anything is asked or started.

    Raises:
        InvalidArgument: it is not, with the command that installs it.
    """
    try:
        import requests  # noqa: F401
    except ImportError as error:
        raise InvalidArgument(
            "sending requests needs Requests, which is not installed", "pip install requests"
        ) from error
