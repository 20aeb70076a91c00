"""One connection of one client, on one thread."""

import functools
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rateproof.events import UNKNOWN, Event, outcome_of
from rateproof.simulate.behaviours import Plan, Send
from rateproof.simulate.behaviours import Reply as Heard
from rateproof.simulate.identities import place_identity
from rateproof.simulate.scenario import Client, Scenario
from rateproof.simulate.transports.headers import parse_ratelimit, parse_retry_after
from rateproof.simulate.transports.pacer import Pacer
from rateproof.simulate.transports.runclock import RunClock
from rateproof.units import SECOND_NS

if TYPE_CHECKING:
    import itertools

    import requests

    from rateproof.simulate.transports.session import ClientSession, Reply

__all__ = ["Flight", "Lane", "LaneRun"]

_LONGEST_WAIT_S = 3_600.0
_MAX_RETRY_AFTER_S = 10**9
_MOST_DROPPED = 100_000
_IDENTITIES_KEPT = 16


class LaneRun(Protocol):
    """What a lane needs of its run."""

    scenario: Scenario
    clock: RunClock
    pacer: Pacer | None
    sequences: "itertools.count[int]"
    run_number: int
    bursts: int
    burst_ns: int
    stopped_ns: int | None

    @property
    def stopping(self) -> bool:
        """Whether nothing new is to be sent."""
        ...

    def record(self, lane: "Lane", event: Event) -> None:
        """Take what became of a lane's `flight`, which is over."""
        ...

    def drop(self, count: int, own_lag_ns: int | None) -> None:
        """Take what a lane could not send in time."""
        ...


class Flight(NamedTuple):
    """A request while nobody knows what becomes of it.

    Args:
        identity: what it carries.
        sequence: its number in the run.
        send: what the plan asked for.
        intended_ns: when it was to be sent, in ns of the run.
        begun_ns: monotonic; it is sent later.
        own_lag_ns: how late the generator itself began it.
        paced: whether it waited for a slot of `max_rate`.
    """

    identity: bytes
    sequence: int
    send: Send
    intended_ns: int
    begun_ns: int
    own_lag_ns: int
    paced: bool


