"""One thread and one `requests.Session` for each connection of each client.

The mission to the letter, and the transport of client.py: plain, on Requests,
good for hundreds of clients and about a thousand requests a second. Intervals
are as wide as Requests makes them: from before `send`, connecting included,
until the header section has been read.
"""

import itertools
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.events import UNKNOWN, Event, EventLog, outcome_of
from rateproof.simulate.audit import Audit
from rateproof.simulate.behaviour import Plan, Reply, Send, rate_interval_ns
from rateproof.simulate.control import Control
from rateproof.simulate.programs.program import NEVER_NS, Op
from rateproof.simulate.run_metadata import run_metadata
from rateproof.simulate.scenario import Client, Scenario
from rateproof.simulate.transports.descriptors import ensure_descriptors, spare_descriptors
from rateproof.simulate.transports.driving import LOOK_S, bound_clients, drive
from rateproof.simulate.transports.over_requests import Requester, RequestsConnection
from rateproof.units import SECOND_NS

MAX_CONNECTIONS = 10_000
"""At most as many connections, each with a thread of its own."""

_STACK_BYTES = 512 * 1024
_GIVING_UP_NS = 500_000_000
_MOST_DROPPED = 100_000


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


# ------------------------------------------------------------- one connection of one client


class _Lane(threading.Thread):
    """Follows the plan of its client until that or the run ends.

    Args:
        shared: what all lanes share; its `state` guards `row` and `retired`.
        client: whose connection it is.
        number: of the connection among its client's, from 0.
        origin_ns: the run's age when the client came, which is 0 of its plan.
    """

    def __init__(self, shared: "_Run", client: Client, number: int, origin_ns: int) -> None:
        super().__init__(name=f"client-{client.number}", daemon=True)
        self._shared = shared
        self._client = client
        self._number = number
        self._origin_ns = origin_ns
        self._worker = next(shared.workers)
        self._reply = Reply(0, UNKNOWN)
        self.connection = RequestsConnection(shared.requester)
        self.retired = False
        self.row: dict[str, Any] | None = None  # of the request in flight

    def run(self) -> None:
        """Send what the plan asks for, one request after the other."""
        failure: BaseException | None = None
        try:
            with closing(self.connection), suppress(StopIteration):
                self._follow()
        except BaseException as error:  # noqa: BLE001 - raised again where the run was started
            failure = error
        self._shared.ended(self, failure)

    def _follow(self) -> None:
        group, free_ns = self._client.group, 0
        plan = group.behaviour.program().plan(self._client.rng(), self._number, group.connections)
        send = next(plan)
        while True:
            identity = self._client.identity(send.alias)
            request = self._shared.requester.request(self._client.written(send.alias))
            if not self._begin(send, identity, free_ns):
                return self._drop(plan, send, free_ns)
            self.end(self.connection.send(request, self.row or {}))
            free_ns = self._origin_ns + self._reply.done_ns
            send = plan.send(self._reply)

    def _begin(self, send: Send, identity: bytes, free_ns: int) -> bool:
        """Wait until a request is due, and put it in flight; False if the run is over before."""
        shared = self._shared
        with shared.state:
            intended_ns = self._wait(self._origin_ns + send.intended_ns, or_burst=True)
            if intended_ns is None:
                return False
            slot_ns = shared.slot_ns(intended_ns)
            if self._wait(slot_ns) is None:
                return False
            sequence = next(shared.sequences)
            if sequence >= shared.most:
                shared.stop()
                return False
            sent_ns = time.monotonic_ns()
            age_ns, due_ns = shared.age_ns(sent_ns), max(intended_ns, free_ns)
            self.connection.cut_for = None
            self.row = {
                "key": identity,
                "sent_ns": sent_ns,
                "received_ns": None,
                "status": None,
                "run": shared.run_number,
                "sequence": sequence,
                "attempt": send.attempt,
                "intended_ns": sent_ns - age_ns + intended_ns,
                "bytes": 0,
                "worker": self._worker,
            }
            own_lag_ns = age_ns - max(due_ns, slot_ns)
            shared.audit.sent(age_ns - intended_ns, own_lag_ns, paced=slot_ns > due_ns)
        return True

    def _wait(self, due_ns: int, *, or_burst: bool = False) -> int | None:
        """Sleep until an instant of the run, or until the next burst; `state` is held.

        Returns:
            The instant that has come: `due_ns`, or an earlier burst's. None
            when the run, or this client's part in it, is over before that.
        """
        shared = self._shared
        bursts = shared.bursts
        while not (shared.stopped or self.retired):
            now_ns = shared.age_ns(time.monotonic_ns())
            if now_ns >= shared.ends_ns:
                break
            if shared.paused_ns is not None:
                shared.state.wait()
            elif or_burst and shared.bursts != bursts:
                return min(due_ns, shared.burst_ns)
            elif now_ns >= due_ns:
                return due_ns
            else:
                left_ns = min(due_ns, shared.ends_ns) - now_ns
                shared.state.wait(left_ns / SECOND_NS)
        return None

    def _drop(self, plan: Plan, send: Send, free_ns: int) -> None:
        """Count what was due before the run's end and is not sent any more.

        What a closed plan wants at the very instant of an answer is not due
        before the end unless the generator has left it lying for long.
        """
        shared = self._shared
        if self.retired:
            return
        end_ns = min(shared.ends_ns, shared.age_ns(time.monotonic_ns()))
        due_ns = self._origin_ns + send.intended_ns
        own_lag_ns = 0 if shared.pace_ns else end_ns - max(due_ns, free_ns)
        if own_lag_ns <= shared.scenario.lag_tolerance_ns and due_ns >= min(free_ns, end_ns):
            return
        count, last = 0, end_ns - self._origin_ns
        with suppress(StopIteration):
            while send.intended_ns < last and count < _MOST_DROPPED:
                count += 1
                send = plan.send(Reply(last, UNKNOWN))
        with shared.state:
            shared.audit.drop(count, own_lag_ns if own_lag_ns > 0 else None)

    def end(self, error: str | None) -> None:
        """Record the request in flight, unless it was given up before."""
        shared = self._shared
        with shared.state:
            if self.row is None:
                return
            done_ns = time.monotonic_ns()
            outcome = outcome_of(self.row["status"], shared.scenario.rejected_statuses)
            event = Event(
                **self.row,
                outcome=outcome,
                done_ns=done_ns,
                error=error,
                connection=self.connection.number,
            )
            self.row = None
            shared.seen.append(event)
            if event.error == "local":
                shared.audit.unsent += 1
            wait_s = event.retry_after_s
            wait_ns = None if wait_s is None else round(min(wait_s, 1e9) * SECOND_NS)
            self._reply = Reply(shared.age_ns(done_ns) - self._origin_ns, outcome, wait_ns)

    def interrupt(self, why: str, sent_by_ns: int) -> None:
        """End the request in flight with an error if it was sent by then."""
        if self.row is not None and self.row["sent_ns"] <= sent_by_ns:
            self.connection.cut(why)


