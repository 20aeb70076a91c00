"""The interval contract: what a server decided, it decided between `sent_ns` and `received_ns`.

The server (`interval_server.py`) is a process of its own that reads the same
clock and says in each answer when it decided.
"""

import multiprocessing
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trustme

from rateproof.events import EventLog
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from tests.samples import quick_first
from tests.scripts import Times

SERVER = Path(__file__).with_name("interval_server.py")
MS = 1_000_000
WRAP = 10**15
"""The server says its instants modulo this."""

MODES = [("slow", 20), ("split", 10), ("pieces", 10), ("hesitant", 10)]
SHARES = {"native": 1, "threads": 15}
"""The threads transport gets so much less to do."""


@pytest.fixture
def serve(spawn: Callable[..., subprocess.Popen[str]]) -> Callable[..., int]:
    """Start a server in a mode; its port."""

    def start(mode: str, *arguments: object) -> int:
        process = spawn(SERVER, mode, *arguments, stdin=subprocess.PIPE)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        return int(line)

    return start


def run(
    transport: str, port: int, behaviour: Times, clients: int, scheme: str = "http", **options: Any
) -> EventLog:
    scenario = Scenario(
        target=Target(scheme, "127.0.0.1", port),
        groups=(Group(behaviour, clients),),
        seed=1,
        timeout_ns=60_000 * MS,
        **options,
    )
    module = import_module(f"rateproof.simulate.transports.{transport}")
    log: EventLog = module.run(scenario, control=Control())
    return log


def check(log: EventLog, requests: int) -> list[int]:
    """Every interval holds its instant; how wide they are."""
    assert len(log) == requests
    assert set(log.column("error")) == {None}
    columns = ("sent_ns", "ratelimit_remaining", "received_ns", "done_ns", "intended_ns")
    widths = []
    for sent, decided, received, done, intended in zip(*map(log.column, columns), strict=True):
        width = received - sent
        # Before `sent_ns` it would be almost WRAP.
        assert 0 <= (decided - sent) % WRAP <= width, (sent, decided, received)
        assert intended <= sent
        assert received <= done
        widths.append(width)
    return sorted(widths)


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    """Others that want the processors."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_spin, daemon=True) for _ in range(processes)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def _spin() -> None:
    while True:
        pass


@pytest.mark.parametrize(("mode", "count"), quick_first(MODES, 2))
def test_the_decision_lies_inside_however_slowly_and_in_whatever_pieces_it_is_told(
    serve: Callable[..., int], transport: str, mode: str, count: int
) -> None:
    check(run(transport, serve(mode), Times(count), 20), 20 * count)


@pytest.mark.parametrize(("mode", "count"), [("interim", 50), ("interim_split", 20)])
def test_the_decision_lies_inside_whatever_interim_answers_come_first(
    serve: Callable[..., int], mode: str, count: int
) -> None:
    """Requests knows one of them only, and gives up the others."""
    widths = check(run("native", serve(mode), Times(count), 20), 20 * count)
    if mode == "interim":  # it began before the decision, so it holds the pause that came first
        assert widths[0] >= 3 * MS


def test_the_decision_lies_inside_at_full_speed(serve: Callable[..., int], transport: str) -> None:
    count = 200 // SHARES[transport]
    check(run(transport, serve("at_once"), Times(count), 50), 50 * count)


@pytest.mark.slow
def test_the_decision_lies_inside_where_processes_compete(
    serve: Callable[..., int], transport: str
) -> None:
    count = 80 // SHARES[transport]
    with _busy(4):
        check(run(transport, serve("at_once"), Times(count), 50), 50 * count)


def test_the_decision_lies_inside_where_every_connection_has_many_clients(
    serve: Callable[..., int],
) -> None:
    """A request that waits for a connection is not yet sent."""
    check(run("native", serve("slow"), Times(10), 200, max_connections=5), 2_000)


def test_the_decision_on_a_request_with_a_body_lies_inside(
    serve: Callable[..., int], transport: str
) -> None:
    """It is decided while its body is still being written."""
    port = serve("at_once")
    log = run(transport, port, Times(10), 10, method="POST", body=b"x" * 1_000_000)
    check(log, 100)


def test_the_decision_on_a_dripped_request_lies_inside_an_interval_without_the_drip(
    serve: Callable[..., int],
) -> None:
    """It begins before the byte that completes the header, not before the first."""
    widths = check(run("native", serve("at_once"), Times(1, over_ns=1_000 * MS), 20), 20)
    assert widths[10] < 500 * MS


def test_a_decision_before_the_dripped_header_is_whole_lies_inside_too(
    serve: Callable[..., int],
) -> None:
    """A server may say no to half a request: the interval then begins before that half."""
    check(run("native", serve("early"), Times(4, over_ns=100 * MS), 10), 40)


@pytest.mark.parametrize("mode", quick_first(["split", "at_once"]))
def test_the_decision_lies_inside_within_tls(
    serve: Callable[..., int], transport: str, mode: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    port = serve(mode, tmp_path / "server.pem")
    count = 10 if mode != "at_once" else 80 // SHARES[transport]
    log = run(transport, port, Times(count), 20, "https", ca_file=str(tmp_path / "ca.pem"))
    check(log, 20 * count)


@pytest.mark.slow
def test_the_decision_lies_inside_over_many_requests(serve: Callable[..., int]) -> None:
    port = serve("at_once")
    began = time.monotonic_ns()
    log = run("native", port, Times(4_000), 64)
    assert len(check(log, 256_000)) == 256_000
    assert min(log.column("sent_ns")) >= began