class Lane:
    """Follows the plan of its client until that or the run ends.

    Args:
        run: what all lanes share.
        client: whose connection it is.
        number: of the connection among its client's, from 0.
        worker: the number of its thread.
        session: its connection.
        origin_ns: the run's age when the client came, which is 0 of its plan.
    """

    def __init__(
        self,
        run: LaneRun,
        client: Client,
        number: int,
        worker: int,
        *,
        session: "ClientSession",
        origin_ns: int,
    ) -> None:
        self._run = run
        self._client = client
        self._number = number
        self._worker = worker
        self._session = session
        self._origin_ns = origin_ns
        self._wake = threading.Event()
        self._retired = False
        self._request = functools.lru_cache(_IDENTITIES_KEPT)(self._prepare)
        self.cpu_ns = 0
        self.flight: Flight | None = None

    @property
    def reconnects(self) -> int:
        """How often it has opened a connection after another one."""
        return self._session.reconnects

    def abort(self) -> None:
        """Give up its request in flight; what can be interrupted ends at once."""
        self._session.abort()

    def given_up(self, flight: Flight) -> Event:
        """The row of a request that nobody waits for any more."""
        from rateproof.simulate.transports.session import Reply

        sent_ns = max(flight.begun_ns, self._session.sent_ns)
        done_ns, connection = time.monotonic_ns(), self._session.connection
        return self._event(Reply(sent_ns, None, done_ns, None, "other", 0, connection, {}), flight)

    def poke(self) -> None:
        """Let it see that something has changed."""
        self._wake.set()

    def retire(self) -> None:
        """Let it end after its request in flight."""
        self._retired = True
        self._wake.set()

    def drive(self) -> None:
        """Send what the plan asks for, one request after the other."""
        run = self._run
        client = self._client
        plan = client.behaviour.program().plan(client.rng(), self._number, client.connections)
        free_ns = 0
        try:
            send = next(plan)
            while (
                intended_ns := self._wait(self._origin_ns + send.intended_ns, run.bursts)
            ) is not None:
                due_ns = max(intended_ns, free_ns)
                paced = False
                if run.pacer is not None:
                    slot_ns = run.pacer.reserve(self._now_ns())
                    if self._wait(slot_ns) is None:
                        break
                    paced = slot_ns > due_ns
                    due_ns = max(due_ns, slot_ns)
                identity, request = self._request(send.alias)
                begun_ns = time.monotonic_ns()
                own_lag_ns = run.clock.elapsed_ns(begun_ns) - due_ns
                sequence = next(run.sequences)
                self.flight = flight = Flight(
                    identity, sequence, send, intended_ns, begun_ns, own_lag_ns, paced
                )
                event = self._event(self._session.exchange(request, send.over_ns), flight)
                run.record(self, event)
                answer = self._answer(event)
                free_ns = self._origin_ns + answer.done_ns
                send = plan.send(answer)
            if not self._retired:
                self._drop(plan, send, free_ns)
        except StopIteration:
            return

    def close(self) -> None:
        """Close the connection, and note what the thread has used."""
        self._session.close()
        self.cpu_ns = time.thread_time_ns()

    def _now_ns(self) -> int:
        return self._run.clock.elapsed_ns(time.monotonic_ns())

    def _wait(self, due_ns: int, bursts: int | None = None) -> int | None:
        """Sleep until an instant of the run, or until a burst beyond those that there were.

        Args:
            due_ns: the instant, in ns of the run.
            bursts: how many there were; None: no burst ends this wait.

        Returns:
            The instant that has come: `due_ns`, or an earlier burst's. None
            when the run, or this client's part in it, is over before that.
        """
        run, end_ns = self._run, self._run.scenario.duration_ns
        while True:
            self._wake.clear()
            if run.stopping or self._retired:
                return None
            if run.clock.paused:
                self._wake.wait()
                continue
            now_ns = self._now_ns()
            if end_ns is not None and now_ns >= end_ns:
                return None
            if bursts is not None and run.bursts != bursts:
                return min(due_ns, run.burst_ns)
            if now_ns >= due_ns:
                return due_ns
            until_ns = due_ns if end_ns is None else min(due_ns, end_ns)
            self._wake.wait(min((until_ns - now_ns) / SECOND_NS, _LONGEST_WAIT_S))

    def _drop(self, plan: Plan, send: Send, free_ns: int) -> None:
        """Count what was due before the run's end and is not sent any more.

        What a closed plan wants at the very instant of an answer is not due
        before the end unless the generator has left it lying for long.
        """
        run = self._run
        ends = (self._now_ns(), run.scenario.duration_ns, run.stopped_ns)
        end_ns = min(end for end in ends if end is not None)
        due_ns = max(self._origin_ns + send.intended_ns, free_ns)
        own_lag_ns = end_ns - due_ns if run.pacer is None and end_ns > due_ns else None
        overdue = own_lag_ns is not None and own_lag_ns > run.scenario.lag_tolerance_ns
        if self._origin_ns + send.intended_ns >= (end_ns if overdue else min(free_ns, end_ns)):
            return
        count, nothing = 0, end_ns - self._origin_ns
        try:
            while self._origin_ns + send.intended_ns < end_ns and count < _MOST_DROPPED:
                count += 1
                send = plan.send(Heard(nothing, nothing, UNKNOWN))
        finally:
            run.drop(count, own_lag_ns)

    def _prepare(self, alias: int) -> "tuple[bytes, requests.PreparedRequest]":
        from rateproof.simulate.transports.session import prepare

        scenario, identity = self._run.scenario, self._client.identity_as(alias)
        url, headers = place_identity(scenario.target, scenario.key, identity)
        return identity, prepare(
            url,
            dict(scenario.headers) | headers,
            method=scenario.method,
            body=scenario.body,
        )

    def _event(self, reply: "Reply", flight: Flight) -> Event:
        run = self._run
        remaining, reset_s = parse_ratelimit(reply.headers.get("RateLimit"))
        return Event(
            key=flight.identity,
            sent_ns=reply.sent_ns,
            received_ns=reply.received_ns,
            status=reply.status,
            outcome=outcome_of(reply.status, run.scenario.rejected_statuses),
            run=run.run_number,
            sequence=flight.sequence,
            attempt=flight.send.attempt,
            intended_ns=run.clock.monotonic_ns(flight.intended_ns),
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

    def _answer(self, event: Event) -> Heard:
        """What the plan hears, in its own time."""
        retry_after_ns = None
        if event.retry_after_s is not None:
            retry_after_ns = round(min(event.retry_after_s, _MAX_RETRY_AFTER_S) * SECOND_NS)
        sent_ns = event.sent_ns
        done_ns = sent_ns if event.done_ns is None else event.done_ns
        clock, origin_ns = self._run.clock, self._origin_ns
        return Heard(
            clock.elapsed_ns(sent_ns) - origin_ns,
            clock.elapsed_ns(done_ns) - origin_ns,
            event.outcome,
            retry_after_ns,
        )
