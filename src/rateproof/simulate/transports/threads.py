"""One thread and one `requests.Session` for each connection of each client.

The mission to the letter, and the transport of client.py: plain, on Requests,
good for hundreds of clients and about a thousand requests a second.
"""

import itertools
import threading
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rateproof.errors import InvalidArgument
from rateproof.events import Event, EventLog, outcome_of
from rateproof.simulate.behaviours import Answer
from rateproof.simulate.identities import place_identity
from rateproof.simulate.metadata import run_metadata
from rateproof.simulate.scenario import Client, Scenario
from rateproof.simulate.summary import nearest_rank
from rateproof.simulate.transports import require_requests
from rateproof.simulate.transports.headers import parse_ratelimit, parse_retry_after
from rateproof.simulate.transports.limits import ensure_descriptors, small_stacks
from rateproof.simulate.transports.pacer import Pacer
from rateproof.units import SECOND_NS

if TYPE_CHECKING:
    from rateproof.simulate.transports.session import Reply

__all__ = ["run"]

_LONGEST_WAIT_S = 3_600.0
_MAX_RETRY_AFTER_S = 10**9


def run(
    scenario: Scenario,
    *,
    stop: threading.Event,
    observe: Callable[[Event], None] | None = None,
    run_number: int = 0,
    keep: bool = True,
) -> EventLog:
    """Run a scenario; see `Transport` for the arguments and the contract.

    The log's metadata tells, beside the scenario, how far the generator kept
    its own schedule: `audit.lag_*` is sent - intended, `audit.own_lag_*` the
    part of it that neither the server nor `max_rate` caused.

    Raises:
        InvalidArgument: Requests is missing, or the machine has too few file
            descriptors or threads for so many connections.
    """
    require_requests()
    ensure_descriptors(scenario.connection_count)
    return _Run(scenario, stop, observe, run_number, keep=keep).run()


class _Run:
    """What the threads of one run share."""

    def __init__(
        self,
        scenario: Scenario,
        stop: threading.Event,
        observe: Callable[[Event], None] | None,
        run_number: int,
        *,
        keep: bool,
    ) -> None:
        self.scenario = scenario
        self.stop = stop
        self.log = EventLog(run_metadata(scenario, "threads"))
        self.sequences = itertools.count()
        self.connections = itertools.count(1)
        self.pacer = None if scenario.max_rate is None else Pacer(scenario.max_rate)
        self.start_ns = 0
        self._observe = observe
        self._run_number = run_number
        self._keep = keep
        self._lock = threading.Lock()
        self._ready = threading.Semaphore(0)
        self._go = threading.Event()
        self._failure: BaseException | None = None
        self._lags = array("q")
        self._own_lags = array("q")
        self._paced = 0

    def run(self) -> EventLog:
        threads: list[threading.Thread] = []
        try:
            self._start(threads)
            for thread in threads:
                thread.join()
        except BaseException as failure:
            self.stop.set()
            self._go.set()
            if not isinstance(failure, KeyboardInterrupt):  # who interrupts does not want to wait
                for thread in threads:
                    thread.join()
            raise
        if self._failure is not None:
            raise self._failure
        self.log.metadata["start_ns"] = self.start_ns
        self.log.metadata["audit"] = self._audit()
        return self.log

    def _start(self, threads: list[threading.Thread]) -> None:
        """Start every thread, wait until all are ready, then let them go at once."""
        workers = itertools.count()
        with small_stacks():
            for client in self.scenario.clients():
                for _ in range(client.connections):
                    thread = threading.Thread(
                        target=self._work,
                        args=(client, next(workers)),
                        name=f"client-{client.number}",
                        daemon=True,
                    )
                    try:
                        thread.start()
                    except RuntimeError as error:
                        raise InvalidArgument(
                            f"only {len(threads)} of {self.scenario.connection_count} threads "
                            "could be started",
                            "use fewer clients or connections, or raise the limit of processes",
                        ) from error
                    threads.append(thread)
        for _ in threads:
            self._ready.acquire()
        self.start_ns = time.monotonic_ns()
        self._go.set()

    def _work(self, client: Client, worker: int) -> None:
        try:
            lane = _Lane(self, client, worker)
            self._ready.release()
            self._go.wait()
            with lane.session:
                lane.drive()
        except BaseException as failure:  # noqa: BLE001 - raised again by run()
            with self._lock:
                self._failure = self._failure or failure
            self.stop.set()
            self._ready.release()

    def elapsed_ns(self) -> int:
        return time.monotonic_ns() - self.start_ns

    def wait_until(self, instant_ns: int) -> bool:
        """Sleep until an instant of the run; False when the run ends before it."""
        duration_ns = self.scenario.duration_ns
        if duration_ns is not None and max(instant_ns, self.elapsed_ns()) >= duration_ns:
            return False
        while (left_ns := instant_ns - self.elapsed_ns()) > 0:
            if self.stop.wait(min(left_ns / SECOND_NS, _LONGEST_WAIT_S)):
                return False
        return not self.stop.is_set()

    def record(self, event: Event, lag_ns: int, own_lag_ns: int, *, paced: bool) -> None:
        with self._lock:
            if self._keep:
                self.log.append(event)
            self._lags.append(lag_ns)
            self._own_lags.append(own_lag_ns)
            self._paced += paced
            if self._observe is not None and self._failure is None:
                try:
                    self._observe(event)
                except BaseException as failure:
                    self._failure = failure  # before the next event, which is not observed
                    raise

    @property
    def run_number(self) -> int:
        return self._run_number

    def _audit(self) -> dict[str, Any]:
        audit: dict[str, Any] = {"requests": len(self._lags), "paced": self._paced}
        for name, lags in (("lag", self._lags), ("own_lag", self._own_lags)):
            ordered = sorted(lags)
            for percent, suffix in ((50, "p50"), (99, "p99"), (100, "max")):
                audit[f"{name}_{suffix}_ns"] = nearest_rank(ordered, percent)
        return audit


