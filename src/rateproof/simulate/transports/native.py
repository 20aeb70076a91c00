"""The native load engine: one event loop a core, every request recorded.

The engine is Rust (`rust/simulate`); here a scenario becomes what it takes,
and what it recorded becomes batches of events. No Python runs per request.
"""

import socket
from array import array
from collections.abc import Callable
from typing import Any

from rateproof import linux
from rateproof.core import required_native
from rateproof.errors import InvalidArgument, Unreachable
from rateproof.events import EventLog
from rateproof.simulate.audit import Audit
from rateproof.simulate.behaviour import rate_interval_ns
from rateproof.simulate.control import Control
from rateproof.simulate.run_metadata import run_metadata
from rateproof.simulate.scenario import MAX_CLIENTS, Scenario
from rateproof.simulate.target import Target
from rateproof.simulate.transports.descriptors import ensure_descriptors, spare_descriptors
from rateproof.simulate.transports.driving import bound_clients, drive

MAX_LOOPS = 256

_A_LOOP_HAS = 4  # its queue, alarm and waker, and one to spare


def run(
    scenario: Scenario,
    *,
    control: Control,
    observe: Callable[[EventLog], None] | None = None,
    run_number: int = 0,
    keep: bool = True,
    threads: int | None = None,
) -> EventLog:
    """Run a scenario; see `Transport` for the arguments and the contract.

    There are `threads` event loops, 1 to 256, one for each core of this process
    if None, and never more than there are lanes (connections of clients).

    With `max_connections` below the number of lanes a lane takes over the
    connection that has idled longest, and waits while none idles; the audit
    tells that wait from the generator's own lag. A request that is late opens
    no connection while one idles.

    Raises:
        InvalidArgument: out of these bounds, no native core, or the machine
            has too few descriptors or ports for so many connections.
        Unreachable: the host has no address.
    """
    loops, addresses = check(scenario, threads)
    lanes = scenario.connection_count
    spare = MAX_CLIENTS - lanes
    if scenario.max_connections is None:
        spare = min(spare, spare_descriptors(lanes + loops * _A_LOOP_HAS))
    bound_clients(scenario, control, spare)
    engine = engine_of(scenario, loops, addresses)
    engine.begin(scenario.start_ns or 0, 0)
    log = EventLog(run_metadata(scenario, "native"))
    log.metadata["generator"]["threads"] = loops

    def read(timeout_s: float) -> EventLog | None:
        batch = engine.read(timeout_s)
        return None if batch is None else events_of(batch, run_number)

    def join() -> Audit:
        return Audit.read(engine.join())

    with linux.interrupting_none():  # the event loops go first where they share a core
        return drive(engine, log, read=read, join=join, control=control, observe=observe, keep=keep)


def engine_of(scenario: Scenario, loops: int, addresses: list[tuple[str, int]]) -> Any:
    """Make an engine ready: nothing is sent before its `begin`; for the rest see `check`."""
    settings = _settings(scenario, addresses, loops)
    return required_native("the native transport").Engine(settings)


def events_of(batch: tuple[int, dict[str, Any]], run_number: int) -> EventLog:
    """The rows that an engine gave: how many, and their columns."""
    length, columns = batch
    if run_number:
        columns["run"] = array("q", [run_number]).tobytes() * length
    return EventLog.from_columns(columns, length)


def check(scenario: Scenario, threads: int | None = None) -> tuple[int, list[tuple[str, int]]]:
    """Make sure that a scenario can be run here; nothing is sent.

    Returns:
        How many event loops it would have, and the addresses of its target.

    Raises:
        InvalidArgument, Unreachable: see `run`.
    """
    required_native("the native transport")
    cores = linux.processors()
    loops = cores if threads is None else threads
    if not 1 <= loops <= MAX_LOOPS:
        raise InvalidArgument(f"threads is {threads!r}", f"a whole number from 1 to {MAX_LOOPS}")
    most = _most_connections(scenario)
    loops = min(loops, most)
    addresses = _addresses(scenario.target)
    own = sum(clients * group.connections for group, _, clients in scenario.shares())
    _check_machine(min(most, own), loops, addresses)
    return loops, addresses


def _most_connections(scenario: Scenario) -> int:
    """Connections that a shard may have open at once: at least one."""
    return max(1, scenario.shard.share(0, scenario.max_connections or MAX_CLIENTS)[1])


def _addresses(target: Target) -> list[tuple[str, int]]:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(
            f"host {target.host} has no address: {error.strerror}", "check the URL"
        ) from error
    return list(dict.fromkeys((str(entry[4][0]), target.port) for entry in found))


def _check_machine(connections: int, loops: int, addresses: list[tuple[str, int]]) -> None:
    """Refuse what descriptors or ports cannot carry before anything is sent."""
    hint = "fewer clients or connections, or share them: --max-connections"
    try:
        ensure_descriptors(connections + loops * _A_LOOP_HAS)
    except InvalidArgument as error:
        raise InvalidArgument(error.message, f"{error.hint}; or {hint}") from error
    ports = linux.outgoing_ports()
    if ports is not None and connections > len(ports):
        host = addresses[0][0]
        raise InvalidArgument(
            f"{connections} connections to {host} need as many ports, this machine has {len(ports)}",
            f"{hint} {len(ports) // 2}",
        )


def _settings(scenario: Scenario, addresses: list[tuple[str, int]], loops: int) -> dict[str, Any]:
    template = scenario.template()
    target = scenario.target
    tls = None
    if target.scheme == "https":
        tls = (scenario.ca_file, scenario.insecure, target.host)
    connect_ns = scenario.connect_timeout_ns
    pace_ns, shares = None, scenario.shares()
    if scenario.max_rate is not None:
        # Each client brings its share of the ceiling.
        own = sum(clients for _, _, clients in shares) / scenario.client_count
        pace_ns = rate_interval_ns(scenario.max_rate * own) if own else 1
    return {
        "addresses": addresses,
        "tls": tls,
        "before": template.before,
        "after": template.after,
        "head_bytes": template.head_bytes,
        "bodiless": scenario.method == "HEAD",
        "groups": [
            (group.behaviour.program().code(), first, clients, group.connections)
            for group, first, clients in shares
        ],
        "shard": scenario.shard,
        "seed": scenario.seed,
        "namespace": scenario.namespace,
        "tokens": scenario.sent_keys,
        "duration_ns": scenario.duration_ns,
        "max_requests": scenario.max_requests,
        "timeout_ns": scenario.timeout_ns,
        "connect_timeout_ns": scenario.timeout_ns if connect_ns is None else connect_ns,
        "max_connections": _most_connections(scenario),
        "pace_ns": pace_ns,
        "rejected_statuses": sorted(scenario.rejected_statuses),
        "tolerance_ns": scenario.lag_tolerance_ns,
        "loops": loops,
    }
