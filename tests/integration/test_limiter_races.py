"""Of two hits at once that do not both fit exactly one is admitted, always."""

import sys
import threading
from collections.abc import Iterator
from itertools import product
from uuid import uuid4

import pytest

from rateproof.enforce.limiter import Limiter
from rateproof.enforce.stores import remove

ROUNDS = 2000
POLICIES = [
    "sliding-log 5 per day",
    "token-bucket 5 per day",
    "fixed-window 5 per day",
    "first-hit-window 5 per day",
    "sliding-counter 5 per day",
    "9 per hour; token-bucket 5 per day; fixed-window 7 per 20m; sliding-counter 8 per 9h",
]
EVERYWHERE = pytest.mark.parametrize(("core", "policy"), [*product(["python", "native"], POLICIES)])

# In each round of its own key, after both have come to it, a hit of cost 3 where 4 or 5 are left.
RACE = """
import mmap, os, struct, sys, time
core, store, policy, rounds, file, me = sys.argv[1:]
os.environ["RATEPROOF_CORE"] = core
from rateproof import Limiter
limiter = Limiter(policy, store=store, capacity=4096)
with open(file, "r+b") as shared:
    places = memoryview(mmap.mmap(shared.fileno(), 16)).cast("Q")
me = int(me)
won = []
for round in range(1, int(rounds) + 1):
    if me == 0 and round % 2:
        limiter.hit(str(round))
    places[me] = round
    while places[1 - me] < round:
        time.sleep(0)
    won.append(int(limiter.hit(str(round), cost=3).admitted))
print(*won)
"""


@EVERYWHERE
def test_of_two_processes_one_wins_every_round(core, policy, spawn, tmp_path):
    meeting = tmp_path / "meeting"
    meeting.write_bytes(bytes(16))
    name = f"test-{uuid4().hex}"
    try:
        pair = [
            spawn("-c", RACE, core, f"shm://{name}", policy, ROUNDS, meeting, me) for me in range(2)
        ]
        won = [[*map(int, process.communicate(timeout=100)[0].split())] for process in pair]
    finally:
        remove(name)
    assert [one + other for one, other in zip(*won, strict=True)] == [1] * ROUNDS
    assert all(map(sum, won)), "one was always first: they never met"


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns all the time, not each 5 ms."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@EVERYWHERE
@pytest.mark.usefixtures("restless")
def test_of_two_threads_one_wins_every_round(core, policy, monkeypatch):
    monkeypatch.setenv("RATEPROOF_CORE", core)
    meeting = threading.Barrier(2)
    won = [[], []]
    with Limiter(policy, capacity=4096) as limiter:

        def race(me):
            for number in range(ROUNDS):
                if me == 0 and number % 2:
                    limiter.hit(str(number))
                meeting.wait(60)
                won[me].append(limiter.hit(str(number), cost=3).admitted)

        threads = [threading.Thread(target=race, args=(me,)) for me in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [one + other for one, other in zip(*won, strict=True)] == [1] * ROUNDS
