"""Both transports do the same with a scenario, against the same server, on any number of threads."""

import contextlib
import functools
import itertools
import re
import socketserver
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from rateproof.core import native as native_core
from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.keyspec import Part
from rateproof.simulate.behaviour import Behaviour
from rateproof.simulate.behaviours.backoff import Backoff
from rateproof.simulate.behaviours.boundary import Boundary
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.polite import Polite
from rateproof.simulate.behaviours.race import Race
from rateproof.simulate.behaviours.ramp import Ramp
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.behaviours.storm import Storm
from rateproof.simulate.behaviours.sybil import Sybil
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.behaviours.zipf import Zipf
from rateproof.simulate.control import Control
from rateproof.simulate.identities import identity_of
from rateproof.simulate.programs.arrivals import Fixed as Every
from rateproof.simulate.programs.arrivals import Uniform
from rateproof.simulate.programs.program import Reply
from rateproof.simulate.scenario import Group, Scenario, Shard
from rateproof.simulate.target import Target
from rateproof.simulate.tokens import Tokens
from rateproof.simulate.transports import native, threads
from tests.samples import quick_first
from tests.scripts import OK

MS = 1_000_000
SECOND = 10**9
NAMESPACE = "agreement"

LONG_NS = 30 * SECOND
"""By then every run here is over, or has failed."""

NO = b"HTTP/1.1 429 No\r\nRetry-After: 0.05\r\nContent-Length: 0\r\n\r\n"

_IDENTITY = re.compile(rb"c-[0-9a-f]{16}")
_LENGTH = re.compile(rb"Content-Length: (\d+)")

Run = Callable[..., EventLog]


class _Requests(socketserver.StreamRequestHandler):
    """Counts per identity and answers at once."""

    disable_nagle_algorithm = True
    server: "Server"

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while head := self._head():
                length = _LENGTH.search(head)
                body = self.rfile.read(int(length[1])) if length else b""
                self.wfile.write(self.server.answer(head + b"\r\n" + body))

    def _head(self) -> bytes:
        """A header section without its empty line; nothing where the client is gone."""
        lines = []
        while (line := self.rfile.readline()) != b"\r\n":
            if not line:
                return b""
            lines.append(line)
        return b"".join(lines)


class Server(socketserver.ThreadingTCPServer):
    """Admits all, or by turns; knows how often each identity asked, and what it last said."""

    daemon_threads = True
    request_queue_size = 1_024

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.seen: Counter[bytes] = Counter()
        self.texts: dict[bytes, bytes] = {}
        self.rejects: Callable[[int], bool] = lambda _turn: False
        self._lock = threading.Lock()

    def answer(self, text: bytes) -> bytes:
        found = _IDENTITY.search(text)
        assert found
        with self._lock:
            self.seen[found[0]] += 1
            self.texts[found[0]] = text
            return NO if self.rejects(self.seen[found[0]]) else OK


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


TRANSPORTS: dict[str, Run] = {
    "threads": threads.run,
    **{
        f"native on {n}": functools.partial(native.run, threads=n)
        for n in ((3, 1, 2) if hasattr(native_core(), "Engine") else ())
    },
}


@pytest.fixture(params=quick_first(TRANSPORTS, 2))
def transport(request: pytest.FixtureRequest) -> Run:
    return TRANSPORTS[request.param]


def scenario(server: Server, *groups: Group, **options: Any) -> Scenario:
    return Scenario(
        target=Target("http", "127.0.0.1", server.server_address[1]),
        groups=groups,
        seed=7,
        namespace=NAMESPACE,
        **options,
    )


# ------------------------------------------------------------- the schedule

OPEN: dict[str, Behaviour] = {
    "zipf": Zipf(50, 1.1, 20 * MS),
    "burst": Burst(4, 100 * MS),
    "poisson": Poisson(20 * MS),
    "constant": Constant(25 * MS),
    "ramp": Ramp(0.0, 80.0, SECOND),
    "boundary": Boundary(4, 200 * MS),
}


