"""Limiters of known truth, and a transport in which time is computed."""

import heapq
import random
from collections import OrderedDict

from rateproof.events import Event, EventLog
from rateproof.simulate.identities import identity_of

MS = 1_000_000
S = 1_000 * MS


class Limiter:
    """5 in any 5 s for each client; what `place` gives counts for itself."""

    known: int | None = None

    def __init__(self):
        self.seen = OrderedDict()

    def place(self, client, _connection):
        return client

    def since(self, now):
        return now - 5 * S

    def passes(self, client, connection, now):
        place = self.place(client, connection)
        times = self.seen[place] = [t for t in self.seen.get(place, ()) if t > self.since(now)]
        self.seen.move_to_end(place)
        while self.known and len(self.seen) > self.known:
            self.seen.popitem(last=False)
        if len(times) < 5:
            times.append(now)
            return True
        return False


class OnClock(Limiter):
    def since(self, now):
        return now - now % (5 * S) - 1


class Workers(Limiter):
    def place(self, client, connection):
        return client, connection % 4


class PerConnection(Limiter):
    def place(self, client, connection):
        return client, connection


class Forgets(Limiter):
    known = 20


class Unlimited(Limiter):
    def passes(self, *_):
        return True


class LetsGo(Limiter):
    """It limits a client that has one connection."""

    def __init__(self):
        super().__init__()
        self.busy = set()

    def passes(self, client, connection, now):
        self.busy |= {client} if connection else set()
        return super().passes(client, connection, now) or client in self.busy


class WholeSeconds(Limiter):
    """Its clock ticks in whole seconds, so that a window is over up to a second early."""

    def passes(self, client, connection, now):
        return super().passes(client, connection, now - now % S)


class FirstHit(Limiter):
    """Windows that a client's first request opens."""

    def passes(self, client, _connection, now):
        opened, count = self.seen.get(client, (now, 0))
        if now >= opened + 5 * S:
            opened, count = now, 0
        self.seen[client] = opened, count + 1
        return count < 5


class Bucket(Limiter):
    """A bucket of 5 that a permit returns to every second; it begins with so many."""

    room, first = 5, 5

    def passes(self, client, _connection, now):
        level, last = self.seen.get(client, (self.first, now))
        level = min(self.room, level + (now - last) / S)
        self.seen[client] = level - (level >= 1), now
        return level >= 1


class SavedPermit(Bucket):
    """One a second, and one more after a pause."""

    room, first = 2, 1


class ShortWindow(Limiter):
    """Its window is a hundredth too short."""

    def since(self, now):
        return now - 4_950 * MS


class Knows1500(Limiter):
    known = 1_500


class Knows6000(Limiter):
    known = 6_000


def transport(limiter, jitter=0, takes=MS):
    """A transport in which time is computed: each connection has an answer after so long.

    Where there is jitter, decisions fall anywhere in twice that, and are told so. Of the clients,
    those who keep to a schedule and the crowds come.
    """
    clock = [0]

    def send(scenario, *, observe, **_):
        start, number, queue, log = clock[0], 0, [], EventLog()
        draws = random.Random(scenario.seed)
        for group in scenario.groups:
            for _ in range(group.clients):
                if group.behaviour.name == "crowd":
                    for turn in range(group.behaviour.identities):
                        at = group.behaviour.at_ns + turn * MS
                        queue.append((at, identity_of(scenario.namespace, number, turn), 0))
                elif group.behaviour.name == "schedule":
                    free = [0] * group.connections
                    for at, requests in group.behaviour.steps:
                        for turn in range(requests):
                            lane = turn % group.connections
                            free[lane] = max(at, free[lane]) + takes
                            client = identity_of(scenario.namespace, number)
                            queue.append((free[lane] - takes, client, lane))
                number += 1
        decided = [
            (at + draws.randrange(jitter + 1), at, client, lane)
            for at, client, lane in queue
            if at < scenario.duration_ns
        ]
        for now, at, client, lane in sorted(decided):
            passed = limiter.passes(client, lane, start + now)
            received = start + now + takes - MS + draws.randrange(jitter + 1)
            log.append(
                Event(
                    key=client, sent_ns=start + at, received_ns=received, connection=lane,
                    done_ns=received,
                    status=200 if passed else 429, outcome="admitted" if passed else "rejected",
                )
            )  # fmt: skip
        clock[0] = start + 20 * S + 123 * MS
        log.metadata["scenario"] = {"namespace": scenario.namespace}
        observe(log)
        return log

    return send


def one_worker(limiter, takes, *, patient=True):
    """A transport in which time is computed: one request after the other is answered, each after so long.

    So requests that meet wait for each other, and bursts come late and spread out. Whoever is
    not patient goes away when the scenario says so, and what was sent is worked off.
    """
    clock, busy = [0], [0]

    def send(scenario, *, observe, **_):
        start, number, lanes, log = clock[0], 0, [], EventLog()
        for group in scenario.groups:
            for _ in range(group.clients):
                if group.behaviour.name == "crowd":
                    names = [
                        identity_of(scenario.namespace, number, turn)
                        for turn in range(group.behaviour.identities)
                    ]
                    lanes.append([(group.behaviour.at_ns, name, 0) for name in names])
                elif group.behaviour.name == "schedule":
                    name = identity_of(scenario.namespace, number)
                    asked = [
                        (at, turn % group.connections)
                        for at, requests in group.behaviour.steps
                        for turn in range(requests)
                    ]
                    lanes += [
                        [(at, name, lane) for at, own in asked if own == lane]
                        for lane in range(group.connections)
                    ]
                number += 1
        queue = [(requests[0][0], at, 0) for at, requests in enumerate(lanes) if requests]
        heapq.heapify(queue)
        free, ended = max(0, busy[0] - start), 0
        while queue:
            sent, at, turn = heapq.heappop(queue)
            if sent >= scenario.duration_ns:
                continue
            _, client, lane = lanes[at][turn]
            now = max(sent, free)
            free = now + takes
            passed = limiter.passes(client, lane, start + now)
            end = free if patient else min(free, sent + scenario.timeout_ns)
            ended = max(ended, end)
            answer = {"status": None, "received_ns": None, "error": "timeout", "outcome": "unknown"}
            if end == free:
                answer = {
                    "status": 200 if passed else 429,
                    "outcome": "admitted" if passed else "rejected",
                    "received_ns": start + end,
                }
            log.append(
                Event(
                    key=client, sent_ns=start + sent, connection=lane, done_ns=start + end, **answer
                )
            )  # fmt: skip
            if turn + 1 < len(lanes[at]):
                heapq.heappush(queue, (max(end, lanes[at][turn + 1][0]), at, turn + 1))
        busy[0] = start + free
        clock[0] = start + max(20 * S if patient or ended > 2 * S else 0, ended + S) + 123 * MS
        log.metadata["scenario"] = {"namespace": scenario.namespace}
        observe(log)
        return log

    return send
