"""Claims about the threads transport, against real sockets: sound intervals, honest rows."""

import contextlib
import errno
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rateproof.errors import InvalidArgument
from rateproof.events import EventLog
from rateproof.simulate import transports
from rateproof.simulate.behaviour import Behaviour
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.drip import Drip
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.control import Control
from rateproof.simulate.programs.arrivals import Fixed as Every
from rateproof.simulate.programs.program import Plan, Send
from rateproof.simulate.programs.rng import Rng
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.transports import over_requests, thread_lane, thread_state, threads
from tests.scripts import OK, Times, answering, closing

MS = 1_000_000
SECOND = 10**9


def run(
    target: Target,
    behaviour: Behaviour,
    clients: int = 1,
    connections: int = 1,
    *,
    control: Control | None = None,
    observe: Callable[[EventLog], None] | None = None,
    keep: bool = True,
    **options: Any,
) -> EventLog:
    scenario = Scenario(
        target=target, groups=(Group(behaviour, clients, connections),), seed=1, **options
    )
    return threads.run(scenario, control=control or Control(), observe=observe, keep=keep)


# ------------------------------------------------------------- what is seen


# ------------------------------------------------------------- what is sent


def test_the_path_is_sent_as_it_was_written(scripted: Callable[..., Any]) -> None:
    """Requests would send /a~b/c for it."""
    server = scripted(answering(OK))
    run(server.target("/a%7Eb/./%2E%2E/c?x=%41"), Times(1))
    assert server.heads[0].startswith(b"GET /a%7Eb/./%2E%2E/c?x=%41&clientId=c-")