# ------------------------------------------------------------- all of them


class _Run:
    """The engine of a run: state that its lanes share, guarded by `state`.

    `state` is notified when anything changes that a lane waits for.
    """

    def __init__(self, scenario: Scenario, control: Control, run_number: int) -> None:
        self.scenario = scenario
        self.run_number = run_number
        self.requester = Requester(scenario)
        rate = scenario.max_rate
        self.pace_ns = 0 if rate is None else rate_interval_ns(rate)
        self.sequences, self.workers = itertools.count(), itertools.count()
        self.most = sys.maxsize if scenario.max_requests is None else scenario.max_requests
        self.state = threading.Condition()
        self.audit = Audit(tolerance_ns=scenario.lag_tolerance_ns)
        self.seen = EventLog()
        self.ends_ns = NEVER_NS if scenario.duration_ns is None else scenario.duration_ns
        self.stopped = False
        self.bursts, self.burst_ns = control.bursts, 0
        self.start_ns = self._origin_ns = self._slot_ns = 0
        self.paused_ns: int | None = 0  # until all have started
        self._control = control
        self._lanes: list[_Lane] = []
        self._clients: list[list[_Lane]] = []
        self._looked_ns = 0
        self._given_up_ns = NEVER_NS
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Start every thread, then let them go at once."""
        try:
            for client in self.scenario.clients():
                self._add(client, 0)
        except BaseException:
            self.stop()
            for lane in self._lanes:
                lane.join()
            raise
        with self.state:
            self._looked_ns = time.monotonic_ns()
            self.start_ns = self._origin_ns = max(self._looked_ns, self.scenario.start_ns or 0)
            self.paused_ns = None
            self.state.notify_all()

    # ------------------------------------------------------------- for the lanes

    def age_ns(self, instant_ns: int) -> int:
        """The run's age at a monotonic instant: it stands still while the run is paused."""
        paused_ns = self.paused_ns
        return (instant_ns if paused_ns is None else min(instant_ns, paused_ns)) - self._origin_ns

    def slot_ns(self, intended_ns: int) -> int:
        """The next free slot of `max_rate`, an instant of the run; those that nobody wanted are gone."""
        if not self.pace_ns:
            return intended_ns
        slot_ns = max(self._slot_ns, self.age_ns(time.monotonic_ns()))
        self._slot_ns = slot_ns + self.pace_ns
        return slot_ns

    def ended(self, lane: _Lane, failure: BaseException | None) -> None:
        """Take leave of a lane; a failure ends the run."""
        with self.state:
            self._failure = self._failure or failure
            self.audit.cpu_ns += time.thread_time_ns()
            self.audit.reconnects += max(0, lane.connection.opened - 1)
        if failure is not None:
            self.stop()

    # ------------------------------------------------------------- for whoever drives it

    def steer(self, *, paused: bool, bursts: int, extra_clients: int) -> None:
        """Take the wishes of a control, and end the requests that take too long."""
        with self.state:
            now_ns = time.monotonic_ns()
            self.audit.turn(now_ns - self._looked_ns - round(LOOK_S * SECOND_NS))
            for lane in self._lanes:
                lane.interrupt("timeout", now_ns - self.scenario.timeout_ns)
            if (bursts, paused) != (self.bursts, self.paused_ns is not None):
                self.state.notify_all()
            if bursts != self.bursts:
                self.bursts, self.burst_ns = bursts, self.age_ns(now_ns)
            if paused and self.paused_ns is None:
                self.paused_ns = now_ns
            elif self.paused_ns is not None and not paused:
                self._origin_ns += now_ns - self.paused_ns
                self.paused_ns = None
        if not self.stopped:
            self._adjust(self.scenario.client_count + extra_clients)
        self._looked_ns = time.monotonic_ns()

    def stop(self) -> None:
        """Send nothing new."""
        with self.state:
            if not self.stopped:
                self.ends_ns = min(self.ends_ns, self.age_ns(time.monotonic_ns()))
            self.stopped = True
            self.state.notify_all()

    def abandon(self) -> None:
        """Stop, and give up what is in flight."""
        self.stop()
        with self.state:
            now_ns = time.monotonic_ns()
            self._given_up_ns = min(self._given_up_ns, now_ns + _GIVING_UP_NS)
            for lane in self._lanes:
                lane.interrupt("other", now_ns)

    def read(self, timeout_s: float) -> EventLog | None:
        """The rows of the next `timeout_s` seconds; None once no lane is left."""
        time.sleep(timeout_s)
        with self.state:
            self._lanes = [lane for lane in self._lanes if lane.is_alive()]
            if time.monotonic_ns() > self._given_up_ns:
                for lane in self._lanes:  # who cannot be interrupted, as while connecting
                    lane.end(lane.connection.cut_for)
                self._lanes.clear()
            events, self.seen = self.seen, EventLog()
        return events if self._lanes or len(events) else None

    def join(self) -> Audit:
        """The audit: every lane has ended, or was given up."""
        if self._failure is not None:
            raise self._failure
        self.audit.wall_ns = time.monotonic_ns() - self.start_ns
        return self.audit

    # ------------------------------------------------------------- clients come and go

    def _adjust(self, wanted: int) -> None:
        """Add clients to the last group or retire some, until there are as many as are wanted."""
        scenario, group = self.scenario, self.scenario.groups[-1]
        while len(self._clients) > wanted:
            self._retire(self._clients.pop())
        try:
            while (number := len(self._clients)) < wanted:
                client = Client(scenario, number, group)
                self._add(client, self.age_ns(time.monotonic_ns()))
        except InvalidArgument:
            spare = (number - scenario.client_count) * group.connections
            bound_clients(scenario, self._control, spare)

    def _add(self, client: Client, origin_ns: int) -> None:
        lanes: list[_Lane] = []
        before = threading.stack_size(_STACK_BYTES)  # 10,000 of them: 5 GiB of addresses
        try:
            for number in range(client.group.connections):
                lane = _Lane(self, client, number, origin_ns)
                lane.start()
                lanes.append(lane)
                with self.state:
                    self._lanes.append(lane)
        except RuntimeError as error:
            self._retire(lanes)
            raise InvalidArgument(
                f"only {len(self._lanes)} of {self.scenario.connection_count} threads "
                "could be started",
                "use fewer clients or connections, or raise the limit of processes",
            ) from error
        finally:
            threading.stack_size(before)
        self._clients.append(lanes)

    def _retire(self, lanes: list[_Lane]) -> None:
        """Let lanes end after their requests in flight."""
        with self.state:
            for lane in lanes:
                lane.retired = True
            self.state.notify_all()
