"""Redis and Valkey: every machine decides on the same admissions, in one round trip.

One script decides, by the server's clock. `docs/enforce/redis.md` says what
stays exact when.
"""

from typing import TYPE_CHECKING

from rateproof.enforce.stores.redis.address import parse_address
from rateproof.enforce.stores.redis.service import Service
from rateproof.enforce.stores.redis.store import RedisStore
from rateproof.errors import InvalidArgument

if TYPE_CHECKING:
    from rateproof.enforce.stores import Store

__all__ = ["open_redis"]


def open_redis(url: str, beside: "Store", *, local: bool) -> RedisStore:
    """Open a store on a server or a Cluster; the first decision connects.

    So a service starts while the server is down, and decides by `on_error`.

    Args:
        url: see `address`.
        beside: tables of this process, closed with the store.
        local: decide by these while the server does not answer.

    Raises:
        InvalidArgument: the URL or one of its options cannot be, or redis-py is missing.
    """
    address = parse_address(url)
    try:
        import redis
        import redis.asyncio
        import redis.asyncio.cluster
    except ModuleNotFoundError:
        raise InvalidArgument(
            f"store {address.shown!r} needs the package redis", "pip install redis"
        ) from None
    try:
        service = Service(redis, address)
    except (TypeError, ValueError, redis.RedisError) as error:
        raise InvalidArgument(f"store {address.shown!r}: {error}", "options of redis-py") from None
    return RedisStore(service, beside, local=local)
