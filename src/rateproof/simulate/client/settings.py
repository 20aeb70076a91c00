"""What somebody can tell the client, and the scenario that comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.checks import check_count
from rateproof.simulate.scenario import MAX_CLIENTS, Scenario
from rateproof.simulate.scenario_file import GroupPlan, ScenarioFile, load
from rateproof.simulate.transports import Transport, checker, default_name, named

__all__ = ["ClientSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What `rateproof simulate` can be told; None: the scenario file's, or the default.

    Args:
        scenario_file: what to run, where flags do not say otherwise.
        url: where to send; http://127.0.0.1:8080.
        clients: how many; without a scenario file a person at the terminal is
            asked, and without one there are 10.
        behaviour: name of how each client sends; at random intervals.
        rate_per_s: requests a second of all clients together; the behaviour's own.
        connections: of each client; 1.
        key: where identities are put: its first part that a client can set.
        duration_ns: until when; until stopped.
        seed: random, and printed.
        timeout_ns: of a whole request; 10 s.
        connect_timeout_ns: of a connection; that of the request.
        max_connections: open at once, in all; as many as there are lanes.
        max_rate: requests a second in all; no limit on loopback, 100 elsewhere.
        rejected_statuses: codes by which the limiter says no; 429 and 503.
        policy: what the server promises, for the log.
        method: of every request; GET.
        headers: added to every request.
        body: of every request; none.
        ca_file: certificates in PEM to trust instead of the system's.
        insecure: accept any certificate.
        transport: name of what sends; the native one where there is one.
        threads: of the native transport; as many as it finds good.
        log: file for every event; None for none.
        json: the summary as one JSON object.
        yes: do not ask before sending to another machine.
        plain: a line of figures instead of the view, on a terminal too.
    """

    scenario_file: Path | None = None
    url: str | None = None
    clients: int | None = None
    behaviour: str | None = None
    rate_per_s: float | None = None
    connections: int | None = None
    key: KeySpec | None = None
    duration_ns: int | None = None
    seed: int | None = None
    timeout_ns: int | None = None
    connect_timeout_ns: int | None = None
    max_connections: int | None = None
    max_rate: float | None = None
    rejected_statuses: frozenset[int] | None = None
    policy: Policy | None = None
    method: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    ca_file: str | None = None
    insecure: bool = False
    transport: str | None = None
    threads: int | None = None
    log: str | None = None
    json: bool = False
    yes: bool = False
    plain: bool = False

    @property
    def asks_clients(self) -> bool:
        """Whether nothing tells how many clients there are to be."""
        return self.clients is None and self.scenario_file is None

    def scenario(self, **overrides: Any) -> Scenario:
        """The scenario of the file and the flags.

        Args:
            overrides: arguments of `ScenarioFile.scenario` that go before both.

        Raises:
            InvalidArgument: what the file, a value or their combination
                makes impossible.
        """
        for name in ("clients", "connections"):
            if (count := getattr(self, name)) is not None:
                check_count(name, count, 1, MAX_CLIENTS)
        base = _WITHOUT_FILE if self.scenario_file is None else load(self.scenario_file)
        told = {name: getattr(self, name) for name in _TOLD}
        told |= {"headers": self.headers or None, "insecure": self.insecure or None}
        return base.scenario(**(told | overrides))

    def transport_in_use(self) -> tuple[str, Transport]:
        """The name of the transport, and the transport.

        Raises:
            InvalidArgument: there is none of this name here, or threads for
                one that has its own.
        """
        name = self.transport or default_name()
        return name, named(name, threads=self.threads)

    def check(self) -> Callable[[Scenario], object]:
        """What makes sure that the machine can run a scenario: see `transports.checker`.

        Raises:
            InvalidArgument: as `transport_in_use`.
        """
        name, _ = self.transport_in_use()
        return checker(name, threads=self.threads)


_TOLD = (
    "url",
    "clients",
    "behaviour",
    "rate_per_s",
    "connections",
    "key",
    "duration_ns",
    "seed",
    "timeout_ns",
    "connect_timeout_ns",
    "max_connections",
    "max_rate",
    "rejected_statuses",
    "policy",
    "method",
    "body",
    "ca_file",
)

_WITHOUT_FILE = ScenarioFile(Path(), (GroupPlan(Think.name, 1, 1, None, {}),), {})
