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

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

try:
    from limits.aio import storage as aio
    from limits.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage
except ModuleNotFoundError as error:
    raise ImportError("rateproof.limits needs the library limits (pip install limits)") from error

from rateproof.enforce.limits_storage import LimitsTables
from rateproof.enforce.stores import DEFAULT_CAPACITY
from rateproof.errors import StoreError

__all__ = ["AsyncRateproofStorage", "RateproofStorage"]

P = ParamSpec("P")
T = TypeVar("T")


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
        *,
        wrap_exceptions: bool = False,
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        Storage.__init__(self, uri, wrap_exceptions)
        LimitsTables.__init__(self, uri.removeprefix("rateproof+"), capacity)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Exceptions that `wrap_exceptions` wraps."""
        return StoreError


def _awaited(
    method: Callable[Concatenate[LimitsTables, P], T],
) -> Callable[Concatenate["AsyncRateproofStorage", P], Coroutine[Any, Any, T]]:
    @wraps(method)
    async def call(self: "AsyncRateproofStorage", /, *args: P.args, **named: P.kwargs) -> T:
        return method(self.tables, *args, **named)

    return call


class AsyncRateproofStorage(aio.Storage, aio.MovingWindowSupport, aio.SlidingWindowCounterSupport):
    """`RateproofStorage` for coroutines. It waits for nothing: a decision takes microseconds."""

    STORAGE_SCHEME = ["async+rateproof+memory", "async+rateproof+shm"]  # noqa: RUF012

    def __init__(
        self,
        uri: str,
        *,
        wrap_exceptions: bool = False,
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        super().__init__(uri, wrap_exceptions)
        self.tables = LimitsTables(uri.removeprefix("async+rateproof+"), capacity)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Exceptions that `wrap_exceptions` wraps."""
        return StoreError

    incr = _awaited(LimitsTables.incr)
    get = _awaited(LimitsTables.get)
    get_expiry = _awaited(LimitsTables.get_expiry)
    acquire_entry = _awaited(LimitsTables.acquire_entry)
    get_moving_window = _awaited(LimitsTables.get_moving_window)
    acquire_sliding_window_entry = _awaited(LimitsTables.acquire_sliding_window_entry)
    get_sliding_window = _awaited(LimitsTables.get_sliding_window)
    clear = _awaited(LimitsTables.clear)
    clear_sliding_window = _awaited(LimitsTables.clear_sliding_window)
    check = _awaited(LimitsTables.check)
    reset = _awaited(LimitsTables.reset)
