"""A scenario: the clients, how each behaves, for how long, and the seed of it all."""

import itertools
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

from rateproof.errors import InvalidArgument
from rateproof.events import REJECTED_STATUSES
from rateproof.keyspec import Part
from rateproof.options.declared import VERBS
from rateproof.options.forms import BODY, STATUSES
from rateproof.options.kinds import Leaf, duration, whole
from rateproof.policy import Policy
from rateproof.simulate.behaviour import Behaviour, describe
from rateproof.simulate.behaviours.drip import Drip
from rateproof.simulate.identities import check_place, identity_of
from rateproof.simulate.programs.rng import Rng
from rateproof.simulate.request import RequestTemplate, check_headers, shown_header
from rateproof.simulate.target import Target, check_trust
from rateproof.simulate.tokens import Tokens
from rateproof.units import MAX_DURATION_NS, SECOND_NS, format_duration

MAX_CLIENTS = 1_000_000
"""At most as many clients, and connections, in one scenario."""

DEFAULT_KEY = Part("query", "clientId")

_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_OPTIONS = {option.inside: option.kind for option in VERBS["simulate"].options}
CLIENTS: Final[Leaf] = _OPTIONS["clients"]
LAG_TOLERANCE: Final = duration(1_000, 3_600 * SECOND_NS)
_TOLD = ("seed", "duration_ns", "timeout_ns", "connect_timeout_ns", "max_rate", "max_connections")
_KINDS: Final[Mapping[str, Leaf]] = {
    **{name: _OPTIONS[name] for name in (*_TOLD, "method")},
    "max_requests": whole(0, 10**9),
    "body": BODY,
    "lag_tolerance_ns": LAG_TOLERANCE,
    "start_ns": whole(0, MAX_DURATION_NS - 1),
}
"""The kinds of the values of a scenario, by name."""


def fresh_seed() -> int:
    """A random seed, short enough to be typed again."""
    return secrets.randbelow(2**32)


@dataclass(frozen=True, slots=True)
class Group:
    """Clients of one behaviour.

    Args:
        behaviour: how each of them behaves.
        clients: how many, 1 to 1,000,000.
        connections: how many connections each of them owns, 1 to 1,000,000. All
            connections of a client follow the same plan: of an open behaviour
            or a pattern they send at the same intended instants.

    Raises:
        InvalidArgument: out of these bounds.
    """

    behaviour: Behaviour
    clients: int = 1
    connections: int = 1

    def __post_init__(self) -> None:
        CLIENTS.hold("clients", self.clients)
        CLIENTS.hold("connections", self.connections)