def replay(log: EventLog, wanted: Scenario, number: int) -> int:
    """Run a client's plan on the answers in the log: it must ask for exactly the rows there.

    Returns:
        How many rows there are.
    """
    client = next(itertools.islice(wanted.clients(), number, None))
    plan, start_ns = client.group.behaviour.program().plan(client.rng()), log.metadata["start_ns"]
    aliases = {client.identity(alias): alias for alias in range(100)}
    events = [event for event in log if event.key in aliases]
    send = next(plan)
    for event in sorted(events, key=lambda event: event.sent_ns):
        assert event.done_ns
        assert event.intended_ns
        found = event.intended_ns - start_ns, aliases[event.key], event.attempt
        assert found == (send.intended_ns, send.alias, send.attempt)
        after_s = event.retry_after_s
        retry_after_ns = None if after_s is None else round(after_s * SECOND)
        send = plan.send(Reply(event.done_ns - start_ns, event.outcome, retry_after_ns))
    return len(events)


class Enough:
    """Ends a run once so many requests of each of these clients have ended."""

    def __init__(self, clients: range, requests: int) -> None:
        self.control = Control()
        self._owners = {
            identity_of(NAMESPACE, number, alias): number
            for number in clients
            for alias in range(100)
        }
        self._left = dict.fromkeys(clients, requests)

    def __call__(self, events: EventLog) -> None:
        for key in events.column("key"):
            self._left[self._owners[key]] -= 1
        if max(self._left.values()) <= 0:
            self.control.stop()


@pytest.mark.parametrize("behaviour", quick_first(OPEN.values(), 2), ids=OPEN.keys())
def test_an_open_schedule_is_the_plan_byte_for_byte_on_any_number_of_threads(
    server: Server, transport: Run, behaviour: Behaviour
) -> None:
    wanted = scenario(server, Group(behaviour, 8), duration_ns=LONG_NS)
    enough = Enough(range(8), 12)
    log = transport(wanted, control=enough.control, observe=enough)
    for number in range(8):
        assert replay(log, wanted, number) >= 12


def test_every_connection_of_a_racing_client_follows_the_same_plan(
    server: Server, transport: Run
) -> None:
    wanted = scenario(server, Group(Race(60 * MS), 2, 5), duration_ns=LONG_NS)
    enough = Enough(range(2), 25)
    log = transport(wanted, control=enough.control, observe=enough)
    plans = defaultdict(list)
    for event in sorted(log, key=lambda event: event.sent_ns):
        plans[event.key, event.connection].append(event.intended_ns)
    assert len(plans) == 10
    for key in {key for key, _ in plans}:
        ours = [plan for (owner, _), plan in plans.items() if owner == key]
        longest = max(ours, key=len)
        assert len(longest) >= 5
        assert all(plan == longest[: len(plan)] for plan in ours)


def test_the_connections_of_a_client_share_the_requests_of_a_timetable(
    server: Server, transport: Run
) -> None:
    wanted = scenario(server, Group(Schedule(((0, 7), (60 * MS, 2))), 3, 5), duration_ns=LONG_NS)
    log = transport(wanted, control=Control())
    sent = Counter((event.key, event.intended_ns - log.metadata["start_ns"]) for event in log)
    keys = {event.key for event in log}
    assert sent == {(key, at_ns): n for key in keys for at_ns, n in ((0, 7), (60 * MS, 2))}
    for key in keys:
        first = [e for e in log if e.key == key and e.intended_ns == log.metadata["start_ns"]]
        assert sorted(Counter(event.connection for event in first).values()) == [1, 1, 1, 2, 2]


@pytest.mark.parametrize("most", [0, 1, 50])
def test_a_run_sends_as_many_requests_as_it_may_and_not_one_more(
    server: Server, transport: Run, most: int
) -> None:
    """However many are in flight as the last of them is sent."""
    wanted = scenario(server, Group(Saturate(), 20), duration_ns=LONG_NS, max_requests=most)
    log = transport(wanted, control=Control())
    assert len(log) == sum(server.seen.values()) == most
    assert sorted(log.column("sequence")) == list(range(most))


