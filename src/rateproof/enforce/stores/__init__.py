"""Stores of admissions, so that every worker decides on the same ones.

A *store* is a place: `memory://`, `shm://NAME`, `redis://…`. A *ledger* is what
a store keeps of one policy: one table for each quota, decided all or nothing.
"""

from rateproof.core import native, required_native
from rateproof.enforce.stores.location import parse_url, remove, shown_url
from rateproof.enforce.stores.protocols import Ledger, Store, Tables
from rateproof.errors import InvalidArgument
from rateproof.policy import Policy, Quota

__all__ = [
    "DEFAULT_CAPACITY",
    "MAX_CAPACITY",
    "Ledger",
    "Store",
    "Tables",
    "check_url",
    "distinct_quotas",
    "open_store",
    "remove",
    "shown_url",
]

NETWORK_SCHEMES = ("redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "unix://")
DEFAULT_CAPACITY = 65_536
MAX_CAPACITY = 2**26


def check_url(url: str) -> None:
    """Accept the URL of a store that `open_store` knows; it need not be there.

    Raises:
        InvalidArgument: there is no such store.
    """
    if url.startswith(NETWORK_SCHEMES):
        from rateproof.enforce.stores.redis.address import parse_address

        parse_address(url)
    else:
        parse_url(url)


def open_store(url: str, capacity: int = DEFAULT_CAPACITY, *, local: bool = False) -> Store:
    """Open a store, creating it when there is none.

    Args:
        url: `memory://` for this process (with the native core also for the children that it
            forks), or `shm://NAME` for every process of this user on this machine, which
            needs the native core.
        capacity: how many keys can be live at once in each table, 1 to 2**26.
        local: decide by tables of this process while a store behind a network
            cannot be reached: for limiters with `on_error="local"`, and only these.

    Raises:
        InvalidArgument: one of these is not so.
        StoreError: it cannot be opened.
    """
    if not isinstance(url, str):
        raise TypeError(f"store is {type(url).__name__}, not str")
    if not isinstance(capacity, int) or isinstance(capacity, bool):
        raise TypeError(f"capacity is {type(capacity).__name__}, not int")
    if not 1 <= capacity <= MAX_CAPACITY:
        raise InvalidArgument(
            f"capacity {capacity} is out of range", f"a capacity is 1 to {MAX_CAPACITY}"
        )
    if not url.startswith(NETWORK_SCHEMES):
        return _tables(parse_url(url), capacity)
    from rateproof.enforce.stores.redis.store import RedisStore

    return RedisStore(url, _tables(None, capacity if local else 1, anew=True), local=local)


def _tables(name: str | None, capacity: int, *, anew: bool = False) -> Store:
    module = native() if name is None else required_native(f"store 'shm://{name}'")
    if module is None:
        from rateproof.enforce.stores.plain import PlainStore

        return PlainStore(capacity, anew=anew)
    from rateproof.enforce.stores.shared import NativeStore

    return NativeStore(module, name, capacity)


def distinct_quotas(policy: Policy) -> list[Quota]:
    """The quotas of the policy without repetition, in the order in which tables are taken.

    A quota that is written twice has one table: twice charged, it would admit half.
    """
    return sorted(
        set(policy.quotas),
        key=lambda quota: (
            quota.window_ns,
            quota.limit,
            quota.algorithm,
            quota.burst,
            quota.parameter,
        ),
    )