class Shard(NamedTuple):
    """One of so many parts of a run: the clients whose number leaves it as remainder, all they do.

    Draws and identities follow from a client's number, so they are the same in any number of
    shards.
    """

    number: int
    of: int

    def share(self, first: int, count: int) -> tuple[int, int]:
        """The first of this shard of so many numbers, and how many of them are.

        >>> Shard(1, 3).share(2, 6)
        (4, 2)
        """
        own = first + (self.number - first) % self.of
        return own, max(0, -(-(first + count - own) // self.of))


WHOLE: Final = Shard(0, 1)


class Client(NamedTuple):
    """One client of a scenario.

    Args:
        scenario: whose.
        number: 0, 1, 2, ... in the order of the groups.
        group: how it behaves, and how many connections it owns.
    """

    scenario: "Scenario"
    number: int
    group: Group

    def identity(self, alias: int = 0) -> bytes:
        """The identity that is recorded of its requests under an alias; 0 is its own."""
        written, tokens = self.written(alias), self.scenario.tokens
        return written if tokens is None else tokens.names([written])[0]

    def written(self, alias: int = 0) -> bytes:
        """The same as it stands in its requests."""
        scenario = self.scenario
        if scenario.tokens is None:
            return identity_of(scenario.namespace, self.number, alias)
        return scenario.written[scenario.tokens.place(self.number, alias, scenario.client_count)]

    def rng(self) -> Rng:
        """A new generator in the client's initial state: one for each connection."""
        return Rng(f"{self.scenario.seed}/{self.number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A run, complete: with the same seed the intended schedule is the same.

    Only the identities differ from run to run, by `namespace`, so that a
    server that remembers the last run does not disturb this one.

    Args:
        target: where the requests go.
        groups: one or more groups, together at most 1,000,000 connections.
        duration_ns: nothing is sent from this instant on; None: until stopped.
        seed: 0 to 2**63 - 1.
        key: where each client's identity is put.
        timeout_ns: for a whole request, from its start to the end of its answer; 1 ms to 1 h.
        max_rate: requests a second of all clients together, at most; None: no limit.
        max_requests: sent in all, at most; None: no limit. 0 sends nothing.
        rejected_statuses: the status codes by which the limiter says no.
        namespace: what makes the identities unique; random if not given.
        tokens: what clients send instead of invented identities.
        policy: what the server promises, where it is known; for the metadata.
        method: of every request, in capital letters.
        headers: of every request, beside those that frame it and the key's own.
        body: of every request, up to 1 MiB.
        connect_timeout_ns: for a connection and its TLS handshake, within
            `timeout_ns`; 1 ms to 1 h. None: `timeout_ns` alone.
        max_connections: open at once in all, 1 to 1,000,000. None: each
            client's own.
        ca_file: certificates in PEM to trust instead of the system's.
        insecure: accept any certificate.
        lag_tolerance_ns: a run in which the generator itself sent more than 1
            of 100 requests later than this carries a warning; 1 us to 1 h.
        start_ns: the instant of CLOCK_MONOTONIC at which the run begins; None,
            or one that has passed by then: as soon as everything is ready.
        shard: the part of it that is run, with its share of `max_rate` and `max_connections`.

    Raises:
        InvalidArgument: out of these bounds, a key that cannot hold an
            identity, certificates for a URL without TLS, or a dripped header
            that takes as long as the timeout.
    """

    target: Target
    groups: tuple[Group, ...]
    seed: int = field(default_factory=fresh_seed)
    duration_ns: int | None = None
    key: Part = DEFAULT_KEY
    timeout_ns: int = 10 * SECOND_NS
    max_rate: float | None = None
    max_requests: int | None = None
    rejected_statuses: frozenset[int] = REJECTED_STATUSES
    namespace: str = field(default_factory=lambda: secrets.token_hex(8))
    tokens: Tokens | None = None
    policy: Policy | None = None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    connect_timeout_ns: int | None = None
    max_connections: int | None = None
    ca_file: str | None = None
    insecure: bool = False
    lag_tolerance_ns: int = 10_000_000
    start_ns: int | None = None
    shard: Shard = WHOLE
    written: tuple[bytes, ...] = field(default=(), init=False, repr=False)
    """The keys of `tokens` as they stand in a request."""

    def __post_init__(self) -> None:
        if not self.groups:
            raise InvalidArgument("a scenario without clients", "give at least one group")
        CLIENTS.hold("connections in all", self.connection_count)
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in _KINDS and (value is not None or each.default is not None):
                _KINDS[each.name].hold(each.name.removesuffix("_ns"), value)
        for status in self.rejected_statuses:
            STATUSES.item.hold("rejected status", status)
        if not _NAMESPACE.fullmatch(self.namespace):
            raise InvalidArgument(
                f"namespace {self.namespace!r}", "1 to 64 letters, digits, '.', '_' or '-'"
            )
        check_place(self.target, self.key, self.body)
        written = () if self.tokens is None else tuple(self.tokens.written(self.key))
        object.__setattr__(self, "written", written)
        check_headers(self.headers, self.key)
        check_trust(self.target, ca_file=self.ca_file, insecure=self.insecure)
        for group in self.groups:
            if isinstance(group.behaviour, Drip) and group.behaviour.over_ns >= self.timeout_ns:
                over, most = map(format_duration, (group.behaviour.over_ns, self.timeout_ns))
                raise InvalidArgument(
                    f"drip sends its header over {over}, with a timeout of {most}: "
                    "no request would be whole",
                    "a longer timeout, or a shorter over",
                )

    @property
    def client_count(self) -> int:
        """Number of clients in all groups."""
        return sum(group.clients for group in self.groups)

    @property
    def connection_count(self) -> int:
        """Number of connections that they own in all."""
        return sum(group.clients * group.connections for group in self.groups)

    def shares(self) -> list[tuple[Group, int, int]]:
        """Each group, with the number of its first client in the shard, and how many it has there."""
        ends = itertools.accumulate(group.clients for group in self.groups)
        return [
            (group, *self.shard.share(end - group.clients, group.clients))
            for group, end in zip(self.groups, ends, strict=True)
        ]

    def clients(self) -> Iterator[Client]:
        """Every client of the shard, group by group."""
        for group, first, count in self.shares():
            for place in range(count):
                yield Client(self, first + place * self.shard.of, group)

    def template(self) -> RequestTemplate:
        """Every request as bytes, around the place of its identity."""
        return RequestTemplate.of(
            self.target,
            self.key,
            method=self.method,
            headers=self.headers,
            body=self.body,
            longest=max(map(len, self.written), default=None),
        )

    @property
    def sent_keys(self) -> tuple[tuple[bytes, ...], int, int, bytes] | None:
        """The keys of `tokens` as the native engine takes them."""
        if self.tokens is None:
            return None
        return self.written, self.tokens.own, self.client_count, self.tokens.salt

    def _own_names(self) -> list[str]:
        """The names that are recorded of the clients that have a key alone."""
        if self.tokens is None:
            return []
        own = min(self.tokens.own, self.client_count)
        return [name.decode() for name in self.tokens.names(self.written[:own])]

    def as_dict(self) -> dict[str, Any]:
        """Plain data that describes the run, for metadata and reports.

        A body is told by its length, and headers as `shown_header` has them:
        logs are handed around.
        """
        as_they_are = (*_TOLD, "max_requests", "namespace", "method", "ca_file", "insecure")
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
            "key": str(self.key),
            **({} if self.tokens is None else {"own_keys": self._own_names()}),
            "rejected_statuses": sorted(self.rejected_statuses),
            "policy": None if self.policy is None else str(self.policy),
            "headers": [[name, shown_header(name, value)] for name, value in self.headers],
            "body_bytes": len(self.body),
            "lag_tolerance_ns": self.lag_tolerance_ns,
            **{name: getattr(self, name) for name in as_they_are},
        }
