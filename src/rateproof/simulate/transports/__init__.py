"""Ways of requests onto the wire: one scenario in, one event log out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, Protocol

from rateproof.core import native as native_core
from rateproof.core import required_native
from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Scenario

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
            of `audit`, `valid`, `invalid_because`, `warnings` and `remarks` (see
            `simulate.audit`), and `control` where somebody steered the run.

        Raises:
            InvalidArgument: the machine or the transport cannot run this.
        """
        ...


def default_name() -> str:
    """`native` where it was built and is not switched off, else `threads`."""
    return "threads" if native_core() is None else "native"


def named(name: str, *, threads: int | None = None, on: str | None = None) -> Transport:
    """A transport that can be used here.

    Args:
        name: one of `TRANSPORTS`.
        threads: of the native one; as many as it finds good if None.
        on: the cluster that it is for, if any.

    Raises:
        InvalidArgument: no such transport, one that needs what is missing here,
            threads for one that has its own, or one that no cluster has.
    """
    if on is not None and name != "native":
        raise InvalidArgument(f"the {name} transport with --on {on}", "workers send natively")
    module = _module(name)
    if threads is not None and name != "native":
        raise InvalidArgument(
            f"threads is {threads}, for the {name} transport",
            "only the native transport takes it; this one has a thread for each connection",
        )
    run: Transport = module.run if threads is None else partial(module.run, threads=threads)
    return run


@contextmanager
def sender(
    name: str | None, *, threads: int | None = None, on: str | None = None
) -> Iterator[tuple[Transport, Callable[[Scenario], None]]]:
    """Give a transport for as long as it is needed, and its check of a scenario; see `named`.

    Args:
        name: None: the best that there is.
        threads: of the native one.
        on: the cluster whose workers send; None: this process does.

    Raises:
        InvalidArgument, Unreachable: also where there is no such cluster.
    """
    name = name or ("native" if on else default_name())
    transport = named(name, threads=threads, on=on)
    if on is None:
        yield transport, partial(check, name, threads=threads)
        return
    from rateproof.cluster import connected
    from rateproof.simulate.transports import shards

    with connected(on) as cluster:
        yield (
            partial(shards.run, cluster=cluster, threads=threads),
            partial(shards.check, cluster=cluster, threads=threads),
        )


def check(name: str, scenario: Scenario, *, threads: int | None = None) -> None:
    """Make sure that a transport can run a scenario here; nothing is sent.

    Called before a log is begun: what cannot be run destroys none.

    Raises:
        InvalidArgument, Unreachable: as the transport itself would.
    """
    more = {} if threads is None else {"threads": threads}
    _module(name).check(scenario, **more)


def _module(name: str) -> Any:
    if name not in TRANSPORTS:
        raise InvalidArgument(f"unknown transport {name!r}", f"one of {', '.join(TRANSPORTS)}")
    if name == "native":
        required_native("the native transport")
    try:
        return import_module(f"{__name__}.{name}")
    except ImportError as error:
        raise InvalidArgument(
            "sending requests needs Requests, which is not installed", "pip install requests"
        ) from error
