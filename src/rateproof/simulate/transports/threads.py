"""One thread and one `requests.Session` for each connection of each client.

The mission to the letter, and the transport of client.py: plain, on Requests,
good for hundreds of clients and about a thousand requests a second. Intervals
are as wide as Requests makes them: from before `send`, connecting included,
until the header section has been read.
"""

import errno
import functools
import http.client
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import requests.adapters
import urllib3

from rateproof.errors import InvalidArgument
from rateproof.events import UNKNOWN, Event, EventLog, outcome_of
from rateproof.simulate.audit import Audit, judgement
from rateproof.simulate.behaviour import Plan, Reply, Send, rate_interval_ns
from rateproof.simulate.control import Control
from rateproof.simulate.programs.program import Op
from rateproof.simulate.run_metadata import control_metadata, run_metadata, start_metadata
from rateproof.simulate.scenario import Client, Scenario
from rateproof.simulate.transports.descriptors import ensure_descriptors
from rateproof.simulate.transports.limit_fields import parse_ratelimit, parse_retry_after
from rateproof.units import SECOND_NS

__all__ = ["MAX_CONNECTIONS", "check", "run"]

MAX_CONNECTIONS = 10_000
"""At most as many connections, each with a thread of its own."""

MAX_BODY = 1 << 20
"""A longer body is given up: error `oversized`."""

_CHUNK = 1 << 16
_STACK_BYTES = 512 * 1024
_TURN_NS = 40_000_000
_GIVING_UP_NS = 500_000_000
_LONGEST_WAIT_S = 3_600.0
_MOST_DROPPED = 100_000
_IDENTITIES_KEPT = 16


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
    return _Run(scenario, control, observe, run_number, keep=keep).run()


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


# ------------------------------------------------------------- Requests, and no leniency


class _Here(threading.local):
    lane: "_Lane"


_HERE = _Here()


def _counted(pool: Any) -> Any:
    """A pool whose connections tell the lane of their thread when they are opened."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def connect(self) -> None:
            _HERE.lane.connecting()
            super().connect()
            _HERE.lane.connected(self.sock)

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


_POOLS = {
    "http": _counted(urllib3.HTTPConnectionPool),
    "https": _counted(urllib3.HTTPSConnectionPool),
}


class _Adapter(requests.adapters.HTTPAdapter):
    """One pooled connection, no retries, certificates judged by one context."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: Requests would add authorities of its own to those of the context."""

    def get_connection_with_tls_context(self, request: Any, *_args: Any, **_kwargs: Any) -> Any:
        """The pool of a request's host; Requests would replace its context."""
        return self.poolmanager.connection_from_url(request.url)


class _Session(requests.Session):
    """What is sent is what the scenario says: no environment, no cookies, no redirects."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(context))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is an answer. Requests would read its whole body to follow it."""


def _trust(scenario: Scenario) -> ssl.SSLContext | None:
    """How certificates are judged: by a file's, by the system's, or not at all; one for a run."""
    if scenario.target.scheme != "https":
        return None
    context = ssl.create_default_context(cafile=scenario.ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if scenario.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return context


_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL})

# In order: the first that any exception of the chain belongs to.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (http.client.RemoteDisconnected, "closed"),  # is a ConnectionResetError too
    (socket.gaierror, "dns"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
    (ConnectionError, "reset"),
    (TimeoutError, "timeout"),
    (requests.Timeout, "timeout"),
    (http.client.IncompleteRead, "closed"),
    (http.client.LineTooLong, "oversized"),
    (http.client.HTTPException, "protocol"),
    (urllib3.exceptions.ProtocolError, "protocol"),
    (urllib3.exceptions.InvalidHeader, "protocol"),
)