@pytest.mark.parametrize("ahead_ns", [-SECOND, SECOND])
def test_a_run_begins_at_the_instant_that_it_is_told_or_at_once(
    server: Server, transport: Run, ahead_ns: int
) -> None:
    called_ns = time.monotonic_ns()
    wanted = scenario(
        server, Group(Schedule(((0, 2),)), 4), duration_ns=LONG_NS, start_ns=called_ns + ahead_ns
    )
    log = transport(wanted, control=Control())
    start_ns = log.metadata["start_ns"]
    assert len(log) == 8
    assert all(event.sent_ns >= event.intended_ns == start_ns >= called_ns for event in log)
    assert ahead_ns < 0 or start_ns == called_ns + ahead_ns
    offset_ns = time.time_ns() - time.monotonic_ns()
    assert abs(log.metadata["epoch_ns"] - start_ns - offset_ns) < SECOND


# ------------------------------------------------------------- what arrives

CLOSED: dict[str, tuple[Behaviour, Callable[[int], bool]]] = {
    "think uniformly": (Think(Uniform(0, 40 * MS)), lambda _turn: False),
    "backoff": (Backoff(10 * MS, 80 * MS, 3, Every(20 * MS)), lambda turn: turn % 5 > 1),
    "think": (Think(Every(20 * MS)), lambda _turn: False),
    "polite": (Polite(Every(20 * MS)), lambda turn: turn % 2 == 0),
    "storm": (Storm(2, Every(20 * MS)), lambda turn: turn % 4 > 1),
    "sybil": (Sybil(3, Every(20 * MS)), lambda turn: turn > 3),
}


@pytest.mark.parametrize(
    ("behaviour", "rejects"), quick_first(CLOSED.values(), 2), ids=CLOSED.keys()
)
def test_a_closed_client_goes_on_and_sends_what_its_plan_makes_of_the_answers(
    server: Server, transport: Run, behaviour: Behaviour, rejects: Callable[[int], bool]
) -> None:
    """So both transports send as much as the server's speed allows; it has seen every row."""
    server.rejects = rejects
    wanted = scenario(server, Group(behaviour, 8), duration_ns=LONG_NS)
    enough = Enough(range(8), 12)
    log = transport(wanted, control=enough.control, observe=enough)
    assert Counter(log.column("key")) == server.seen
    for number in range(8):
        assert replay(log, wanted, number) >= 12


IN_SHARDS = {
    **CLOSED,
    **{name: (behaviour, lambda _turn: False) for name, behaviour in OPEN.items()},
}


@pytest.mark.parametrize(
    ("behaviour", "rejects"), quick_first(IN_SHARDS.values()), ids=IN_SHARDS.keys()
)
def test_a_client_in_a_shard_sends_what_its_plan_makes_of_the_answers(
    server: Server, behaviour: Behaviour, rejects: Callable[[int], bool]
) -> None:
    """The server answers by a rule: so a client does the same in any number of shards."""
    server.rejects = rejects
    whole = scenario(server, Group(Constant(40 * MS), 2), Group(behaviour, 5), duration_ns=LONG_NS)
    if not hasattr(native_core(), "Engine"):
        with pytest.raises(InvalidArgument, match="native"):
            native.run(replace(whole, shard=Shard(0, 3)), control=Control(), threads=2)
        return
    for number in range(3):
        own = range(number, 7, 3)
        enough, shard = Enough(own, 3), replace(whole, shard=Shard(number, 3))
        log = native.run(shard, control=enough.control, observe=enough, threads=2)
        assert sum(replay(log, whole, client) for client in own) == len(log)


def test_repeated_tries_are_numbered_alike(server: Server, transport: Run) -> None:
    """Two of three rejected: every client's attempts go 0 1 2, 0 1 2, ..."""
    server.rejects = lambda turn: turn % 3 != 0
    wanted = scenario(server, Group(Backoff(2 * MS, 8 * MS, 5, Every(10 * MS)), 5))
    enough = Enough(range(5), 7)
    log = transport(wanted, control=enough.control, observe=enough)
    for events in log.by_key().values():
        ordered = sorted(events, key=lambda event: event.sent_ns)
        assert [event.attempt for event in ordered] == [n % 3 for n in range(len(ordered))]


