"""Carries the schedules of a probe to a real server."""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rateproof.events import ADMITTED, REJECTED, UNKNOWN, Event, EventLog
from rateproof.probe.seen import Seen, Steps, decided, widened
from rateproof.probe.several import Hit
from rateproof.simulate.behaviour import Program
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.control import Control
from rateproof.simulate.programs.arrivals import Fixed
from rateproof.simulate.programs.steps import RESUME, ask, compiled, wait, when, while_
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.transports import Transport

__all__ = ["HttpSender", "fresh_namespace"]

_SLOW_NS = 20_000_000
_SLOWER = 5
_SLOW_ANSWERS = 4  # in a row: fewer may be hiccups
_FIRST_WIDTH, _MOST_WIDTH = 8, 128


def fresh_namespace() -> str:
    """Of identities that nobody has used before."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class _Search:
    """Requests one after the other until one is not admitted, then polls until one is.

    Args:
        most: requests until then, at most.
        delays_ns: from one poll to the next.
    """

    name: ClassVar[str] = "search"

    most: int
    delays_ns: tuple[int, ...] = ()

    def program(self) -> Program:
        """A loop that a denial leaves, then waits and requests that an admission ends."""
        fill = while_(frozenset({ADMITTED}), self.most - 1, ask()) if self.most > 1 else ()
        polls = (
            when(frozenset({REJECTED}), wait(Fixed(delay_ns)) + ask())
            for delay_ns in self.delays_ns
        )
        return compiled(ask(), fill, RESUME, *polls)


class HttpSender:
    """Sends to one server, each schedule with an identity that was never used before.

    An answer that says neither yes nor no ends what is known of its key.

    Args:
        scenario: the target and how to reach it; groups, start and identities are replaced.
        transport: what carries it.

    Attributes:
        delaying: the limiter is seen to delay what it admits.
        reconnecting: the server was seen to close a connection after an answer.
        waited_ns: the longest from a request to its answer.
    """

    def __init__(self, scenario: Scenario, transport: Transport) -> None:
        self.scenario = scenario
        self.statuses: Counter[int | None] = Counter()
        self.delaying = False
        self.reconnecting = False
        self.waited_ns = 0
        self._searched = fresh_namespace()
        self._transport = transport

    @property
    def requests(self) -> int:
        """The number of requests sent in all."""
        return self.statuses.total()

    def now_ns(self) -> int:
        """The monotonic clock."""
        return time.monotonic_ns()

    def search(self, most: int, delays_ns: Sequence[int]) -> list[Seen]:
        """Fill one fresh key until it denies, then poll it until it admits.

        Where each answer waits for the one before, requests are sent side by side
        instead and nothing is polled: the limiter delays what it admits (`delaying`).

        Args:
            most: requests until the first denial, at most.
            delays_ns: from one poll to the next.
        """
        control = Control()
        quickest_ns, slow = 2**62, 0

        def observe(events: EventLog) -> None:
            nonlocal quickest_ns, slow
            for event in events:
                if event.received_ns is not None and event.outcome == ADMITTED:
                    took_ns = event.received_ns - event.sent_ns
                    quickest_ns = min(quickest_ns, took_ns)
                    slow = slow + 1 if took_ns > max(_SLOW_NS, _SLOWER * quickest_ns) else 0
            if slow >= _SLOW_ANSWERS:
                control.stop()

        group = Group(_Search(most, tuple(delays_ns)))
        scenario = self._fresh((group,))
        self._searched = scenario.namespace
        log = self._transport(scenario, control=control, observe=observe)
        history = self._seen(list(log))
        self.reconnecting |= len({event.connection for event in log}) > 1
        if not control.stopping:
            return history
        self.delaying = True
        width = _FIRST_WIDTH
        while width < most and all(seen.admitted for seen in history):
            history = self.send([((0, width),)], 0)[0]
            width = min(4 * width, _MOST_WIDTH + 1)
        return history

    def send(
        self, schedules: Sequence[Steps], start_ns: int, *, connections: int = 1
    ) -> list[list[Seen]]:
        """Send each schedule on a fresh key, all at the same time; what was seen of each.

        Args:
            schedules: one for each key.
            start_ns: when their 0 is; at once if that is past.
            connections: of each key; as many as requests where answers are delayed.
        """
        groups = tuple(
            Group(
                Schedule(steps),
                connections=max(count for _, count in steps) if self.delaying else connections,
            )
            for steps in schedules
        )
        scenario = replace(self._fresh(groups), start_ns=start_ns)
        keys: dict[bytes, list[Event]] = {client.identity(): [] for client in scenario.clients()}
        for event in self._transport(scenario, control=Control()):
            keys[event.key].append(event)
        return [self._seen(events) for events in keys.values()]

    def hitter(self, *, fresh: bool) -> Hit:
        """Return a sender to a fresh key, or to that of the last search, each time on new connections."""
        namespace = fresh_namespace() if fresh else self._searched

        def hit(requests: int, at_ns: int, connections: int) -> list[Seen]:
            group = Group(Schedule(((0, requests),)), connections=connections)
            scenario = replace(self.scenario, groups=(group,), namespace=namespace, start_ns=at_ns)
            return self._seen(list(self._transport(scenario, control=Control())))

        return hit

    def ask(self, scenario: Scenario, *, most: int = 1) -> list[Seen]:
        """Send with the identity of a scenario's namespace until one is not admitted.

        Args:
            scenario: how, on a connection of its own; its groups are replaced.
            most: how many requests at most.
        """
        asked = replace(scenario, groups=(Group(_Search(most)),))
        return self._seen(list(self._transport(asked, control=Control())))

    def _fresh(self, groups: tuple[Group, ...]) -> Scenario:
        return replace(self.scenario, groups=groups, namespace=fresh_namespace())

    def _seen(self, events: Sequence[Event]) -> list[Seen]:
        """Decisions, in an order in which they can have been made."""
        self.statuses.update(event.status for event in events)
        ordered = sorted(events, key=lambda event: (event.intended_ns or 0, event.sent_ns))
        quick_ns = self._quick_ns(ordered)
        history: list[Seen] = []
        for event in ordered:
            if event.received_ns is None or event.outcome == UNKNOWN:
                break
            admitted = event.outcome == ADMITTED
            received_ns = event.received_ns
            if self.delaying and admitted:
                self.waited_ns = max(self.waited_ns, received_ns - event.sent_ns)
                received_ns = min(received_ns, event.sent_ns + quick_ns)
            history.append(widened(event.sent_ns, received_ns, admitted=admitted))
        return decided(history)

    def _quick_ns(self, events: Sequence[Event]) -> int:
        """The time of an answer that waits for nothing: the slowest denial, or a guess."""
        denials = [
            event.received_ns - event.sent_ns
            for event in events
            if event.received_ns is not None and event.outcome == REJECTED
        ]
        return max(denials, default=_SLOW_NS // 4)
