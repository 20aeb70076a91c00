"""Settings of the server: values that are known to be possible."""

import os
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from rateproof.core import INSTALL, active_core
from rateproof.enforce.http import ClientAddress, check_flood_exempt
from rateproof.enforce.stores import NETWORK_SCHEMES, check_url, shown_url
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.options.declared import VERBS
from rateproof.policy import Policy

_MAX_WORKERS = 256
_LASTING = ("host", "port", "workers", "store", "capacity", "on_error")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The options of `rateproof serve`, whose declaration says what each means.

    Without `workers` there is one a core, or one alone if the store cannot be shared. Without
    `store` it is `shm://server-PORT`, which outlives the server, so that a restart forgives
    nothing, unless the port was picked; without the native core it is `memory://`.

    Raises:
        InvalidArgument: a host, a store, proxies or a path that cannot be, or several
            workers that would each count in a memory of their own.
    """

    policy: Policy
    key: KeySpec
    host: str
    port: int
    workers: int | None
    store: str | None
    status: int
    on_full: Literal["deny", "admit"]
    on_error: Literal["deny", "admit", "local"]
    capacity: int
    flood_exempt: tuple[str, ...]
    shadow: bool
    exempt: tuple[str, ...]
    proxies: int | tuple[str, ...]
    proxy_header: str
    ipv6_prefix: int
    x_ratelimit: bool
    metrics: Literal["loopback", "any", "off"]
    access_log: bool
    json: bool
    with_parent: bool

    @classmethod
    def told(cls, **values: Any) -> Self:
        """The defaults of `rateproof serve`, but for what is told otherwise."""
        found = VERBS["serve"].defaults() | values
        return cls(**{each.name: found[each.name] for each in fields(cls)})

    @classmethod
    def check(cls, value: dict[str, Any]) -> None:
        """Accept a value by itself: several workers too, for the store is told elsewhere."""
        cls.told(**{"store": "redis://host"} | value)

    def __post_init__(self) -> None:
        if not self.host:
            raise InvalidArgument("an empty host", "a name or address of this machine")
        if self.store is not None:
            check_url(self.store)
        _ = self.address
        check_flood_exempt(self.flood_exempt)
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
        """Number of processes that serve, where granian is installed."""
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
        """The way to the address of a client."""
        return ClientAddress(self.proxies, self.proxy_header, self.ipv6_prefix)

    @property
    def counters(self) -> str | None:
        """The place of the counters if not the store's own: a network's keeps none.

        Without the native core each worker counts its own.
        """
        shared = active_core() == "native" and self.location.startswith(NETWORK_SCHEMES)
        return self.own_store if shared else None

    def followed_by(self, other: "ServerSettings") -> tuple["ServerSettings", tuple[str, ...]]:
        """These settings with what a running server can take over from `other`.

        Also the names of those that differ and cannot change before a restart.
        """
        changed = self.differences(other)
        kept = {name: getattr(self, name) for name in (*_LASTING, "json", "with_parent")}
        return replace(other, **kept), tuple(name for name in _LASTING if name in changed)

    def differences(self, other: "ServerSettings") -> tuple[str, ...]:
        """The names of the settings that are not equal."""
        names = (each.name for each in fields(self))
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))
