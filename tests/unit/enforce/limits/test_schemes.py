"""The storages as `limits` opens and uses them."""

import asyncio
import time

import limits
import pytest
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from limits.strategies import STRATEGIES

import rateproof.limits
from rateproof import InvalidArgument, StoreError


def storage(url, prefix="", **options):
    return storage_from_string(f"{prefix}rateproof+{url}", **options)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_of_limits_admits_its_limit_and_says_what_remains(url, strategy):
    limiter = STRATEGIES[strategy](storage(url))
    item = limits.parse("5 per hour")
    assert [limiter.hit(item, "a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert [limiter.test(item, key) for key in "ab"] == [False, True]
    remaining = [limiter.get_window_stats(item, key).remaining for key in "ab"]
    assert remaining == [0, 5]
    assert 0 < limiter.get_window_stats(item, "a").reset_time - time.time() <= 3604
    limiter.clear(item, "a")
    assert limiter.hit(item, "a", cost=5)


def test_looking_ahead_does_not_move_a_store_that_keeps_its_own_time(url):
    own = storage(url)
    for used in range(5):
        assert own.get_sliding_window("a", 86_400)[:3] == (0, 0.0, used)
        assert own.acquire_sliding_window_entry("a", 5, 86_400)
    assert not own.acquire_sliding_window_entry("a", 5, 86_400)


def test_the_schemes_make_our_storages(url):
    assert type(storage(url)) is rateproof.limits.RateproofStorage
    assert type(storage(url, prefix="async+")) is rateproof.limits.AsyncRateproofStorage
    with pytest.raises(ConfigurationError):
        storage_from_string("rateproof+file://a")


def test_coroutines_are_told_the_same(url):
    async def asked():
        own = storage(url, prefix="async+")
        return (
            [await own.incr("a", 3600), await own.incr("a", 3600, 2), await own.get("a")],
            [await own.acquire_entry("a", 2, 3600) for _ in range(3)],
            [await own.acquire_sliding_window_entry("a", 2, 3600) for _ in range(3)],
            round(await own.get_expiry("a") - time.time(), -1),
            (await own.get_moving_window("a", 2, 3600))[1],
            (await own.get_sliding_window("a", 3600))[2],
            [await own.check(), await own.reset(), await own.get("a")],
            [await own.incr("a", 3600), await own.clear("a"), await own.get("a")],
            [
                await own.acquire_sliding_window_entry("a", 2, 3600),
                await own.clear_sliding_window("a", 3600),
                (await own.get_sliding_window("a", 3600))[2],
            ],
        )

    assert asyncio.run(asked()) == (
        [1, 3, 3],
        [True, True, False],
        [True, True, False],
        3600,
        2,
        2,
        [True, 3, 0],
        [1, None, 0],
        [True, None, 0],
    )


def test_a_store_that_fails_is_the_error_that_limits_expects(url):
    plain, wrapping = storage(url), storage(url, wrap_exceptions=True)
    assert plain.check()
    for own in (plain, wrapping):
        own._store.close()
    assert not storage_is_healthy(plain)
    with pytest.raises(StoreError, match="closed"):
        plain.incr("a", 10)
    with pytest.raises(StorageError) as caught:
        wrapping.incr("a", 10)
    assert isinstance(caught.value.storage_error, StoreError)


def storage_is_healthy(own):
    own._store._counters = None
    return own.check()


@pytest.mark.parametrize(
    ("uri", "options", "error"),
    [
        ("rateproof+shm://a/b", {}, InvalidArgument),
        ("rateproof+shm://", {}, InvalidArgument),
        ("rateproof+memory://a", {}, InvalidArgument),
        ("rateproof+memory://", {"capacity": 0}, InvalidArgument),
        ("rateproof+memory://", {"capacity": "9"}, TypeError),
        ("rateproof+memory://", {"capacty": 9}, TypeError),
    ],
)
def test_what_cannot_be_is_refused_when_the_application_starts(uri, options, error):
    for each in (uri, f"async+{uri}"):
        with pytest.raises(error):
            storage_from_string(each, **options)