@pytest.mark.parametrize(
    ("key", "options"),
    [
        (Part("query", "clientId"), {}),
        (Part("header", "X-Client"), {"method": "HEAD"}),
        (Part("cookie", "id"), {"method": "DELETE"}),
        (Part("query", "id"), {"method": "POST"}),
        (
            Part("header", "X-Client"),
            {
                "method": "PUT",
                "body": b'{"a": 1}\r\n\x00\xff',
                "headers": (("Content-Type", "application/json"), ("accept", "text/html")),
            },
        ),
        (Part("query", "id"), {"body": b"x", "headers": (("X-Latin", "caf\xe9"), ("Empty", ""))}),
        (Part("path", "1"), {"method": "POST"}),
        (Part("json", "user.id"), {"method": "POST", "body": b'{"a": [1], "user": {"id": 2}}'}),
    ],
)
def test_the_same_bytes_go_onto_the_wire(
    server: Server, transport: Run, key: Part, options: dict[str, Any]
) -> None:
    wanted = scenario(server, Group(Constant(30 * MS), 3), key=key, **options)
    enough = Enough(range(3), 1)
    log = transport(wanted, control=enough.control, observe=enough)
    template = wanted.template()
    assert len(server.texts) == 3
    assert server.texts == {identity: template.fill(identity) for identity in server.texts}
    if options.get("method") == "HEAD":  # whose answers say a length and have no body
        assert set(log.column("error")) <= {None, "protocol"}


@pytest.mark.parametrize(
    "key", [Part("header", "Authorization"), Part("json", "user"), Part("path", "1")]
)
def test_keys_of_a_file_go_onto_the_wire_and_their_digests_into_the_log(
    server: Server, transport: Run, key: Part
) -> None:
    """Keys of any length; who changes its identity goes round those that nobody has alone."""
    keys = tuple(b"c-%016x" % n + b"?" * n for n in range(5))
    tokens = Tokens(keys, own=2)
    groups = Group(Constant(30 * MS), 2), Group(Sybil(2, Every(10 * MS)), 1)
    wanted = scenario(
        server, *groups, key=key, tokens=tokens, method="POST", max_requests=40, max_rate=200
    )
    log = transport(wanted, control=Control())
    template, names = wanted.template(), tokens.names(wanted.written)
    whole = {k[:18]: template.fill(w) for k, w in zip(keys, wanted.written, strict=True)}
    assert server.texts == whole
    answered = Counter(
        name
        for name, status in zip(log.column("key"), log.column("status"), strict=True)
        if status is not None
    )
    assert answered == {name: server.seen[k[:18]] for name, k in zip(names, keys, strict=True)}
    assert log.metadata["scenario"]["own_keys"] == [name.decode() for name in names[:2]]


SAID: dict[str, tuple[float | None, int | None, float | None]] = {
    "Retry-After: 3": (3, None, None),
    "Retry-After:  1.5 ": (1.5, None, None),
    "Retry-After: soon": (None, None, None),
    "Retry-After: -1": (None, None, None),
    "Retry-After: \xff\xfe soon": (None, None, None),
    "Date: Fri, 31 Dec 1999 23:59:49 GMT\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT": (
        10, None, None,
    ),
    "Retry-After: Friday, 31-Dec-99 23:59:59 GMT": (0, None, None),
    "Date: Fri Dec 31 23:59:49 1999\r\nRetry-After: Sat Jan  1 00:00:00 2000": (11, None, None),
    'RateLimit: "default";r=0;t=3': (None, 0, 3),
    'RateLimit: "a";r=9;t=9, "b";r=1;t=5': (None, 1, 5),
    'RateLimit: "a";r=9;t=9\r\nratelimit: "b";r=1;t=5': (None, 1, 5),
    'RateLimit: "a,b;r=5";r=2;t=1;pk=:x:': (None, 2, 1),
    "RateLimit: r=99999999999999999999999;;;": (None, None, None),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "seen"), SAID.items())
