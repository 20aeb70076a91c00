"""Whatever is written into a table's file: every call decides, or raises a `StoreError`."""

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rateproof import Limiter
from rateproof._native import Counters, Table, hit_all
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.counters import Count
from rateproof.enforce.stores.location import directory_of
from rateproof.errors import StoreError
from rateproof.policy import Quota
from tests.native_table import hit, peek

SECOND_NS = 10**9
HEADER = 4096
KEYS = [b"key-%d" % n for n in range(12)]


def opened(path: Path, algorithm: str) -> Table:
    quota = Quota(5, SECOND_NS, algorithm)
    return Table(
        str(path), algorithm, quota.limit, quota.window_ns, quota.burst, 8, quota.parameter
    )


def calls(tables: list[Table], chance: random.Random) -> list[Callable[[], object]]:
    key, cost = chance.choice(KEYS), chance.randint(1, 5)
    now_ns = chance.choice([None, chance.randrange(2**60)])
    table = tables[0]
    return [
        lambda: hit(table, key, cost, now_ns),
        lambda: peek(table, key, cost, now_ns),
        lambda: hit_all(tables, key, cost, now_ns),
        lambda: hit_all(tables, key, cost, now_ns, charge=False),
        lambda: table.census(now_ns),
        lambda: table.reset(key),
        table.clear,
    ]


def scribble(path: Path, chance: random.Random, first: int, last: int) -> None:
    """Random bytes over a random stretch between the two offsets."""
    at = chance.randrange(first, last)
    length = min(chance.choice([1, 8, 64, 5_000]), last - at)
    content = chance.choice([chance.randbytes(length), b"\xff" * length, bytes(length)])
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.mark.parametrize("algorithm", RULES)
def test_random_contents_of_an_open_table_raise_nothing_but_a_store_error(tmp_path, algorithm):
    chance = random.Random(algorithm)
    path = tmp_path / "table"
    tables = [opened(path, algorithm), opened(tmp_path / "other", algorithm)]
    for key in KEYS:
        hit(tables[0], key, 1, None)
    size = path.stat().st_size
    # The header, the words that name owners, and the states.
    regions = [(0, HEADER), (HEADER, HEADER + 16 * 8), (HEADER + 16 * 8, size)]
    for _ in range(400):
        scribble(path, chance, *chance.choice(regions))
        for call in calls(tables, chance):
            with contextlib.suppress(StoreError):
                call()


@pytest.mark.parametrize("algorithm", RULES)
def test_random_contents_of_a_closed_table_raise_nothing_but_a_store_error(tmp_path, algorithm):
    chance = random.Random(algorithm)
    path = tmp_path / "table"
    opened(path, algorithm)
    size = path.stat().st_size
    for _ in range(200):
        scribble(path, chance, 0, chance.choice([128, size]))
        with contextlib.suppress(StoreError):
            tables = [opened(path, algorithm), opened(tmp_path / "other", algorithm)]
            for call in calls(tables, chance):
                with contextlib.suppress(StoreError):
                    call()
        if chance.random() < 0.2:
            path.unlink()
            opened(path, algorithm)


def test_a_damaged_log_is_named(tmp_path):
    path = tmp_path / "table"
    table = opened(path, "sliding-log")
    assert hit(table, b"key", 1, None)[0]
    with path.open("r+b") as file:
        file.seek(HEADER + 16 * 8)
        file.write(b"\xff" * (path.stat().st_size - file.tell()))
    for ask in (hit, peek):
        with pytest.raises(StoreError, match=f"{path} is damaged"):
            ask(table, b"key", 1, None)


def test_random_contents_of_counters_raise_nothing_but_a_store_error(tmp_path):
    chance = random.Random(1)
    path = tmp_path / "counters"
    counters = Counters(str(path))
    for _ in range(100):
        scribble(path, chance, 0, path.stat().st_size)
        counters.add(1)
        assert len(counters.totals()) == len(Count)
        with contextlib.suppress(StoreError):
            Counters(str(path)).add(1)


def test_a_lock_that_nobody_alive_holds_is_in_nobody_s_way(tmp_path):
    """Whatever number is written there."""
    path = tmp_path / "table"
    table = opened(path, "sliding-log")
    chance = random.Random(1)
    for n in range(100):
        with path.open("r+b") as file:
            os.pwrite(file.fileno(), chance.randbytes(8), 128)
        assert hit(table, KEYS[n % 12], 2, n * SECOND_NS)[:2] == (True, False)


def test_a_limiter_on_a_damaged_store_raises_a_store_error(store):
    with Limiter("5 per 1h", store=store, on_error="admit") as limiter:
        limiter.hit("key")
        path = next(directory_of(store.removeprefix("shm://")).glob("sliding-log-*"))
        size = path.stat().st_size
        states = HEADER + (size - HEADER) // 9  # a word of 8 bytes and a state of 64 each
        with path.open("r+b") as file:
            file.seek(states)
            file.write(b"\xff" * (size - states))
        with pytest.raises(StoreError, match="is damaged"):
            limiter.hit("key")