class _Lane:
    """One connection of one client, on one thread."""

    def __init__(self, run: _Run, client: Client, worker: int) -> None:
        from rateproof.simulate.transports.session import ClientSession

        self._run = run
        self._client = client
        self._worker = worker
        scenario = run.scenario
        url, headers = place_identity(scenario.target, scenario.key, client.identity)
        self.session = ClientSession(
            url, headers, timeout_ns=scenario.timeout_ns, numbers=run.connections
        )

    def drive(self) -> None:
        """Follow the client's plan until it or the run ends."""
        run = self._run
        plan = self._client.behaviour.plan(self._client.rng())
        free_ns = 0
        try:
            intended_ns = next(plan)
            while run.wait_until(intended_ns):
                due_ns = max(intended_ns, free_ns)
                paced = False
                if run.pacer is not None:
                    slot_ns = run.pacer.reserve(run.elapsed_ns())
                    if not run.wait_until(slot_ns):
                        return
                    paced = slot_ns > due_ns
                    due_ns = max(due_ns, slot_ns)
                sequence = next(run.sequences)
                own_lag_ns = run.elapsed_ns() - due_ns
                reply = self.session.exchange()
                event = self._event(reply, sequence, intended_ns)
                lag_ns = reply.sent_ns - run.start_ns - intended_ns
                run.record(event, lag_ns, own_lag_ns, paced=paced)
                free_ns = reply.done_ns - run.start_ns
                intended_ns = plan.send(_answer(event, run.start_ns))
        except StopIteration:
            return

    def _event(self, reply: "Reply", sequence: int, intended_ns: int) -> Event:
        run = self._run
        remaining, reset_s = parse_ratelimit(reply.headers.get("RateLimit"))
        return Event(
            key=self._client.identity,
            sent_ns=reply.sent_ns,
            received_ns=reply.received_ns,
            status=reply.status,
            outcome=outcome_of(reply.status, run.scenario.rejected_statuses),
            run=run.run_number,
            sequence=sequence,
            intended_ns=run.start_ns + intended_ns,
            done_ns=reply.done_ns,
            error=reply.error,
            bytes=reply.bytes,
            retry_after_s=parse_retry_after(
                reply.headers.get("Retry-After"), reply.headers.get("Date")
            ),
            ratelimit_remaining=remaining,
            ratelimit_reset_s=reset_s,
            connection=reply.connection,
            worker=self._worker,
        )


def _answer(event: Event, start_ns: int) -> Answer:
    retry_after_ns = None
    if event.retry_after_s is not None:
        retry_after_ns = round(min(event.retry_after_s, _MAX_RETRY_AFTER_S) * SECOND_NS)
    end_ns = event.sent_ns if event.done_ns is None else event.done_ns
    return Answer(event.sent_ns - start_ns, end_ns - start_ns, event.outcome, retry_after_ns)