def _error_kind(error: BaseException | None) -> str:
    """Name a failure in one word; docs/simulate/engine.md lists them."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    if any(isinstance(link, OSError) and link.errno in _LOCAL for link in chain):
        return "local"
    if any(type(link) is http.client.HTTPException for link in chain):
        return "oversized"  # bare, it says only that there are more fields than it takes
    found = (name for kind, name in _KINDS if any(isinstance(link, kind) for link in chain))
    return next(found, "other")


def _is_cut(response: requests.Response, size: int) -> bool:
    """Whether the connection ended where nothing said that it would.

    http.client takes a header section that is cut off for a whole one.
    """
    said = ("Content-Length", "Transfer-Encoding", "Connection")
    return (
        size == 0
        and response.raw.version == 11
        and response.request.method != "HEAD"
        and response.status_code not in {101, 204, 304}
        and not any(name in response.headers for name in said)
    )


# ------------------------------------------------------------- one connection of one client


class _Lane:
    """Follows the plan of its client until that or the run ends.

    Args:
        run: what all lanes share.
        client: whose connection it is.
        number: of the connection among its client's, from 0.
        origin_ns: the run's age when the client came, which is 0 of its plan.
    """

    def __init__(self, run: "_Run", client: Client, number: int, origin_ns: int) -> None:
        self._run = run
        self._client = client
        self._number = number
        self._origin_ns = origin_ns
        self._worker = next(run.workers)
        self._session = _Session(run.context)
        self.wake = threading.Event()
        self._retired = False
        self._request = functools.lru_cache(_IDENTITIES_KEPT)(self._prepare)
        self._opened = False
        self._connection = 0
        self._sock: socket.socket | None = None
        self.reconnects = 0
        self._cut: str | None = None
        self.own_lag_ns, self.paced = 0, False
        self.row: dict[str, Any] | None = None  # of the request in flight

    def connecting(self) -> None:
        """A connection is about to be opened."""
        self._sock, self._connection = None, next(self._run.connections)

    def connected(self, sock: socket.socket) -> None:
        """It is open."""
        self.reconnects += self._opened
        self._opened, self._sock = True, sock
        if self._cut is not None:
            raise ConnectionAbortedError("the request was given up")

    def interrupt(self, why: str) -> None:
        """End the request in flight with an error, from any thread; connecting goes on."""
        self._cut = why
        if self._sock is not None:
            # Not the method of a TLS socket, which changes what its reader is using.
            with suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def retire(self) -> None:
        """Let it end after its request in flight."""
        self._retired = True
        self.wake.set()

    def drive(self) -> None:
        """Send what the plan asks for, one request after the other."""
        _HERE.lane = self
        run, client = self._run, self._client
        group = client.group
        plan = group.behaviour.program().plan(client.rng(), self._number, group.connections)
        free_ns = 0
        with suppress(StopIteration), self._session:
            send = next(plan)
            while True:
                intended_ns = self._wait(self._origin_ns + send.intended_ns, run.bursts)
                if intended_ns is None:
                    break
                due_ns, paced = max(intended_ns, free_ns), False
                if run.pace_ns is not None:
                    slot_ns = run.reserve_slot()
                    if self._wait(slot_ns) is None:
                        break
                    due_ns, paced = max(due_ns, slot_ns), slot_ns > due_ns
                reply = self._exchange(send, intended_ns, due_ns, paced=paced)
                free_ns = self._origin_ns + reply.done_ns
                send = plan.send(reply)
            if not self._retired:
                self._drop(plan, send, free_ns)

    def _wait(self, due_ns: int, bursts: int | None = None) -> int | None:
        """Sleep until an instant of the run, or until a burst beyond those that there were.

        Returns:
            The instant that has come: `due_ns`, or an earlier burst's. None
            when the run, or this client's part in it, is over before that.
        """
        run, end_ns = self._run, self._run.scenario.duration_ns
        while True:
            self.wake.clear()
            if run.control.stopping or self._retired:
                return None
            if run.clock[1] is not None:
                self.wake.wait()
                continue
            now_ns = run.elapsed_ns(time.monotonic_ns())
            if end_ns is not None and now_ns >= end_ns:
                return None
            if bursts is not None and run.bursts != bursts:
                return min(due_ns, run.burst_ns)
            if now_ns >= due_ns:
                return due_ns
            until_ns = due_ns if end_ns is None else min(due_ns, end_ns)
            self.wake.wait(min((until_ns - now_ns) / SECOND_NS, _LONGEST_WAIT_S))

    def _drop(self, plan: Plan, send: Send, free_ns: int) -> None:
        """Count what was due before the run's end and is not sent any more.

        What a closed plan wants at the very instant of an answer is not due
        before the end unless the generator has left it lying for long.
        """
        run = self._run
        ends = (run.elapsed_ns(time.monotonic_ns()), run.scenario.duration_ns, run.stopped_ns)
        end_ns = min(end for end in ends if end is not None)
        due_ns = max(self._origin_ns + send.intended_ns, free_ns)
        own_lag_ns = end_ns - due_ns if run.pace_ns is None and end_ns > due_ns else None
        overdue = own_lag_ns is not None and own_lag_ns > run.scenario.lag_tolerance_ns
        if self._origin_ns + send.intended_ns >= (end_ns if overdue else min(free_ns, end_ns)):
            return
        count, nothing = 0, end_ns - self._origin_ns
        try:
            while self._origin_ns + send.intended_ns < end_ns and count < _MOST_DROPPED:
                count += 1
                send = plan.send(Reply(nothing, nothing, UNKNOWN))
        finally:
            run.drop(count, own_lag_ns)

    def _prepare(self, alias: int) -> tuple[bytes, requests.PreparedRequest]:
        """An identity and the request that carries it: the bytes of the template, as Requests takes them."""
        scenario, identity = self._run.scenario, self._client.identity(alias)
        template = self._run.template
        head = template.fill(identity)[: template.head_bytes].decode("latin-1").split("\r\n")
        _, path, _ = head[0].split(" ")
        request = requests.PreparedRequest()
        request.method, request.body = scenario.method, scenario.body or None
        request.url = scenario.target.url.removesuffix(scenario.target.path) + path
        lines = (line.partition(": ") for line in head[1:-2])
        request.headers = requests.structures.CaseInsensitiveDict(
            {name: value for name, _, value in lines}
        )
        return identity, request

    def _exchange(self, send: Send, intended_ns: int, due_ns: int, *, paced: bool) -> Reply:
        """Send a request and read its answer; never raises for what the network does."""
        run = self._run
        identity, request = self._request(send.alias)
        sent_ns = time.monotonic_ns()
        age_ns = run.elapsed_ns(sent_ns)
        row: dict[str, Any] = {
            "key": identity,
            "sent_ns": sent_ns,
            "received_ns": None,
            "status": None,
            "run": run.run_number,
            "sequence": next(run.sequences),
            "attempt": send.attempt,
            "intended_ns": sent_ns - age_ns + intended_ns,
            "bytes": 0,
            "worker": self._worker,
        }
        self._cut, self.own_lag_ns, self.paced, self.row = None, age_ns - due_ns, paced, row
        try:
            error = self._read(row, request)
        except (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException) as failure:
            error = _error_kind(failure)
        event = self.event(row, error)
        run.record(self, event)
        retry_after_s = event.retry_after_s
        done_ns = run.elapsed_ns(event.done_ns or sent_ns)
        return Reply(
            age_ns - self._origin_ns,
            done_ns - self._origin_ns,
            event.outcome,
            None if retry_after_s is None else round(min(retry_after_s, 1e9) * SECOND_NS),
        )

    def _read(self, row: dict[str, Any], request: requests.PreparedRequest) -> str | None:
        """Send, and put the answer into the row; the error that Requests does not see."""
        response = self._session.send(
            request, stream=True, allow_redirects=False, timeout=self._run.timeout_s
        )
        received_ns = time.monotonic_ns()
        if self._cut is not None:
            return self._cut  # http.client takes what had come by then for a whole header section
        if response.status_code < 200:
            response.close()  # with what follows: it would pass for the next answer
            if response.status_code != http.client.SWITCHING_PROTOCOLS:
                return "protocol"
        row |= {"received_ns": received_ns, "status": response.status_code}
        raw = response.raw
        raw.enforce_content_length = True  # urllib3 before 2 takes a cut body for a whole one
        while chunk := raw.read(_CHUNK, decode_content=False):
            row["bytes"] += len(chunk)
            if row["bytes"] > MAX_BODY:
                response.close()  # and its connection, with the rest on the way
                return "oversized"
        if _is_cut(response, row["bytes"]):
            return "closed"
        headers = response.headers
        remaining, reset_s = parse_ratelimit(headers.get("RateLimit"))
        row |= {
            "retry_after_s": parse_retry_after(headers.get("Retry-After"), headers.get("Date")),
            "ratelimit_remaining": remaining,
            "ratelimit_reset_s": reset_s,
        }
        return None

    def event(self, row: dict[str, Any], error: str | None) -> Event:
        """The row of a request that is over."""
        return Event(
            **row,
            outcome=outcome_of(row["status"], self._run.scenario.rejected_statuses),
            done_ns=time.monotonic_ns(),
            error=self._cut or error,
            connection=self._connection,
        )


# ------------------------------------------------------------- all of them


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
        self.scenario = scenario
        self.run_number = run_number
        self.template = scenario.template()
        self.context = _trust(scenario)
        timeout_ns = scenario.timeout_ns
        connect_ns = min(timeout_ns, scenario.connect_timeout_ns or timeout_ns)
        self.timeout_s = (connect_ns / SECOND_NS, timeout_ns / SECOND_NS)
        rate = scenario.max_rate
        self.pace_ns = None if rate is None else rate_interval_ns(rate)
        self.sequences = itertools.count()
        self.connections = itertools.count(1)
        self.workers = itertools.count()
        self.bursts = control.bursts
        self.burst_ns = 0
        self.stopped_ns: int | None = None
        # Origin of the run's clock and where it stands still: one tuple, read without a lock.
        self.clock: tuple[int, int | None] = (0, None)
        self._start_ns = 0
        self._log = EventLog(run_metadata(scenario, "threads"))
        self.control = control
        self._observe = observe
        self._keep = keep
        self._lanes: list[tuple[_Lane, threading.Thread]] = []
        self._last_group: list[list[_Lane]] = []
        self._extra = self._least = 0
        self._go = threading.Event()
        self._turn = threading.Event()
        self._lock = threading.Lock()  # of all that follows, and of each lane's row
        self._audit = Audit(scenario.lag_tolerance_ns)
        self._seen = EventLog()
        self._slot_ns = self._alive = self._cpu_ns = self._reconnects = 0
        self._failure: BaseException | None = None

    def run(self) -> EventLog:
        try:
            self._start()
            self._look_after()
            self._hand_over()
        except BaseException as failure:
            self.control.stop()
            self._go.set()
            self._poke()
            if not isinstance(failure, KeyboardInterrupt):  # who interrupts does not want to wait
                for _, thread in self._lanes:
                    thread.join()
            raise
        if self._failure is not None:
            raise self._failure
        wall_ns = time.monotonic_ns() - self._start_ns
        figures = self._audit.figures(self._cpu_ns, wall_ns, reconnects=self._reconnects)
        self._log.metadata |= start_metadata(self._start_ns)
        self._log.metadata |= judgement(figures, self.scenario.lag_tolerance_ns)
        self._log.metadata |= control_metadata(self.control)
        return self._log

    # ------------------------------------------------------------- the clock of the run

    def elapsed_ns(self, instant_ns: int) -> int:
        """The run's age at a monotonic instant: it stands still while the run is paused."""
        origin_ns, paused_ns = self.clock
        return (instant_ns if paused_ns is None else min(instant_ns, paused_ns)) - origin_ns

    # ------------------------------------------------------------- the threads

    def _start(self) -> None:
        """Start every thread, then let them go at once."""
        scenario, group = self.scenario, self.scenario.groups[-1]
        last = scenario.client_count - group.clients
        for client in scenario.clients():
            lanes = self._add(client, 0)
            if client.number >= last:
                self._last_group.append(lanes)
        self._least = -min(group.clients, scenario.client_count - 1)
        most = min(MAX_CONNECTIONS, scenario.max_connections or MAX_CONNECTIONS)
        spare = (most - scenario.connection_count) // group.connections
        self.control.bound_clients(self._least, spare)
        self._start_ns = max(time.monotonic_ns(), scenario.start_ns or 0)
        self.clock = (self._start_ns, None)
        self._go.set()

    def _add(self, client: Client, origin_ns: int) -> list[_Lane]:
        lanes: list[_Lane] = []
        before = threading.stack_size(_STACK_BYTES)  # 10,000 of them: 5 GiB of addresses
        try:
            for number in range(client.group.connections):
                lane = _Lane(self, client, number, origin_ns)
                thread = threading.Thread(
                    target=self._work, args=(lane,), name=f"client-{client.number}", daemon=True
                )
                thread.start()
                with self._lock:
                    self._alive += 1
                self._lanes.append((lane, thread))
                lanes.append(lane)
        except RuntimeError as error:
            for started in lanes:
                started.retire()
            raise InvalidArgument(
                f"only {len(self._lanes)} of {self.scenario.connection_count} threads "
                "could be started",
                "use fewer clients or connections, or raise the limit of processes",
            ) from error
        finally:
            threading.stack_size(before)
        return lanes

    def _work(self, lane: _Lane) -> None:
        try:
            self._go.wait()
            if not self.control.stopping:
                lane.drive()
        except BaseException as failure:  # noqa: BLE001 - raised again by run()
            with self._lock:
                self._failure = self._failure or failure
            self.control.stop()
        finally:
            with self._lock:
                self._alive -= 1
                self._cpu_ns += time.thread_time_ns()
                self._reconnects += lane.reconnects
                if self._alive == 0 or self._failure is not None:
                    self._turn.set()

    def _poke(self) -> None:
        for lane, _ in self._lanes:
            lane.wake.set()

    # ------------------------------------------------------------- what lanes say

    def reserve_slot(self) -> int:
        """The next free slot of `max_rate`, an instant of the run; those that nobody wanted are gone."""
        with self._lock:
            slot_ns = max(self._slot_ns, self.elapsed_ns(time.monotonic_ns()))
            self._slot_ns = slot_ns + (self.pace_ns or 0)
        return slot_ns

    def record(self, lane: _Lane, event: Event) -> None:
        """Take what became of a lane's request, unless it was given up before."""
        with self._lock:
            if lane.row is not None:
                self._take(lane, event)

    def drop(self, count: int, own_lag_ns: int | None) -> None:
        """Take what a lane could not send in time."""
        with self._lock:
            self._audit.drop(count, own_lag_ns)

    def _take(self, lane: _Lane, event: Event) -> None:
        """Called with the lock held."""
        lane.row = None
        self._seen.append(event)
        lag_ns = event.sent_ns - (event.intended_ns or 0)
        self._audit.sent(lag_ns, lane.own_lag_ns, paced=lane.paced)
        if event.error == "local":
            self._audit.unsent()

    # ------------------------------------------------------------- the loop

    def _look_after(self) -> None:
        """Turn after turn, obey the control and hand over what was seen, until no lane is left.

        The turns do not wait for the control's own event: a handler of signals
        that sets it may run on this very thread, in the middle of such a wait.
        """
        began_ns, abandoned_ns = time.thread_time_ns(), None
        timeout_ns = self.scenario.timeout_ns
        while self._alive:
            before_ns = time.monotonic_ns()
            self._turn.wait(_TURN_NS / SECOND_NS)
            self._turn.clear()
            now_ns = time.monotonic_ns()
            abandoned = self.control.abandoned
            with self._lock:
                self._audit.turn(now_ns - before_ns - _TURN_NS)
                for lane, _ in self._lanes:
                    if lane.row is not None and abandoned:
                        lane.interrupt("other")
                    elif lane.row is not None and lane.row["sent_ns"] <= now_ns - timeout_ns:
                        lane.interrupt("timeout")
            self._obey(now_ns)
            self._hand_over()
            abandoned_ns = (abandoned_ns or now_ns) if abandoned else None
            if abandoned_ns is not None and now_ns - abandoned_ns > _GIVING_UP_NS:
                break
        with self._lock:  # who cannot be interrupted, as while connecting, ends by itself
            for lane, _ in self._lanes:
                if lane.row is not None:
                    self._take(lane, lane.event(lane.row, None))
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

    def _obey(self, now_ns: int) -> None:
        control, (origin_ns, paused_ns) = self.control, self.clock
        if control.stopping:
            if self.stopped_ns is None:
                self.stopped_ns = self.elapsed_ns(now_ns)
                self._poke()
            return
        changed = False
        if control.paused and paused_ns is None:
            self.clock, changed = (origin_ns, now_ns), True
        elif paused_ns is not None and not control.paused:
            self.clock, changed = (origin_ns + now_ns - paused_ns, None), True
        if control.bursts != self.bursts:
            self.burst_ns = self.elapsed_ns(now_ns)
            self.bursts = control.bursts  # after the instant: lanes look at this first
            changed = True
        if changed:
            self._poke()
        self._adjust(control.extra_clients, self.elapsed_ns(now_ns))

    def _adjust(self, extra: int, now_ns: int) -> None:
        """Start and retire clients until there are so many more than the scenario has."""
        while self._extra > extra:
            for lane in self._last_group.pop():
                lane.retire()
            self._extra -= 1
        while self._extra < extra:
            self._lanes = [(lane, thread) for lane, thread in self._lanes if thread.is_alive()]
            scenario, group = self.scenario, self.scenario.groups[-1]
            client = Client(scenario, scenario.client_count + self._extra, group)
            try:
                ensure_descriptors(group.connections)
                self._last_group.append(self._add(client, now_ns))
            except InvalidArgument:
                self.control.bound_clients(self._least, self._extra)
                return
            self._extra += 1
