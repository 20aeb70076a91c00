"""What the server serves, where, and to whom how often: values that are known to be possible."""

import os
from dataclasses import dataclass, fields, replace
from typing import Literal

from rateproof.core import INSTALL, active_core
from rateproof.enforce.http import ClientAddress, checked_status
from rateproof.enforce.stores import DEFAULT_CAPACITY, MAX_CAPACITY, NETWORK_SCHEMES, shown_url
from rateproof.enforce.stores.location import parse_url
from rateproof.enforce.stores.redis.address import parse_address
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy

__all__ = ["ServerSettings"]

DEFAULT_POLICY = Policy.parse("5 per 5s")
DEFAULT_KEY = KeySpec.parse("query:clientId|header:X-Client-Id|ip")

_MAX_WORKERS = 256
_LASTING = ("host", "port", "workers", "store", "capacity", "on_error")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All that can be chosen of a server.

    Args:
        policy: what each client may do.
        key: where a request says whose it is.
        host: a name or address of this machine.
        port: 0 to 65535; 0 picks a free one.
        workers: processes, 1 to 256; None for one a core, or for one only if
            the store cannot be shared.
        store: where admissions are kept; None for `shm://server-PORT`, which
            all workers share. It outlives the server, so that a restart forgives
            nothing, unless the port was picked. Without the native core it is
            `memory://`.
        status: the code of a denial, 400 to 599.
        on_full: what to decide for a client that the store has no room for.
        on_error: what to decide while the store cannot be reached.
        capacity: how many clients the store can hold at once.
        shadow: decide and count, but let everything pass.
        exempt: paths that are never limited, as `/healthz` never is.
        proxies: hops whose word on a client's address is taken: how many, or
            the networks they are in (see `ClientAddress`).
        proxy_header: the field that they write it to.
        ipv6_prefix: how many bits of a client's IPv6 address count, 1 to 128.
        x_ratelimit: answer with X-RateLimit-* as well.
        metrics: who may read `/metrics`: programs on this machine, any, none.
        access_log: a line on stderr for each request.
        json: say what is served as one JSON object on stdout, too.
        with_parent: stop when the process that started this one is gone.

    Raises:
        InvalidArgument: a value out of these bounds, or several workers that
            would each count in a memory of their own.
    """

    policy: Policy = DEFAULT_POLICY
    key: KeySpec = DEFAULT_KEY
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int | None = None
    store: str | None = None
    status: int = 503
    on_full: Literal["deny", "admit"] = "deny"
    on_error: Literal["deny", "admit", "local"] = "deny"
    capacity: int = DEFAULT_CAPACITY
    shadow: bool = False
    exempt: tuple[str, ...] = ()
    proxies: int | tuple[str, ...] = 0
    proxy_header: str = "X-Forwarded-For"
    ipv6_prefix: int = 128
    x_ratelimit: bool = False
    metrics: Literal["loopback", "any", "off"] = "loopback"
    access_log: bool = False
    json: bool = False
    with_parent: bool = False

    def __post_init__(self) -> None:
        checked_status(self.status)
        if not self.host:
            raise InvalidArgument("an empty host", "a name or address of this machine")
        _check_within("port", self.port, 0, 65_535)
        _check_within("capacity", self.capacity, 1, MAX_CAPACITY)
        if self.workers is not None:
            _check_within("workers", self.workers, 1, _MAX_WORKERS)
        _check_one_of("on_full", self.on_full, ("deny", "admit"))
        _check_one_of("on_error", self.on_error, ("deny", "admit", "local"))
        _check_one_of("metrics", self.metrics, ("loopback", "any", "off"))
        if self.store is not None:
            read = parse_address if self.store.startswith(NETWORK_SCHEMES) else parse_url
            read(self.store)
        _ = self.address
        for path in self.exempt:
            if not path.startswith("/"):
                raise InvalidArgument(f"exempt path {path!r}", "a path starts with /")
        if (self.workers or 1) > 1 and self._in_memory:
            hint = "shm://NAME is shared by all processes of this machine"
            if active_core() == "python":
                hint += f", with the native core: {INSTALL}; or --store redis://HOST"
            raise InvalidArgument(
                f"{self.workers} workers with {self.location}, which they cannot share", hint
            )

    @property
    def _in_memory(self) -> bool:
        return self.location.startswith("memory:")

    @property
    def worker_count(self) -> int:
        """How many processes serve, where granian is installed."""
        if self.workers is not None:
            return self.workers
        return 1 if self._in_memory else min(os.cpu_count() or 1, _MAX_WORKERS)

    @property
    def own_store(self) -> str:
        """The store that belongs to the port."""
        return f"shm://server-{self.port}"

    @property
    def location(self) -> str:
        """The store in use."""
        if self.store is not None:
            return self.store
        return self.own_store if active_core() == "native" else "memory://"

    @property
    def shown_location(self) -> str:
        """The store in use without credentials, for people."""
        return shown_url(self.location)

    @property
    def address(self) -> ClientAddress:
        """How the address of a client is found."""
        return ClientAddress(self.proxies, self.proxy_header, self.ipv6_prefix)

    @property
    def counters(self) -> str | None:
        """Where decisions are counted if not in the store: a network's keeps no counters.

        Without the native core each worker counts its own.
        """
        shared = active_core() == "native" and self.location.startswith(NETWORK_SCHEMES)
        return self.own_store if shared else None

    def followed_by(self, other: "ServerSettings") -> tuple["ServerSettings", tuple[str, ...]]:
        """These settings with what a running server can take over from `other`.

        Also the names of those that differ and cannot change before a restart.
        """
        lasting = {name: getattr(self, name) for name in _LASTING}
        ignored = tuple(name for name in _LASTING if getattr(other, name) != lasting[name])
        kept = lasting | {"json": self.json, "with_parent": self.with_parent}
        return replace(other, **kept), ignored

    def differences(self, other: "ServerSettings") -> tuple[str, ...]:
        """The names of the settings that are not equal."""
        return tuple(
            field.name
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        )


def _check_within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidArgument(f"{name} {value}", f"a whole number from {least} to {most}")


def _check_one_of(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise InvalidArgument(f"{name} {value!r}", f"one of {', '.join(accepted)}")
