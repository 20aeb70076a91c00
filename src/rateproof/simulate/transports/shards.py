"""A run in shards, each on a worker of a cluster, with an engine and a clock of its own.

All requests of a key are of one shard, so no verdict compares clocks. Instants are given on the
clock of whoever asks: the run begins at the same one everywhere, but for half of the longest way
to a worker and back.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

from rateproof import __version__
from rateproof.cluster import Cluster, Lost
from rateproof.errors import InvalidArgument, Unreachable
from rateproof.events import EventLog
from rateproof.simulate.audit import Audit
from rateproof.simulate.control import Control
from rateproof.simulate.run_metadata import clock_identity, run_metadata
from rateproof.simulate.scenario import MAX_CLIENTS, Scenario, Shard
from rateproof.simulate.transports import native
from rateproof.simulate.transports.driving import LOOK_S, bound_clients, drive
from rateproof.units import SECOND_NS, counted, format_seconds

LOST_S: Final = 15.0
"""A worker that gives no sign for so long is lost."""

_LOOK_S: Final = 1.0
_PINGS: Final = 9
_MARGIN_NS: Final = SECOND_NS // 20


class Wishes(NamedTuple):
    """Wishes of `Control` that a worker is sent."""

    paused: bool = False
    bursts: int = 0
    extra_clients: int = 0
    stop: bool = False
    abandon: bool = False


class ShardRun:
    """One shard of a run, on the worker that sends it.

    Args:
        version: of whoever asks.
        scenario: with its shard.
        threads: event loops at most.

    Raises:
        InvalidArgument, Unreachable: another version, or as `native.check`.
    """

    def __init__(self, version: str, scenario: Scenario, threads: int) -> None:
        if version != __version__:
            raise InvalidArgument(
                f"a worker has rateproof {__version__}, and this is {version}",
                "the same version on every machine",
            )
        self._scenario = scenario
        loops, addresses = native.check(scenario, threads)
        self._engine = native.engine_of(scenario, loops, addresses)

    def clock_ns(self) -> int:
        """Read its clock."""
        return time.monotonic_ns()

    def begin(self, start_ns: int, shift_ns: int) -> None:
        """Begin at an instant of its clock; what it gives is on one that is so much ahead."""
        self._engine.begin(start_ns, shift_ns)

    def take(self, wishes: Wishes) -> tuple[int, list[Any], dict[str, Any] | None]:
        """Do what is wished, and give what was recorded since the last call.

        Returns:
            The instant at which it began, batches of rows, and once it is over the audit's counts.
        """
        scenario, engine = self._scenario, self._engine
        last, (_, _, own) = scenario.groups[-1], scenario.shares()[-1]
        first = scenario.client_count - last.clients
        wanted = scenario.shard.share(first, last.clients + wishes.extra_clients)[1]
        engine.steer(paused=wishes.paused, bursts=wishes.bursts, extra_clients=wanted - own)
        if wishes.abandon:
            engine.abandon()
        elif wishes.stop:
            engine.stop()
        batch = engine.read(LOOK_S)
        if batch is None:
            return engine.start_ns, [], engine.join()
        return engine.start_ns, [batch] if batch[0] else [], None


def can_run(scenario: Scenario, threads: int) -> dict[str, Any]:
    """Make sure that a worker, which calls this, can run its shard; the clock that it has.

    Raises:
        InvalidArgument, Unreachable: as `native.check`.
    """
    native.check(scenario, threads)
    return clock_identity()


class _Gone(Exception):
    """A worker is lost."""


class _Worker:
    def __init__(self, cluster: Cluster, address: str, scenario: Scenario) -> None:
        self.address, self.scenario, self._cluster = address, scenario, cluster
        self.shift_ns = self.away_ns = self.late_ns = 0
        self.lost_ns: int | None = None

    @property
    def clients(self) -> int:
        """Number of clients of its shard."""
        return sum(clients for _, _, clients in self.scenario.shares())

    def prepare(self, threads: int) -> None:
        """Make its shard ready, and see by how much its clock differs from ours.

        Raises:
            _Gone: it is lost.
        """
        given = ShardRun, __version__, self.scenario, threads
        self._shard = self._heard(
            lambda: self._cluster.client.submit(
                *given, actor=True, workers=[self.address], pure=False
            )
        )
        seen = []
        for _ in range(_PINGS):
            asked_ns = time.monotonic_ns()
            there_ns = self.ask("clock_ns")
            away_ns = time.monotonic_ns() - asked_ns
            seen.append((away_ns, asked_ns + away_ns // 2 - there_ns))
        self.away_ns, self.shift_ns = min(seen)

    def begin(self, start_ns: int) -> None:
        """Begin at an instant of our clock.

        Raises:
            _Gone: it is lost.
        """
        self.ask("begin", start_ns - self.shift_ns, self.shift_ns)

    def ask(self, what: str, *given: Any) -> Any:
        """Call a method of its `ShardRun`.

        Raises:
            _Gone: it is lost.
        """
        return self._heard(lambda: getattr(self._shard, what)(*given))

    def _heard(self, ask: Callable[[], Any]) -> Any:
        until_s, asked = time.monotonic() + LOST_S, None
        while True:
            try:
                with self._cluster.client.as_current():  # whom an actor looks for
                    asked = ask() if asked is None else asked
                    return asked.result(timeout=_LOOK_S)
            except TimeoutError as error:
                if time.monotonic() > until_s or not self._is_there():
                    raise _Gone from error
            except Exception as error:
                if not isinstance(error, OSError) and self._is_there():
                    raise
                raise _Gone from error

    def _is_there(self) -> bool:
        with suppress(Unreachable):
            return self.address in self._cluster.there()
        return False


class Shards:
    """A run on workers, as an engine that is driven like one on this machine.

    Args:
        cluster: its workers each get a shard, as far as there are clients.
        scenario: the whole.
        threads: event loops of each; None: as many as the worker has threads.

    Raises:
        InvalidArgument, Unreachable: a worker cannot run its shard, or is lost before it began.
    """

    def __init__(self, cluster: Cluster, scenario: Scenario, threads: int | None) -> None:
        there = _spread(cluster, scenario, threads)
        self.workers = [_Worker(cluster, address, shard) for address, _, shard in there]
        self._wishes = Wishes()
        self._given: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._audits, self._failures = list[Audit](), list[Exception]()
        self._going = len(there)
        self._each(_Worker.prepare, [loops for _, loops, _ in there])
        way_ns = max(worker.away_ns for worker in self.workers)
        begins_ns = time.monotonic_ns() + _MARGIN_NS + 4 * way_ns
        self.start_ns = max(begins_ns, scenario.start_ns or 0)
        self._each(_Worker.begin, [self.start_ns] * len(there))
        for worker in self.workers:
            threading.Thread(target=self._follow, args=[worker], daemon=True).start()

    def _each(self, work: Callable[[_Worker, int], None], given: Sequence[int]) -> None:
        with ThreadPoolExecutor(len(self.workers)) as pool:
            try:
                list(pool.map(work, self.workers, given))
            except _Gone as error:
                problem = "a worker was lost before the run began"
                raise Unreachable(problem, "nothing was sent: start it again") from error

    def _follow(self, worker: _Worker) -> None:
        """Take what a worker records until its shard is over."""
        counts, rows, heard_ns = None, 0, self.start_ns
        try:
            while counts is None:
                began_ns, batches, counts = worker.ask("take", self._wishes)
                heard_ns = time.monotonic_ns()
                worker.late_ns = began_ns - self.start_ns
                for batch in batches:
                    self._given.put(batch)
                    rows += batch[0]
            if rows == counts["requests"]:
                self._audits.append(Audit.read(counts))
            else:  # an answer with rows was lost on the way
                worker.lost_ns = heard_ns
        except _Gone:
            worker.lost_ns = heard_ns
        except Exception as error:  # noqa: BLE001 - raised again by `join`
            self._failures.append(error)
            self.stop()
        finally:
            self._given.put(None)

    def steer(self, *, paused: bool, bursts: int, extra_clients: int) -> None:
        """Pass on wishes, with the next question to each worker."""
        self._wishes = self._wishes._replace(
            paused=paused, bursts=bursts, extra_clients=extra_clients
        )

    def stop(self) -> None:
        """Have nothing new sent."""
        self._wishes = self._wishes._replace(stop=True)

    def abandon(self) -> None:
        """Have what is in flight given up."""
        self._wishes = self._wishes._replace(stop=True, abandon=True)

    def read(self, timeout_s: float, run_number: int) -> EventLog | None:
        """The rows that a worker gives next; None once every shard is over, or lost."""
        while self._going:
            try:
                given = self._given.get(timeout=timeout_s)
            except queue.Empty:
                return EventLog()
            if given is not None:
                return native.events_of(given, run_number)
            self._going -= 1
        return None

    def join(self) -> Audit:
        """The audits of all, added up.

        Raises:
            RateproofError: of a worker whose engine failed.
        """
        if self._failures:
            raise self._failures[0]
        total = Audit()
        for audit in self._audits:
            total.add(audit)
        return total

    def facts(self, tolerance_ns: int) -> dict[str, list[Any]]:
        """The entries of the log's metadata that say what became of each worker.

        Returns:
            `workers`, and sentences for `warnings` and `invalid_because`.
        """
        told: dict[str, list[Any]] = {"workers": [], "warnings": [], "invalid_because": []}
        for worker in self.workers:
            names = ("address", "clients", "away_ns", "late_ns")
            told["workers"].append(
                {name: getattr(worker, name) for name in names}
                | {"lost": worker.lost_ns is not None}
            )
            if worker.lost_ns is not None:
                after_s = max(0, worker.lost_ns - self.start_ns) / SECOND_NS
                told["invalid_because"].append(
                    f"the worker {worker.address} was lost after {after_s:.1f} s: what its "
                    f"{counted(worker.clients, 'client')} sent since then is not in the log"
                )
            elif worker.late_ns > tolerance_ns:
                late = format_seconds(worker.late_ns)
                told["warnings"].append(f"the worker {worker.address} began {late} late")
        return told


def _spread(
    cluster: Cluster, scenario: Scenario, threads: int | None
) -> list[tuple[str, int, Scenario]]:
    """Workers of a cluster, the event loops of each, and its shard: none without a client."""
    there = [*cluster.workers().items()][: scenario.client_count]
    return [
        (address, threads or own, replace(scenario, shard=Shard(number, len(there))))
        for number, (address, own) in enumerate(there)
    ]


def check(scenario: Scenario, *, cluster: Cluster, threads: int | None = None) -> None:
    """Make sure that the workers of a cluster can run a scenario; nothing is sent.

    Raises:
        InvalidArgument: it needs what all clients share, or a worker cannot run its shard.
        Unreachable: a worker finds no address of the target, or is lost.
    """
    if scenario.tokens is not None:
        raise InvalidArgument(
            "keys of a file on several workers",
            "one of them may be of several clients, and a key's requests have to be on one clock",
        )
    if scenario.max_requests is not None:
        raise InvalidArgument(
            f"max_requests is {scenario.max_requests}, on several workers",
            "they count apart: bound the duration, or --max-rate, which each client has its share of",
        )
    there = _spread(cluster, scenario, threads)
    most = scenario.max_connections
    if most is not None and most < len(there):
        raise InvalidArgument(
            f"max_connections is {most}, on {counted(len(there), 'worker')}",
            "at least one for each",
        )
    asked = [
        cluster.submit(can_run, shard, loops, worker=address) for address, loops, shard in there
    ]
    for number, found in cluster.results(asked):
        address = there[number][0]
        if isinstance(found, Lost):
            raise Unreachable(f"the worker {address} is lost", "nothing was sent: start it again")
        if scenario.target.is_loopback and found != clock_identity():
            raise InvalidArgument(
                f"{scenario.target} is another machine for the worker {address}",
                "name the server's address, not a loopback one",
            )


def run(
    scenario: Scenario,
    *,
    control: Control,
    observe: Callable[[EventLog], None] | None = None,
    run_number: int = 0,
    keep: bool = True,
    cluster: Cluster,
    threads: int | None = None,
) -> EventLog:
    """Run a scenario on the workers of a cluster; see `Transport` for the rest of the contract.

    A worker that is lost takes its shard's rest along: the run is invalid, and the log incomplete.

    Raises:
        InvalidArgument, Unreachable: see `check`.
    """
    shards = Shards(cluster, scenario, threads)
    bound_clients(scenario, control, MAX_CLIENTS - scenario.connection_count)
    log = EventLog(run_metadata(scenario, "native"))
    log.metadata["clock"]["boot_id"] = None  # exact within a shard only
    drive(
        shards,
        log,
        read=lambda timeout_s: shards.read(timeout_s, run_number),
        join=shards.join,
        control=control,
        observe=observe,
        keep=keep,
    )
    facts = shards.facts(scenario.lag_tolerance_ns)
    log.metadata["workers"] = facts["workers"]
    log.metadata["warnings"] += facts["warnings"]
    if facts["invalid_because"]:
        log.metadata["invalid_because"] += facts["invalid_because"]
        log.metadata |= {"valid": False, "complete": False}
    return log
