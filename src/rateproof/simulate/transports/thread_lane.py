"""One connection of one client, on a thread of its own."""

import threading
import time
from contextlib import closing, suppress
from typing import Any

from rateproof.events import UNKNOWN, Event, outcome_of
from rateproof.simulate.programs.program import Plan, Reply, Send
from rateproof.simulate.scenario import Client
from rateproof.simulate.transports.over_requests import RequestsConnection
from rateproof.simulate.transports.thread_state import Shared
from rateproof.units import SECOND_NS

_MOST_DROPPED = 100_000


class Lane(threading.Thread):
    """Follows the plan of its client until that or the run ends.

    Args:
        shared: what all lanes share; its `state` guards `row` and `retired`.
        client: whose connection it is.
        number: of the connection among its client's, from 0.
        origin_ns: the run's age when the client came, which is 0 of its plan.
    """

    def __init__(self, shared: Shared, client: Client, number: int, origin_ns: int) -> None:
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
        self._shared.ended(self.connection.opened, failure)

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