def test_what_a_server_says_of_its_limit_is_read_alike(
    scripted: Callable[..., Any],
    transport: Run,
    fields: str,
    seen: tuple[float | None, int | None, float | None],
) -> None:
    answer = f"HTTP/1.1 429 No\r\n{fields}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    server = scripted(lambda connection, _head: connection.sendall(answer))
    once = Group(Schedule(((0, 1),)))
    (event,) = transport(Scenario(target=server.target(), groups=(once,)), control=Control())
    assert (event.status, event.outcome) == (429, "rejected")
    assert (event.retry_after_s, event.ratelimit_remaining, event.ratelimit_reset_s) == seen


# ------------------------------------------------------------- what is done to a run


def test_while_paused_nothing_is_sent_and_the_clock_stands_still(
    server: Server, transport: Run
) -> None:
    control = Control()
    instants: list[int] = []
    before, after = set[bytes](), Counter[bytes]()
    began = threading.Event()

    def act() -> None:
        began.wait(LONG_NS / SECOND)
        for act in (control.pause, control.resume):
            instants.append(time.monotonic_ns())
            act()
            time.sleep(1)

    def observe(events: EventLog) -> None:
        before.update(event.key for event in events)
        if len(before) == 5:  # a client that begins after the pause has none
            began.set()
        if len(instants) == 2:
            after.update(event.key for event in events if event.sent_ns > instants[1])
            if len(after) == 5 and min(after.values()) > 2:
                control.stop()

    acting = threading.Thread(target=act)
    acting.start()
    wanted = scenario(server, Group(Constant(20 * MS), 5), duration_ns=LONG_NS)
    log = transport(wanted, control=control, observe=observe)
    acting.join()
    paused_ns, resumed_ns = instants
    look_ns = (resumed_ns - paused_ns) * 9 // 10  # in which a busy machine obeys
    sent = log.column("sent_ns")
    assert not [at for at in sent if paused_ns + look_ns < at < resumed_ns]
    assert min(sent) < paused_ns < resumed_ns < max(sent)
    for events in log.by_key().values():
        due = sorted(event.intended_ns for event in events if event.intended_ns)
        *gaps, pause = sorted(after - before for before, after in itertools.pairwise(due))
        assert set(gaps) == {20 * MS}
        assert abs(pause - 20 * MS - (resumed_ns - paused_ns)) < look_ns


def test_a_burst_makes_every_client_that_waits_send_its_next_request(
    server: Server, transport: Run
) -> None:
    control = Control()
    asked: list[int] = []
    ended = 0

    def burst() -> None:
        asked.append(time.monotonic_ns())
        control.burst()

    def observe(events: EventLog) -> None:
        nonlocal ended
        ended += len(events)
        if ended == 20:
            burst()
        elif ended == 40:
            control.stop()

    threading.Timer(0.3, burst).start()
    wanted = scenario(server, Group(Think(Every(3_600 * SECOND)), 20), duration_ns=LONG_NS)
    log = transport(wanted, control=control, observe=observe)
    assert len(server.seen) == 20
    assert set(server.seen.values()) == {2}
    for event in log:
        assert event.intended_ns
        assert asked[0] <= event.intended_ns <= event.sent_ns
    for events in log.by_key().values():
        late = max(event.intended_ns for event in events if event.intended_ns)
        assert late >= asked[1]


@pytest.mark.alone
def test_after_a_burst_an_open_plan_goes_on_as_planned(server: Server, transport: Run) -> None:
    """The burst takes the next request forward, and no other one."""
    control = Control()
    seen: list[bytes] = []

    def observe(events: EventLog) -> None:
        seen.extend(events.column("key"))
        if len(set(seen)) == 4 and control.bursts == 0:
            control.burst()

    wanted = scenario(server, Group(Constant(800 * MS), 4), duration_ns=3_000 * MS)
    log = transport(wanted, control=control, observe=observe)
    bursts = 0
    for client in wanted.clients():
        events = log.by_key()[client.identity()]
        instants = sorted(event.intended_ns for event in events if event.intended_ns)
        due = [at - log.metadata["start_ns"] for at in instants]
        first = next(client.group.behaviour.program().plan(client.rng())).intended_ns
        ours = [first + turn * 800 * MS for turn in range(4)]
        taken = [(at, instead) for at, instead in zip(ours, due, strict=False) if at != instead]
        assert len(due) >= 3
        assert len(taken) <= 1  # who has one in flight is passed over
        assert all(instead < at for at, instead in taken)
        bursts += len(taken)
    assert bursts >= 1


