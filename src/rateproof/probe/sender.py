"""Carries the schedules of a probe to a real server."""

import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, TypeAlias

from rateproof.errors import InvalidArgument
from rateproof.events import ADMITTED, REJECTED, UNKNOWN, Event, EventLog
from rateproof.keyfile import KeyFile
from rateproof.probe.seen import Seen, Steps, decided, volleys, widened
from rateproof.probe.several import Hit
from rateproof.simulate.behaviour import rate_interval_ns
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.control import Control
from rateproof.simulate.identities import identity_of
from rateproof.simulate.programs.arrivals import Fixed
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import RESUME, ask, compiled, wait, when, while_
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.tokens import Tokens
from rateproof.simulate.transports import Transport
from rateproof.units import counted

_Observe: TypeAlias = Callable[[EventLog], None]

_SLOW_NS = 20_000_000
_SLOWER = 5
_SLOW_ANSWERS = 2  # in a row: two keys more say if it is a queue
_QUEUED, _FEWEST = 8, 3
_LEAST_STEP_NS = 8_000_000
_MOST_CONNECTIONS = 64


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
        keys: what clients send instead of invented identities, each used once.

    Attributes:
        delaying: the limiter is seen to delay what it admits.
        reconnecting: the server was seen to close a connection after an answer.
    """

    def __init__(
        self, scenario: Scenario, transport: Transport, keys: KeyFile | None = None
    ) -> None:
        self.scenario = scenario
        self.statuses: Counter[int | None] = Counter()
        self.delaying = False
        self.reconnecting = False
        self._keys = None if keys is None else deque(keys.keys)
        self._file = keys
        self._sent: list[bytes] = []
        self._hit: dict[Hit, bytes] = {}
        self._searched = scenario
        self._transport = transport
        self._free_ns = 0

    @property
    def requests(self) -> int:
        """The number of requests sent in all."""
        return self.statuses.total()

    def now_ns(self) -> int:
        """The monotonic clock."""
        return time.monotonic_ns()

    def search(self, most: int, delays_ns: Sequence[int]) -> list[Seen]:
        """Fill one fresh key on one connection until it denies, then poll it until it admits.

        Where each answer waits for the one before, and on two more keys too, the limiter
        delays what it admits (`delaying`), and nothing is polled.

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

        scenario = self._fresh((Group(_Search(most, tuple(delays_ns))),))
        self._searched = scenario
        log = self._carried(scenario, control, observe)
        history = self._seen(list(log))
        self.reconnecting |= len({event.connection for event in log}) > 1
        if control.stopping:
            width = min(_QUEUED, most // 2)
            self.delaying = all(_grows(self.waits(width)[0]) for _ in range(2))
        return history

    def waits(self, requests: int) -> tuple[list[int], int]:
        """Send at once on a fresh key, on as many connections: how long what is admitted waits, in ns, and the denials."""
        scenario = self._fresh((Group(Schedule(((0, requests),)), connections=requests),))
        events = list(self._carried(scenario))
        self.statuses.update(event.status for event in events)
        waited = [
            event.received_ns - event.sent_ns
            for event in events
            if event.outcome == ADMITTED and event.received_ns is not None
        ]
        return sorted(waited), sum(event.outcome == REJECTED for event in events)

    def send(
        self, schedules: Sequence[Steps], start_ns: int, keys: Sequence[int | None] = ()
    ) -> list[list[Seen]]:
        """Send all schedules at the same time, each on a fresh key, or on the key of an earlier one.

        Args:
            schedules: the requests of each; a volley goes out on a connection for each
                request, as far as there are.
            start_ns: when their 0 is; at once if that is past.
            keys: of each the number of an earlier schedule, of all that were sent, whose key
                goes on; None, and none at all: a fresh one.
        """
        groups = tuple(
            Group(
                Schedule(steps),
                connections=min(_MOST_CONNECTIONS, max(count for _, count in steps)),
            )
            for steps in schedules
        )
        on = list(keys) or [None] * len(groups)
        fresh = iter(self._identities(on.count(None)))
        identities = tuple(next(fresh) if key is None else self._sent[key] for key in on)
        self._sent += (each for each, key in zip(identities, on, strict=True) if key is None)
        tokens = Tokens(identities, len(identities))
        scenario = replace(self.scenario, groups=groups, tokens=tokens, start_ns=start_ns)
        events: dict[bytes, list[Event]] = {client.identity(): [] for client in scenario.clients()}
        for event in self._carried(scenario):
            events[event.key].append(event)
        return [volleys(self._seen(each)) for each in events.values()]

    def hitter(self, *, fresh: bool) -> Hit:
        """Return a sender to a fresh key, or to that of the last search, each time on new connections."""
        client = (
            self.fresh(self.scenario, (Group(Schedule(((0, 1),))),)) if fresh else self._searched
        )

        def hit(requests: int, at_ns: int, connections: int) -> list[Seen]:
            group = Group(Schedule(((0, requests),)), connections=connections)
            scenario = replace(client, groups=(group,), start_ns=at_ns)
            return self._seen(list(self._carried(scenario)))

        if client.tokens:
            self._hit[hit] = client.tokens.keys[0]
        return hit

    def keep(self, hit: Hit) -> None:
        """Let schedules go on with the key of a hitter, as with that of an earlier schedule: the last one so far."""
        self._sent.append(self._hit[hit])

    def ask(self, scenario: Scenario, *, most: int = 1) -> list[Seen]:
        """Send with the identity of a scenario's namespace until one is not admitted.

        Args:
            scenario: how, on a connection of its own; its groups are replaced.
            most: how many requests at most.
        """
        asked = replace(scenario, groups=(Group(_Search(most)),))
        return self._seen(list(self._carried(asked)))

    def fresh(self, scenario: Scenario, groups: tuple[Group, ...] | None = None) -> Scenario:
        """The scenario with clients that nobody has seen before.

        Args:
            scenario: how they send.
            groups: other clients than its own.

        Raises:
            InvalidArgument: there are too few keys left for so many.
        """
        groups = scenario.groups if groups is None else groups
        identities = self._identities(sum(group.clients for group in groups))
        return replace(scenario, groups=groups, tokens=Tokens(identities, len(identities)))

    def _carried(
        self, scenario: Scenario, control: Control | None = None, observe: _Observe | None = None
    ) -> EventLog:
        """Send it, at its most requests a second after those that were sent before."""
        if scenario.max_rate is not None:
            start_ns = max(self._free_ns, scenario.start_ns or 0)
            scenario = replace(scenario, start_ns=start_ns)
        log = self._transport(scenario, control=control or Control(), observe=observe)
        if scenario.max_rate is not None:
            last_ns = max((event.sent_ns for event in log), default=0)
            self._free_ns = last_ns + rate_interval_ns(scenario.max_rate)
        return log

    def _fresh(self, groups: tuple[Group, ...]) -> Scenario:
        return self.fresh(self.scenario, groups)

    def _identities(self, count: int) -> tuple[bytes, ...]:
        """So many that nobody has used before: of the file, or invented."""
        if self._keys is None:
            namespace = secrets.token_hex(8)
            return tuple(identity_of(namespace, number) for number in range(count))
        if count > len(self._keys):
            raise InvalidArgument(
                f"too few for a probe: {self._file}, each used once, of which "
                f"{len(self._keys)} are left after {counted(self.requests, 'request')}",
                "more keys; with a policy in mind `rateproof test` needs fewer",
            )
        return tuple(self._keys.popleft() for _ in range(count))

    def _seen(self, events: Sequence[Event]) -> list[Seen]:
        """Decisions, in an order in which they can have been made, before the first that is unknown."""
        self.statuses.update(event.status for event in events)
        lost = [event for event in events if event.received_ns is None or event.outcome == UNKNOWN]
        end_ns = min((event.sent_ns for event in lost), default=2**63)
        return decided(
            [
                widened(event.sent_ns, event.received_ns, admitted=event.outcome == ADMITTED)
                for event in events
                if event.received_ns is not None and event.received_ns <= end_ns
            ]
        )


def _grows(waited_ns: Sequence[int]) -> bool:
    """Tell if answers waited for one another: each so much longer than the one before."""
    if len(waited_ns) < _FEWEST:
        return False
    steps = [after - before for before, after in pairwise(waited_ns)]
    each_ns = (waited_ns[-1] - waited_ns[0]) / len(steps)
    return each_ns >= _LEAST_STEP_NS and all(each_ns / 2 <= step <= 2 * each_ns for step in steps)
