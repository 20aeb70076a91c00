"""Who the clients are, how each behaves, for how long, and the seed of it all."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from rateproof.errors import InvalidArgument
from rateproof.events import REJECTED_STATUSES
from rateproof.keyspec import Part
from rateproof.policy import Policy
from rateproof.simulate.behaviours import Behaviour, describe
from rateproof.simulate.checks import check_count, check_duration, check_rate
from rateproof.simulate.identities import check_place, identity_of
from rateproof.simulate.target import Target
from rateproof.units import SECOND_NS

__all__ = ["MAX_CLIENTS", "Client", "Group", "Scenario", "fresh_seed"]

MAX_CLIENTS = 10_000
"""At most as many clients, and connections, in one scenario."""

DEFAULT_KEY = Part("query", "clientId")

_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HOUR_NS = 3_600 * SECOND_NS


def fresh_seed() -> int:
    """A random seed, short enough to be typed again."""
    return secrets.randbelow(2**32)


def _fresh_namespace() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Group:
    """Clients of one behaviour.

    Args:
        behaviour: how each of them behaves.
        clients: how many, 1 to 10,000.
        connections: how many connections each of them owns, 1 to 10,000. All
            connections of a client follow the same plan: of an open behaviour
            or a pattern they send at the same intended instants.

    Raises:
        InvalidArgument: out of these bounds.
    """

    behaviour: Behaviour
    clients: int = 1
    connections: int = 1

    def __post_init__(self) -> None:
        check_count("clients", self.clients, 1, MAX_CLIENTS)
        check_count("connections", self.connections, 1, MAX_CLIENTS)


@dataclass(frozen=True, slots=True)
class Client:
    """One client of a scenario.

    Args:
        number: 0, 1, 2, ... in the order of the groups.
        identity: what its requests carry.
        behaviour: its plan's source.
        connections: how many connections it owns.
        seed: what seeds its randomness.
    """

    number: int
    identity: bytes
    behaviour: Behaviour
    connections: int
    seed: str

    def rng(self) -> Random:
        """A new generator in the client's initial state: one for each connection."""
        return Random(self.seed)  # noqa: S311 - reproducible, not secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A run, complete: with the same seed the intended schedule is the same.

    Only the identities differ from run to run, by `namespace`, so that a
    server that remembers the last run does not disturb this one.

    Args:
        target: where the requests go.
        groups: one or more groups, together at most 10,000 connections.
        duration_ns: nothing is sent from this instant on; None: until stopped.
        seed: 0 to 2**63 - 1.
        key: where each client's identity is put.
        timeout_ns: for a whole request, from its start to the end of its answer; 1 ms to 1 h.
        max_rate: requests a second of all clients together, at most; None: no limit.
        rejected_statuses: the status codes by which the limiter says no.
        namespace: what makes the identities unique; random if not given.
        policy: what the server promises, where it is known; for the metadata.

    Raises:
        InvalidArgument: out of these bounds, or a key that cannot hold an identity.
    """

    target: Target
    groups: tuple[Group, ...]
    seed: int = field(default_factory=fresh_seed)
    duration_ns: int | None = None
    key: Part = DEFAULT_KEY
    timeout_ns: int = 10 * SECOND_NS
    max_rate: float | None = None
    rejected_statuses: frozenset[int] = REJECTED_STATUSES
    namespace: str = field(default_factory=_fresh_namespace)
    policy: Policy | None = None

    def __post_init__(self) -> None:
        if not self.groups:
            raise InvalidArgument("a scenario without clients", "give at least one group")
        check_count("connections in all", self.connection_count, 1, MAX_CLIENTS)
        check_count("seed", self.seed, 0, 2**63 - 1)
        if self.duration_ns is not None:
            check_duration("duration_ns", self.duration_ns)
        check_duration("timeout_ns", self.timeout_ns, low=1_000_000, high=_HOUR_NS)
        if self.max_rate is not None:
            check_rate("max_rate", self.max_rate)
        for status in self.rejected_statuses:
            check_count("rejected status", status, 100, 599)
        if not _NAMESPACE.fullmatch(self.namespace):
            raise InvalidArgument(
                f"namespace {self.namespace!r}", "1 to 64 letters, digits, '.', '_' or '-'"
            )
        check_place(self.target, self.key)

    @property
    def client_count(self) -> int:
        """How many clients there are, in all groups."""
        return sum(group.clients for group in self.groups)

    @property
    def connection_count(self) -> int:
        """How many connections they own in all."""
        return sum(group.clients * group.connections for group in self.groups)

    def clients(self) -> Iterator[Client]:
        """Every client, group by group."""
        number = 0
        for group in self.groups:
            for _ in range(group.clients):
                yield Client(
                    number=number,
                    identity=identity_of(self.namespace, number),
                    behaviour=group.behaviour,
                    connections=group.connections,
                    seed=f"{self.seed}/{number}",
                )
                number += 1

    def as_dict(self) -> dict[str, Any]:
        """Plain data that describes the run, for metadata and reports."""
        return {
            "url": self.target.url,
            "groups": [
                {
                    "behaviour": describe(group.behaviour),
                    "clients": group.clients,
                    "connections": group.connections,
                }
                for group in self.groups
            ],
            "seed": self.seed,
            "duration_ns": self.duration_ns,
            "key": str(self.key),
            "timeout_ns": self.timeout_ns,
            "max_rate": self.max_rate,
            "rejected_statuses": sorted(self.rejected_statuses),
            "namespace": self.namespace,
            "policy": None if self.policy is None else str(self.policy),
        }