def test_clients_come_and_go_at_the_end_of_the_last_group(server: Server, transport: Run) -> None:
    control = Control()
    names = [identity_of(NAMESPACE, number) for number in range(7)]
    seen: list[bytes] = []
    came: list[int] = []

    def observe(events: EventLog) -> None:
        seen.extend(events.column("key"))
        lately = set(seen[-30:])
        if control.extra_clients == 0 and lately >= set(names[:4]):
            came.append(time.monotonic_ns())
            control.add_clients(3)
        elif control.extra_clients == 3 and lately >= set(names):
            control.add_clients(-100)
        elif control.extra_clients == -3 and lately == {names[0]}:
            control.add_clients(1)
        elif control.extra_clients == -2 and names[1] in lately:
            control.stop()

    groups = Group(Constant(50 * MS), 1), Group(Constant(50 * MS), 3, 2)
    log = transport(
        scenario(server, *groups, duration_ns=LONG_NS), control=control, observe=observe
    )
    assert control.extra_clients == -2
    assert set(seen) == set(names)
    sent = {key: [event.sent_ns for event in events] for key, events in log.by_key().items()}
    assert min(min(sent[name]) for name in names[4:]) > came[0]
    late = {name: (max(sent[name]) - max(sent[names[1]])) / MS for name in names[2:]}
    assert max(late.values()) < 0, late


def test_the_last_client_cannot_be_taken_away(server: Server, transport: Run) -> None:
    control = Control()
    seen: list[bytes] = []

    def observe(events: EventLog) -> None:
        seen.extend(events.column("key"))
        if len(set(seen)) == 3 and control.extra_clients == 0:
            control.add_clients(-5)
        elif control.extra_clients < 0 and len(set(seen[-10:])) == 1:
            control.stop()

    wanted = scenario(server, Group(Constant(20 * MS), 3), duration_ns=LONG_NS)
    transport(wanted, control=control, observe=observe)
    assert control.extra_clients == -2
    assert set(seen[-10:]) == {identity_of(NAMESPACE, 0)}


def test_events_come_in_batches_while_the_run_goes_on(server: Server, transport: Run) -> None:
    control = Control()
    lengths: list[int] = []
    asked: set[int] = set()

    def observe(events: EventLog) -> None:
        lengths.append(len(events))
        asked.add(sum(server.seen.values()))
        if len(asked) == 3:
            control.stop()

    wanted = scenario(server, Group(Constant(10 * MS), 10), duration_ns=LONG_NS)
    log = transport(wanted, control=control, observe=observe, keep=False)
    assert len(log) == 0
    assert len(asked) >= 3, "more was sent after some of them"
    assert sum(lengths) == sum(server.seen.values()) == log.metadata["audit"]["requests"]


def test_the_audit_has_the_same_figures_in_all(server: Server) -> None:
    """At 10 a second not each of 5 clients has its turn within 300 ms, however slow the machine."""
    wanted = scenario(server, Group(Constant(20 * MS), 5), duration_ns=300 * MS, max_rate=10)
    logs = [run(wanted, control=Control()) for run in TRANSPORTS.values()]
    for log in logs:
        assert log.metadata.keys() == logs[0].metadata.keys()
        assert log.metadata["audit"].keys() == logs[0].metadata["audit"].keys()
        assert log.metadata["audit"]["requests"] == len(log)
        assert log.metadata["audit"]["paced"] > 0
        assert log.metadata["audit"]["dropped"] > 0
