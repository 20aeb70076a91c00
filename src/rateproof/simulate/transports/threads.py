"""One thread and one `requests.Session` for each connection of each client.

The mission to the letter, and the transport of client.py: plain, on Requests,
good for hundreds of clients and about a thousand requests a second. Intervals
are as wide as Requests makes them: from before `send`, connecting included,
until the header section has been read.
"""

import threading
import time
from collections.abc import Callable

from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.simulate.audit import Audit
from rateproof.simulate.control import Control
from rateproof.simulate.programs.program import NEVER_NS, Op
from rateproof.simulate.run_metadata import run_metadata
from rateproof.simulate.scenario import Client, Scenario
from rateproof.simulate.transports.descriptors import ensure_descriptors, spare_descriptors
from rateproof.simulate.transports.driving import LOOK_S, bound_clients, drive
from rateproof.simulate.transports.thread_lane import Lane
from rateproof.simulate.transports.thread_state import Shared
from rateproof.units import SECOND_NS

MAX_CONNECTIONS = 10_000
"""At most as many connections, each with a thread of its own."""

_STACK_BYTES = 512 * 1024
_GIVING_UP_NS = 500_000_000


def run(
    scenario: Scenario,
    *,
    control: Control,
    observe: Callable[[EventLog], None] | None = None,
    run_number: int = 0,
    keep: bool = True,
) -> EventLog:
    """Run a scenario; see `Transport` for the arguments and the contract.

    Clients are taken away from the end of the last group and added there: one
    that comes back has the identity that it had, and begins its plan anew.
    Where the machine has no thread or descriptor for one more client,
    `control` is bound to those that there are.

    Raises:
        InvalidArgument: more than 10,000 connections, or more than
            `max_connections`; a behaviour that drips its header; or the machine
            has too few file descriptors or threads for so many.
    """
    check(scenario)
    lanes, most = scenario.connection_count, scenario.max_connections or MAX_CONNECTIONS
    spare = min(most, MAX_CONNECTIONS) - lanes
    bound_clients(scenario, control, min(spare, spare_descriptors(lanes)))
    engine = _Run(scenario, control, run_number)
    engine.start()
    log = EventLog(run_metadata(scenario, "threads"))
    return drive(
        engine,
        log,
        read=engine.read,
        join=engine.join,
        control=control,
        observe=observe,
        keep=keep,
    )


def check(scenario: Scenario) -> None:
    """Make sure that a scenario can be run here, as far as that can be known; nothing is sent.

    Raises:
        InvalidArgument: see `run`.
    """
    connections, most = scenario.connection_count, scenario.max_connections
    if connections > MAX_CONNECTIONS:
        raise InvalidArgument(
            f"{connections} connections are too many for the threads transport",
            f"at most {MAX_CONNECTIONS}, or use the native transport",
        )
    if most is not None and most < connections:
        raise InvalidArgument(
            f"max_connections is {most}, with {connections} connections in all",
            "the threads transport has one for each: the native transport can share them",
        )
    for group in scenario.groups:
        if any(op == Op.SEND and over_ns for op, over_ns, *_ in group.behaviour.program().code()):
            raise InvalidArgument(
                f"behaviour {group.behaviour.name!r} sends its header slowly, and Requests cannot",
                "use the native transport, or another behaviour",
            )
    ensure_descriptors(connections)


class _Run:
    """The engine of a run: its lanes, which come and go.

    The state that they share guards what is here too.
    """

    def __init__(self, scenario: Scenario, control: Control, run_number: int) -> None:
        self._scenario = scenario
        self._control = control
        self._shared = Shared(scenario, run_number, control.bursts)
        self.stop = self._shared.stop
        self._lanes: list[Lane] = []
        self._clients: list[list[Lane]] = []
        self._looked_ns = 0
        self._given_up_ns = NEVER_NS

    @property
    def start_ns(self) -> int:
        """The instant at which it began."""
        return self._shared.start_ns

    def start(self) -> None:
        """Start every thread, then let them go at once."""
        try:
            for client in self._scenario.clients():
                self._add(client, 0)
        except BaseException:
            self.stop()
            for lane in self._lanes:
                lane.join()
            raise
        self._looked_ns = time.monotonic_ns()
        self._shared.begin(max(self._looked_ns, self._scenario.start_ns or 0))

    def steer(self, *, paused: bool, bursts: int, extra_clients: int) -> None:
        """Take the wishes of a control, and end the requests that take too long."""
        shared = self._shared
        with shared.state:
            now_ns = time.monotonic_ns()
            shared.audit.turn(now_ns - self._looked_ns - round(LOOK_S * SECOND_NS))
            for lane in self._lanes:
                lane.interrupt("timeout", now_ns - self._scenario.timeout_ns)
            shared.heed(now_ns, paused=paused, bursts=bursts)
        if not shared.stopped:
            self._adjust(self._scenario.client_count + extra_clients)
        self._looked_ns = time.monotonic_ns()

    def abandon(self) -> None:
        """Stop, and give up what is in flight."""
        self.stop()
        with self._shared.state:
            now_ns = time.monotonic_ns()
            self._given_up_ns = min(self._given_up_ns, now_ns + _GIVING_UP_NS)
            for lane in self._lanes:
                lane.interrupt("other", now_ns)

    def read(self, timeout_s: float) -> EventLog | None:
        """The rows of the next `timeout_s` seconds; None once no lane is left."""
        time.sleep(timeout_s)
        with self._shared.state:
            self._lanes = [lane for lane in self._lanes if lane.is_alive()]
            if time.monotonic_ns() > self._given_up_ns:
                for lane in self._lanes:  # who cannot be interrupted, as while connecting
                    lane.end(lane.connection.cut_for)
                self._lanes.clear()
            events, self._shared.seen = self._shared.seen, EventLog()
        return events if self._lanes or len(events) else None

    def join(self) -> Audit:
        """The audit: every lane has ended, or was given up."""
        if self._shared.failure is not None:
            raise self._shared.failure
        self._shared.audit.wall_ns = time.monotonic_ns() - self._shared.start_ns
        return self._shared.audit

    # ------------------------------------------------------------- clients come and go

    def _adjust(self, wanted: int) -> None:
        """Add clients to the last group or retire some, until there are as many as are wanted."""
        scenario, group = self._scenario, self._scenario.groups[-1]
        while len(self._clients) > wanted:
            self._retire(self._clients.pop())
        try:
            while (number := len(self._clients)) < wanted:
                client = Client(scenario, number, group)
                self._add(client, self._shared.age_ns(time.monotonic_ns()))
        except InvalidArgument:
            spare = (number - scenario.client_count) * group.connections
            bound_clients(scenario, self._control, spare)

    def _add(self, client: Client, origin_ns: int) -> None:
        lanes: list[Lane] = []
        before = threading.stack_size(_STACK_BYTES)  # 10,000 of them: 5 GiB of addresses
        try:
            for number in range(client.group.connections):
                lane = Lane(self._shared, client, number, origin_ns)
                lane.start()
                lanes.append(lane)
                with self._shared.state:
                    self._lanes.append(lane)
        except RuntimeError as error:
            self._retire(lanes)
            raise InvalidArgument(
                f"only {len(self._lanes)} of {self._scenario.connection_count} threads "
                "could be started",
                "use fewer clients or connections, or raise the limit of processes",
            ) from error
        finally:
            threading.stack_size(before)
        self._clients.append(lanes)

    def _retire(self, lanes: list[Lane]) -> None:
        with self._shared.state:
            for lane in lanes:
                lane.retired = True
            self._shared.state.notify_all()