def test_environment_and_cookies_of_the_server_play_no_part(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server = scripted(
        answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: s=1; Path=/\r\nContent-Length: 0\r\n\r\n")
    )
    log = run(server.target(), Times(3))
    assert log.column("status") == [200, 200, 200]
    assert not any(b"ookie" in head for head in server.heads)


def test_a_redirect_is_an_answer_and_is_not_followed(scripted: Callable[..., Any]) -> None:
    server = scripted(answering(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"))
    log = run(server.target(), Times(3))
    assert log.column("status") == [302, 302, 302]
    assert log.column("outcome") == ["admitted"] * 3
    assert len(server.heads) == 3


def test_one_connection_is_kept_and_a_new_one_has_a_new_number(
    scripted: Callable[..., Any],
) -> None:
    kept = scripted(answering(OK))
    log = run(kept.target(), Times(5), clients=3)
    assert kept.connections == 3
    assert {len({e.connection for e in events}) for events in log.by_key().values()} == {1}
    assert sorted(set(log.column("connection"))) == [1, 2, 3]

    ending = scripted(closing(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    log = run(ending.target(), Times(5), clients=3)
    assert ending.connections == 15
    assert sorted(log.column("connection")) == list(range(1, 16))


# ------------------------------------------------------------- what goes wrong


def test_a_name_that_is_not_known_is_a_dns_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    log = run(Target.parse("http://nowhere.invalid/"), Times(1))
    assert log.column("error") == ["dns"]


# ------------------------------------------------------------- when it is sent, and when it ends


def test_stop_ends_every_wait_at_once(scripted: Callable[..., Any]) -> None:
    """A hundred clients that would think for an hour are gone within seconds."""
    control, others = Control(), set(threading.enumerate())
    threading.Timer(0.2, control.stop).start()
    before = time.monotonic()
    log = run(
        scripted(answering(OK)).target(), Think(Every(3_600 * SECOND)), clients=100, control=control
    )
    assert time.monotonic() - before < 60
    assert len(log) == 0
    started = set(threading.enumerate()) - others
    assert not any(thread.name.startswith("client-") for thread in started)


def test_requests_in_flight_finish_and_nothing_new_is_sent(
    scripted: Callable[..., Any],
) -> None:
    control = Control()

    def slow(connection: socket.socket, _head: bytes) -> None:
        control.stop()
        time.sleep(0.3)
        connection.sendall(OK)

    server = scripted(slow)
    log = run(server.target(), Saturate(), clients=10, control=control)
    assert 1 <= len(log) == len(server.heads) <= 10
    assert set(log.column("status")) == {200}


def test_max_rate_holds_over_all_clients(scripted: Callable[..., Any]) -> None:
    log = run(scripted(answering(OK)).target(), Times(2), clients=20, max_rate=40)
    since_ns = [at - log.metadata["start_ns"] for at in sorted(log.column("sent_ns"))]
    # Nothing is sent before its slot.
    assert all(at_ns >= 25 * MS * number for number, at_ns in enumerate(since_ns))
    assert len(since_ns) == 40
    assert log.metadata["audit"]["paced"] > 0


def test_rows_have_their_own_sequence_numbers_and_the_runs(
    scripted: Callable[..., Any],
) -> None:
    scenario = Scenario(target=scripted(answering(OK)).target(), groups=(Group(Times(20), 10),))
    log = threads.run(scenario, control=Control(), run_number=7)
    assert sorted(log.column("sequence")) == list(range(200))
    assert set(log.column("run")) == {7}
    assert set(log.column("worker")) == set(range(10))


def test_a_slow_server_is_not_taken_for_a_slow_generator(
    scripted: Callable[..., Any],
) -> None:
    """Requests wait for an answer, so they are late; the generator itself is not."""

    def slow(connection: socket.socket, _head: bytes) -> None:
        time.sleep(0.1)
        connection.sendall(OK)

    log = run(scripted(slow).target(), Constant(10 * MS), duration_ns=SECOND)
    audit = log.metadata["audit"]
    assert audit["lag_p50_ns"] > 200 * MS
    assert audit["own_lag_p50_ns"] < audit["lag_p50_ns"] / 2


def test_what_an_observer_raises_ends_the_run_and_comes_out(
    scripted: Callable[..., Any],
) -> None:
    seen: list[EventLog] = []

    def observe(events: EventLog) -> None:
        seen.append(events)
        raise OSError(28, "No space left on device")

    control = Control()
    with pytest.raises(OSError, match="No space left"):
        run(
            scripted(answering(OK)).target(),
            Saturate(),
            clients=10,
            observe=observe,
            control=control,
        )
    assert control.stopping
    assert len(seen) == 1


def test_a_behaviour_that_fails_is_not_swallowed(scripted: Callable[..., Any]) -> None:
    class Broken:
        name = "broken"

        def program(self) -> "Broken":
            return self

        def code(self) -> list[Any]:
            return []

        def plan(self, _rng: Rng, *_place: int) -> Plan:
            yield Send(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(scripted(answering(OK)).target(), Broken(), clients=3)


def test_without_requests_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    for module in (threads, thread_lane, thread_state, over_requests):
        monkeypatch.delitem(sys.modules, module.__name__)
    with pytest.raises(InvalidArgument) as caught:
        transports.named("threads")
    assert caught.value.hint == "pip install requests"


def test_threads_that_cannot_be_started_are_an_error_and_leave_none_behind(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("client-"):
            if len(started) == 5:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    server = scripted(answering(OK))
    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(InvalidArgument, match="only 5 of 20 threads"):
        run(server.target(), Saturate(), clients=20)
    assert not any(thread.is_alive() for thread in started)
    assert server.heads == []


# ------------------------------------------------------------- what a machine can do


def test_more_connections_than_it_can_have_threads_are_refused_before_anything_is_sent(
    scripted: Callable[..., Any],
) -> None:
    server = scripted(answering(OK))
    with pytest.raises(InvalidArgument, match="10001 connections are too many") as caught:
        run(server.target(), Times(1), clients=10_001)
    assert "native transport" in str(caught.value.hint)
    with pytest.raises(InvalidArgument, match="max_connections is 2, with 3") as caught:
        run(server.target(), Times(1), clients=3, max_connections=2)
    assert "native transport can share them" in str(caught.value.hint)
    assert server.connections == 0


def test_a_header_sent_slowly_is_refused_by_name_before_anything_is_sent(
    scripted: Callable[..., Any],
) -> None:
    server = scripted(answering(OK))
    with pytest.raises(InvalidArgument, match="behaviour 'drip' sends its header slowly") as caught:
        run(server.target(), Drip())
    assert "native transport" in str(caught.value.hint)
    assert server.connections == 0


def test_a_connection_that_is_not_made_in_its_own_time_is_given_up() -> None:
    """Before the timeout of the request: nobody accepts, and the queue of those who wait is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.settimeout(0)
            each.connect_ex(address)
        target = Target("http", *address)
        log = run(target, Times(1), timeout_ns=60 * SECOND, connect_timeout_ns=100 * MS)
        for each in waiting:
            each.close()
    assert log.column("error") == ["timeout"]
    spans = [event.done_ns - event.sent_ns for event in log if event.done_ns]
    assert 100 * MS <= spans[0] < 30 * SECOND


def test_a_client_that_cannot_be_added_is_not_counted(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    control, ended = Control(), 0

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def observe(events: EventLog) -> None:
        nonlocal ended
        ended += len(events)
        if control.extra_clients == 0 and ended < 20:
            monkeypatch.setattr(threading.Thread, "start", refuse)
            control.add_clients(3)
        elif ended >= 40:
            control.stop()

    log = run(
        scripted(answering(OK)).target(), Constant(10 * MS), 2, control=control, observe=observe
    )
    assert control.extra_clients == 0
    assert len(set(log.column("key"))) == 2


def test_what_was_due_and_never_sent_is_counted(scripted: Callable[..., Any]) -> None:
    """A server that takes 200 ms for each of 50 a second: most are never sent."""

    def slow(connection: socket.socket, _head: bytes) -> None:
        time.sleep(0.2)
        connection.sendall(OK)

    log = run(scripted(slow).target(), Constant(20 * MS), duration_ns=500 * MS)
    audit = log.metadata["audit"]
    assert audit["dropped"] + len(log) == 25
    assert len(log) <= 3
    assert log.metadata["remarks"] == [
        f"{audit['dropped']} requests were due before the end and never sent"
    ]


def test_a_closed_client_drops_nothing(scripted: Callable[..., Any]) -> None:
    log = run(
        scripted(answering(OK)).target(),
        Saturate(),
        clients=5,
        duration_ns=200 * MS,
        lag_tolerance_ns=10 * SECOND,  # none is left lying for so long
    )
    assert log.metadata["audit"]["dropped"] == 0


# ------------------------------------------------------------- giving up


def abandoned_at(server: Any, control: Control, heads: int, later_s: float = 0) -> None:
    """Abandon a run so long after so many of its requests have come to a server."""

    def abandon() -> None:
        server.wait_for_heads(heads)
        time.sleep(later_s)
        control.abandon()

    threading.Thread(target=abandon, daemon=True).start()


@contextlib.contextmanager
def full_backlog() -> Iterator[Target]:
    """A listener whose queue is full: whoever connects waits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield Target.parse(f"http://127.0.0.1:{listener.getsockname()[1]}/")


@pytest.mark.parametrize("kind", ["silent", "connecting"])
def test_an_abandoned_run_ends_within_a_second_and_records_what_it_gives_up(
    scripted: Callable[..., Any], kind: str
) -> None:
    control, connected = Control(), kind == "silent"
    with contextlib.ExitStack() as stack:
        if connected:
            silent = scripted(lambda _connection, _head: time.sleep(60))
            target = silent.target()
            abandoned_at(silent, control, 5)
        else:
            target = stack.enter_context(full_backlog())
            threading.Timer(2, control.abandon).start()  # nobody sees who is connecting
        before_ns = time.monotonic_ns()
        log = run(target, Times(3), 5, control=control, timeout_ns=3_600 * SECOND)
    assert time.monotonic_ns() - before_ns < 60 * SECOND
    assert len(log) == 5
    assert sorted(event.sequence for event in log) == list(range(5))
    for event in log:
        assert (event.outcome, event.error, event.received_ns) == ("unknown", "other", None)
        assert event.done_ns is not None
        assert before_ns < event.sent_ns <= event.done_ns
        assert event.connection >= connected
    assert log.metadata["audit"]["requests"] == 5
    assert [action["what"] for action in log.metadata["control"]] == ["abandon"]


def test_answers_that_came_before_a_run_was_abandoned_stay_what_they_are(
    scripted: Callable[..., Any],
) -> None:
    def second_hangs(connection: socket.socket, _head: bytes) -> None:
        if len(server.heads) > 1:
            time.sleep(60)
        connection.sendall(OK)

    server = scripted(second_hangs)
    control = Control()
    abandoned_at(server, control, 2)
    log = run(server.target(), Times(9), control=control, timeout_ns=3_600 * SECOND)
    assert [(event.status, event.error) for event in log] == [(200, None), (None, "other")]


# ------------------------------------------------------------- what is told of a run


def test_only_a_lane_that_had_a_connection_reconnects(scripted: Callable[..., Any]) -> None:
    def third_closes(connection: socket.socket, _head: bytes) -> object:
        connection.sendall(OK)
        return True if len(server.heads) % 3 == 0 else None

    server = scripted(third_closes)
    log = run(server.target(), Times(9))
    assert log.metadata["audit"]["reconnects"] == server.connections - 1 == 2
    quiet = run(server.target(), Constant(3_600 * SECOND), 9, duration_ns=300 * MS)
    assert quiet.metadata["audit"]["reconnects"] == 0


def test_requests_that_never_left_this_machine_are_counted(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_args: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    server = scripted(answering(OK))
    with monkeypatch.context() as patched:
        patched.setattr("urllib3.util.connection.socket.socket", none_left)
        log = run(server.target(), Times(3), 2)
    assert log.metadata["audit"]["unsent"] == 6
    assert "this machine had no descriptor or port left" in str(log.metadata["invalid_because"])


def test_a_body_that_hangs_is_given_up_and_the_status_that_came_is_kept(
    scripted: Callable[..., Any],
) -> None:
    """The thread that read it has ended: it was interrupted, not left behind."""

    def half(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        time.sleep(60)

    others = set(threading.enumerate())
    control, server = Control(), scripted(half)
    abandoned_at(server, control, 3, later_s=1)  # once they have read what there is
    log = run(server.target(), Times(2), 3, control=control, timeout_ns=3_600 * SECOND)
    seen = [(event.status, event.outcome, event.error, event.bytes) for event in log]
    assert seen == [(200, "admitted", "other", 4)] * 3
    started = set(threading.enumerate()) - others
    assert not [thread for thread in started if thread.name.startswith("client-")]
