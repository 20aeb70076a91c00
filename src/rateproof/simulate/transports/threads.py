"""One thread and one `requests.Session` for each connection of each client.

The mission to the letter, and the transport of client.py: plain, on Requests,
good for hundreds of clients and about a thousand requests a second.
"""

import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog
from rateproof.simulate.audit import Audit, judgement
from rateproof.simulate.control import Control
from rateproof.simulate.identities import identity_of
from rateproof.simulate.metadata import control_metadata, run_metadata, start_metadata
from rateproof.simulate.scenario import Client, Scenario
from rateproof.simulate.transports import require_requests
from rateproof.simulate.transports.lane import Flight, Lane
from rateproof.simulate.transports.limits import (
    MAX_CONNECTIONS,
    check_connections,
    ensure_descriptors,
    small_stacks,
)
from rateproof.simulate.transports.pacer import Pacer
from rateproof.simulate.transports.runclock import RunClock
from rateproof.units import SECOND_NS

if TYPE_CHECKING:
    import ssl

__all__ = ["check", "run"]

_TURN_NS = 40_000_000
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
        InvalidArgument: Requests is missing; more than 10,000 connections, or
            more than `max_connections`; or the machine has too few file
            descriptors or threads for so many.
    """
    check(scenario)
    return _Run(scenario, control, observe, run_number, keep=keep).run()


def check(scenario: Scenario) -> None:
    """Make sure that a scenario can be run here, as far as that can be known; nothing is sent.

    Raises:
        InvalidArgument: see `run`.
    """
    require_requests()
    check_connections(scenario.connection_count, scenario.max_connections)
    ensure_descriptors(scenario.connection_count)


class _Run:
    """What the threads of one run share, and the thread that looks after them."""

    def __init__(
        self,
        scenario: Scenario,
        control: Control,
        observe: Callable[[EventLog], None] | None,
        run_number: int,
        *,
        keep: bool,
    ) -> None:
        from rateproof.simulate.transports import session

        self.scenario = scenario
        self.clock = RunClock(0)
        self.pacer = None if scenario.max_rate is None else Pacer(scenario.max_rate)
        self.sequences = itertools.count()
        self.run_number = run_number
        self.bursts = control.bursts
        self.burst_ns = 0
        self.stopped_ns: int | None = None
        self._session = session.ClientSession
        self._context: ssl.SSLContext | None = session.trust(
            scenario.target.scheme, scenario.ca_file, insecure=scenario.insecure
        )
        self._log = EventLog(run_metadata(scenario, "threads"))
        self._control = control
        self._observe = observe
        self._keep = keep
        self._connections = itertools.count(1)
        self._workers = itertools.count()
        self._lanes: list[tuple[Lane, threading.Thread]] = []
        self._cpu_ns = self._reconnects = 0
        self._last_group: list[list[Lane]] = []
        self._extra = self._least = 0
        self._lock = threading.Lock()  # of all that follows
        self._audit = Audit(scenario.lag_tolerance_ns)
        self._seen = EventLog()
        self._alive = 0
        self._gave_up = False
        self._failure: BaseException | None = None
        self._ready = threading.Semaphore(0)
        self._go = threading.Event()
        self._turn = threading.Event()

    def run(self) -> EventLog:
        try:
            self._start()
            self._look_after()
            if self._control.abandoned:
                self._give_up()
            else:
                self._join()
            self._hand_over()
        except BaseException as failure:
            self._control.stop()
            self._go.set()
            self._poke()
            if not isinstance(failure, KeyboardInterrupt):  # who interrupts does not want to wait
                self._join()
            raise
        if self._failure is not None:
            raise self._failure
        wall_ns = time.monotonic_ns() - self.clock.start_ns
        self._bury()
        reconnects = self._reconnects + sum(lane.reconnects for lane, _ in self._lanes)
        figures = self._audit.figures(self._cpu_ns, wall_ns, reconnects=reconnects)
        self._log.metadata |= start_metadata(self.clock.start_ns)
        self._log.metadata |= judgement(figures, self.scenario.lag_tolerance_ns)
        self._log.metadata |= control_metadata(self._control)
        return self._log

    # ------------------------------------------------------------- the threads

    def _start(self) -> None:
        """Start every thread, wait until all are ready, then let them go at once."""
        last = self.scenario.client_count - self.scenario.groups[-1].clients
        for client in self.scenario.clients():
            lanes = self._add(client, 0)
            if client.number >= last:
                self._last_group.append(lanes)
        for _ in self._lanes:
            self._ready.acquire()
        self._bound()
        self.clock = RunClock(max(time.monotonic_ns(), self.scenario.start_ns or 0))
        self._go.set()

    def _add(self, client: Client, origin_ns: int) -> list[Lane]:
        lanes: list[Lane] = []
        with small_stacks():
            for number in range(client.connections):
                session = self._session(
                    timeout_ns=self.scenario.timeout_ns,
                    connect_timeout_ns=self.scenario.connect_timeout_ns,
                    context=self._context,
                    numbers=self._connections,
                )
                lane = Lane(
                    self,
                    client,
                    number,
                    next(self._workers),
                    session=session,
                    origin_ns=origin_ns,
                )
                thread = threading.Thread(
                    target=self._work, args=(lane,), name=f"client-{client.number}", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:
                    for started in lanes:
                        started.retire()
                    raise InvalidArgument(
                        f"only {len(self._lanes)} of {self.scenario.connection_count} threads "
                        "could be started",
                        "use fewer clients or connections, or raise the limit of processes",
                    ) from error
                with self._lock:
                    self._alive += 1
                self._lanes.append((lane, thread))
                lanes.append(lane)
        return lanes

    def _work(self, lane: Lane) -> None:
        try:
            self._ready.release()
            self._go.wait()
            if not self.stopping:
                lane.drive()
        except BaseException as failure:  # noqa: BLE001 - raised again by run()
            with self._lock:
                self._failure = self._failure or failure
            self._control.stop()
        finally:
            lane.close()
            with self._lock:
                self._alive -= 1
                if self._alive == 0 or self._failure is not None:
                    self._turn.set()

    def _poke(self) -> None:
        for lane, _ in self._lanes:
            lane.poke()

    def _join(self) -> None:
        for _, thread in self._lanes:
            thread.join()

    def _bury(self) -> None:
        """Forget the threads that have ended, but not what they used."""
        lanes, self._lanes = self._lanes, []
        for lane, thread in lanes:
            if thread.is_alive():
                self._lanes.append((lane, thread))
            else:
                self._cpu_ns += lane.cpu_ns
                self._reconnects += lane.reconnects

    def _give_up(self) -> None:
        """Record what the threads that cannot be interrupted wait for; they end by themselves."""
        with self._lock:
            self._gave_up = True
            for lane, _ in self._lanes:
                if lane.flight is not None:
                    self._take(lane.flight, lane.given_up(lane.flight))

    # ------------------------------------------------------------- what lanes say

    @property
    def stopping(self) -> bool:
        return self._control.stopping

    def record(self, lane: Lane, event: Event) -> None:
        with self._lock:
            if lane.flight is not None and not self._gave_up:
                self._take(lane.flight, event)
                lane.flight = None

    def _take(self, flight: Flight, event: Event) -> None:
        """Called with the lock held."""
        lag_ns = self.clock.elapsed_ns(event.sent_ns) - flight.send.over_ns - flight.intended_ns
        self._seen.append(event)
        self._audit.sent(lag_ns, flight.own_lag_ns, paced=flight.paced)
        if event.error == "local":
            self._audit.unsent()

    def drop(self, count: int, own_lag_ns: int | None) -> None:
        with self._lock:
            self._audit.drop(count, own_lag_ns)

    # ------------------------------------------------------------- the loop

    def _look_after(self) -> None:
        """Turn after turn, obey the control and hand over what was seen, until no lane is left.

        The turns do not wait for the control's own event: a handler of signals
        that sets it may run on this very thread, in the middle of such a wait.
        """
        began_ns, abandoned_ns = time.thread_time_ns(), None
        while self._alive:
            if self._control.abandoned:
                now_ns = time.monotonic_ns()
                abandoned_ns = now_ns if abandoned_ns is None else abandoned_ns
                if now_ns - abandoned_ns > _GIVING_UP_NS:
                    break
                for lane, _ in self._lanes:
                    lane.abort()
            before_ns = time.monotonic_ns()
            self._turn.wait(_TURN_NS / SECOND_NS)
            self._turn.clear()
            late_ns = time.monotonic_ns() - before_ns - _TURN_NS
            with self._lock:
                self._audit.turn(late_ns)
            self._obey()
            self._hand_over()
        self._cpu_ns += time.thread_time_ns() - began_ns

    def _hand_over(self) -> None:
        with self._lock:
            events, self._seen = self._seen, EventLog()
        if not len(events):
            return
        if self._keep:
            self._log.extend(events)
        if self._observe is not None:
            self._observe(events)

    def _obey(self) -> None:
        control, now_ns = self._control, time.monotonic_ns()
        if control.stopping:
            if self.stopped_ns is None:
                self.stopped_ns = self.clock.elapsed_ns(now_ns)
                self._poke()
            return
        changed = False
        if control.paused != self.clock.paused:
            (self.clock.pause if control.paused else self.clock.resume)(now_ns)
            changed = True
        if control.bursts != self.bursts:
            self.burst_ns = self.clock.elapsed_ns(now_ns)
            self.bursts = control.bursts  # after the instant: lanes look at this first
            changed = True
        if changed:
            self._poke()
        self._adjust(control.extra_clients, self.clock.elapsed_ns(now_ns))

    # ------------------------------------------------------------- more and fewer clients

    def _bound(self) -> None:
        scenario, group = self.scenario, self.scenario.groups[-1]
        most = min(MAX_CONNECTIONS, scenario.max_connections or MAX_CONNECTIONS)
        self._least = -min(group.clients, scenario.client_count - 1)
        spare = (most - scenario.connection_count) // group.connections
        self._control.bound_clients(self._least, spare)

    def _adjust(self, extra: int, now_ns: int) -> None:
        """Start and retire clients until there are so many more than the scenario has."""
        while self._extra > extra:
            for lane in self._last_group.pop():
                lane.retire()
            self._extra -= 1
        while self._extra < extra:
            self._bury()
            scenario, group = self.scenario, self.scenario.groups[-1]
            number = scenario.client_count + self._extra
            client = Client(
                number=number,
                identity=identity_of(scenario.namespace, number),
                behaviour=group.behaviour,
                connections=group.connections,
                seed=f"{scenario.seed}/{number}",
                namespace=scenario.namespace,
            )
            try:
                ensure_descriptors(group.connections)
                self._last_group.append(self._add(client, now_ns))
            except InvalidArgument:
                self._control.bound_clients(self._least, self._extra)
                return
            self._extra += 1
