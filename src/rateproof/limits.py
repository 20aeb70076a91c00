"""Storages for the library `limits`: exact limits for Flask-Limiter and slowapi, in all workers.

Importing this module registers the schemes `rateproof+memory` and `rateproof+shm`,
and `async+` before either. Then one string does it:

    import rateproof.limits
    Limiter(get_remote_address, app=app, storage_uri="rateproof+shm://my-api",
            strategy="moving-window")

`rateproof+memory://` is this process, `rateproof+shm://NAME` every process of this
user on this machine. `storage_options={"capacity": …}` says how many keys can be
live at once in each table, 65,536 if nothing is said: see `docs/enforce/limits.md`.
"""

try:
    from limits.aio import storage as aio
    from limits.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage
except ModuleNotFoundError as error:
    raise ImportError("rateproof.limits needs the library limits (pip install limits)") from error

from rateproof.enforce.limits_storage import LimitsTables
from rateproof.enforce.stores import DEFAULT_CAPACITY
from rateproof.errors import StoreError

__all__ = ["AsyncRateproofStorage", "RateproofStorage"]


class RateproofStorage(LimitsTables, Storage, MovingWindowSupport, SlidingWindowCounterSupport):
    """A storage of `limits` on the tables of rateproof; see `LimitsTables` for its methods.

    Args:
        uri: `rateproof+memory://` or `rateproof+shm://NAME`.
        wrap_exceptions: raise `limits.errors.StorageError` for a `StoreError`.
        capacity: how many keys can be live at once in each table.

    Raises:
        InvalidArgument: the name or the capacity cannot be.
    """

    STORAGE_SCHEME = ["rateproof+memory", "rateproof+shm"]  # noqa: RUF012 - declared there

    def __init__(
        self,
        uri: str,
        wrap_exceptions: bool = False,  # noqa: FBT001, FBT002 - as all storages of `limits`
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        Storage.__init__(self, uri, wrap_exceptions)
        LimitsTables.__init__(self, uri.removeprefix("rateproof+"), capacity)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What `wrap_exceptions` wraps."""
        return StoreError


class AsyncRateproofStorage(aio.Storage, aio.MovingWindowSupport, aio.SlidingWindowCounterSupport):
    """`RateproofStorage` for coroutines. It waits for nothing: a decision takes microseconds."""

    STORAGE_SCHEME = ["async+rateproof+memory", "async+rateproof+shm"]  # noqa: RUF012

    def __init__(
        self,
        uri: str,
        wrap_exceptions: bool = False,  # noqa: FBT001, FBT002 - as all storages of `limits`
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        super().__init__(uri, wrap_exceptions)
        self._tables = LimitsTables(uri.removeprefix("async+rateproof+"), capacity)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What `wrap_exceptions` wraps."""
        return StoreError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """See `LimitsTables.incr`."""
        return self._tables.incr(key, expiry, amount)

    async def get(self, key: str) -> int:
        """See `LimitsTables.get`."""
        return self._tables.get(key)

    async def get_expiry(self, key: str) -> float:
        """See `LimitsTables.get_expiry`."""
        return self._tables.get_expiry(key)

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """See `LimitsTables.acquire_entry`."""
        return self._tables.acquire_entry(key, limit, expiry, amount)

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """See `LimitsTables.get_moving_window`."""
        return self._tables.get_moving_window(key, limit, expiry)

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """See `LimitsTables.acquire_sliding_window_entry`."""
        return self._tables.acquire_sliding_window_entry(key, limit, expiry, amount)

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """See `LimitsTables.get_sliding_window`."""
        return self._tables.get_sliding_window(key, expiry)

    async def clear(self, key: str) -> None:
        """See `LimitsTables.clear`."""
        self._tables.clear(key)

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """See `LimitsTables.clear_sliding_window`."""
        self._tables.clear_sliding_window(key, expiry)

    async def check(self) -> bool:
        """See `LimitsTables.check`."""
        return self._tables.check()

    async def reset(self) -> int:
        """See `LimitsTables.reset`."""
        return self._tables.reset()
