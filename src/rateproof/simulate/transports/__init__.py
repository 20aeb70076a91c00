"""How requests get onto the wire: one scenario in, one event log out."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from rateproof.core import native as native_core
from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Scenario

__all__ = [
    "TRANSPORTS",
    "Transport",
    "checker",
    "default_name",
    "named",
]

TRANSPORTS = ("native", "threads")
"""Every transport by name."""


class Transport(Protocol):
    """Runs a scenario to its end and records every request of it.

    The interval contract: `sent_ns` is taken before the first byte of the
    request is written (of a header that is dripped: before the byte that
    completes it), `received_ns` after all digits of the final status have
    arrived, both on CLOCK_MONOTONIC; the server's decision lies between
    them, and how much wider the interval is, is the transport's own matter. Nothing is sent twice: a request whose answer was lost is its own
    row, outcome `unknown`.
    """

    def __call__(
        self,
        scenario: Scenario,
        *,
        control: Control,
        observe: Callable[[EventLog], None] | None = None,
        run_number: int = 0,
        keep: bool = True,
    ) -> EventLog:
        """Run until the duration is over, every plan has ended or `control` stops it; then drain.

        Requests in flight finish, unless `control` abandons them. The duration is time of the run: it does
        not pass while the run is paused.

        Args:
            scenario: what to run.
            control: what is done to the run meanwhile; looked at every 50 ms
                or more often. The transport stops it when the run fails.
            observe: called with the events that have ended since its last
                call, from one thread at a time, at least every 100 ms while
                there are any, for the last time before this returns; what it
                raises ends the run.
            run_number: the number of the run in its log.
            keep: False leaves the events out of the log that is returned, for
                endless runs; its metadata is the same.

        Returns:
            The log. Its metadata has the `scenario`, `start_ns`, the figures
            of `audit`, `valid`, `invalid_because` and `remarks` (see
            `simulate.audit`), and `control` where somebody steered the run.

        Raises:
            InvalidArgument: the machine or the transport cannot run this.
        """
        ...


def default_name() -> str:
    """`native` where it was built and is not switched off, else `threads`."""
    return "native" if _has_engine() else "threads"


def named(name: str) -> Transport:
    """A transport that can be used here.

    Args:
        name: one of `TRANSPORTS`.

    Raises:
        InvalidArgument: no such transport, or one that needs what is missing here.
    """
    if name == "threads":
        try:
            from rateproof.simulate.transports.threads import run
        except ImportError as error:
            raise InvalidArgument(
                "sending requests needs Requests, which is not installed", "pip install requests"
            ) from error
        return run
    if name != "native":
        raise InvalidArgument(f"unknown transport {name!r}", f"one of {', '.join(TRANSPORTS)}")
    if not _has_engine():
        raise InvalidArgument(
            "the native transport is not there: the native core was not built or is switched off",
            "use the threads transport, or install where there is a Rust toolchain",
        )
    from rateproof.simulate.transports.native import run as native_run

    return native_run


def checker(name: str, *, threads: int | None = None) -> Callable[[Scenario], object]:
    """What makes sure that a transport can run a scenario here; it sends nothing.

    Called before a log is begun: what cannot be run destroys none.

    Args:
        name: of a transport that `named` has given.
        threads: of the native one; as many as it finds good if None.

    Returns:
        A function of a scenario that raises what the transport itself would.
    """
    if name == "threads":
        from rateproof.simulate.transports.threads import check

        return check
    from rateproof.simulate.transports.native import check as native_check

    return partial(native_check, threads=threads)


def _has_engine() -> bool:
    return hasattr(native_core(), "Engine")
