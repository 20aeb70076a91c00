"""Shrinking against simulated limiters: it finds the shortest schedules that are known."""

import random
from collections import OrderedDict, defaultdict, deque

import pytest

from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.shrink.shrink import Tries, shrink
from rateproof.simulate.behaviours import Schedule

SECOND = 1_000_000_000
N, W = 5, 5 * SECOND
LATENCY = 1_000_000


class FirstHit:
    """A window opened by its first request."""

    def __init__(self, _rng):
        self.opened, self.count = None, 0

    def hit(self, at, _key, _lane):
        if self.opened is None or at >= self.opened + W:
            self.opened, self.count = at, 0
        self.count += 1
        return self.count <= N


class Epoch:
    """A window counted from the epoch."""

    def __init__(self, _rng):
        self.counts = defaultdict(int)

    def hit(self, at, _key, _lane):
        self.counts[at // W] += 1
        return self.counts[at // W] <= N


class Log:
    """The exact one."""

    def __init__(self, _rng):
        self.times = deque()

    def hit(self, at, _key, _lane):
        while self.times and self.times[0] <= at - W:
            self.times.popleft()
        if len(self.times) == N:
            return False
        self.times.append(at)
        return True


class Shards:
    """Four exact ones; each connection is served by one of them."""

    def __init__(self, rng):
        self.rng, self.shards, self.lanes = rng, [Log(rng) for _ in range(4)], {}

    def hit(self, at, key, lane):
        shard = self.lanes.setdefault(lane, self.rng.randrange(4))
        return self.shards[shard].hit(at, key, lane)


class Bucket:
    """A bucket of N that is refilled in W."""

    def __init__(self, _rng):
        self.level, self.at = N, 0

    def hit(self, at, _key, _lane):
        self.level = min(N, self.level + (at - self.at) * N / W)
        self.at = at
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Forgetful:
    """Exact, for the thousand clients it saw last."""

    def __init__(self, _rng):
        self.known = OrderedDict()

    def hit(self, at, key, lane):
        log = self.known.pop(key, None) or Log(None)
        self.known[key] = log
        if len(self.known) > 1_000:
            self.known.popitem(last=False)
        return log.hit(at, key, lane)


def violated(kind, recipe, rng):
    """Whether the recipe makes one fresh client of such a limiter get more than N in W."""
    limiter = kind(rng)
    start = rng.randrange(W) if recipe.phase is None else recipe.phase.at_ns
    sent = [
        (start + at, b"client", number % recipe.connections)
        for at, count in recipe.schedule.steps
        for number in range(count)
    ]
    for at, count in recipe.others.steps if recipe.others else ():
        sent += [(start + at + 1, b"%d" % number, 0) for number in range(count)]
    decided = sorted((at + rng.randrange(LATENCY), key, lane) for at, key, lane in sent)
    admitted = [at for at, key, lane in decided if limiter.hit(at, key, lane) and key == b"client"]
    return any(b - a < W - 2 * LATENCY for a, b in zip(admitted, admitted[N:], strict=False))


class Simulated:
    """An oracle that asks simulated limiters, and counts what was asked."""

    def __init__(self, kind, seed):
        self.kind, self.rng, self.rounds, self.asked = kind, random.Random(seed), 0, []

    def __call__(self, candidates, tries):
        self.rounds += 1
        self.asked += candidates
        assert len({candidate.others for candidate in candidates}) == 1
        return [
            Tries(sum(violated(self.kind, each, self.rng) for _ in range(tries)), tries)
            for each in candidates
        ]


def seconds(*steps):
    return Schedule(tuple((round(at * SECOND), count) for at, count in steps))


def reduced(kind, start, seed, **options):
    oracle = Simulated(kind, seed)
    return shrink(start, oracle, window_ns=W, least=N + 1, **options), oracle


def requests(shrunk):
    return [count for _, count in shrunk.recipe.schedule.steps]


SEEDS = range(8)
NOISE = ((0.31, 1), (0.77, 2), (1.1, 1), (1.9, 3), (2.6, 1), (3.3, 2), (4.2, 1))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "start", [((0, 1), (4.9, 4), (5.1, 5)), ((0, 1), (1.234, 2), (4.923, 6), (5.083, 7), (5.4, 9))]
)
def test_a_window_opened_by_its_first_request_comes_down_to_n_and_2_requests(seed, start):
    shrunk, oracle = reduced(FirstHit, Recipe(seconds(*start)), seed)
    assert shrunk.recipe.requests == N + 2
    first, *_, last = shrunk.recipe.schedule.steps
    assert first == (0, 1)
    assert last[0] > W
    assert shrunk.tries.accepted
    assert oracle.rounds <= 12


def test_the_schedule_that_the_theory_names_is_found():
    shrunk, _ = reduced(FirstHit, Recipe(seconds((0, 1), (4.9, 4), (5.1, 5))), 1)
    assert str(shrunk.recipe) == "1 at 0 s, 4 at 4.9 s, 2 at 5.1 s"
    assert shrunk.complete


@pytest.mark.parametrize("seed", SEEDS)
def test_a_window_on_the_epoch_comes_down_to_n_and_1_requests(seed):
    start = Recipe(seconds((0, 5), (0.23, 5)), phase=Phase(W - 123_456_789, W))
    shrunk, _ = reduced(Epoch, start, seed)
    assert shrunk.recipe.phase.at_ns % 100_000_000 == 0
    assert shrunk.recipe.requests == N + 1
    assert len(shrunk.recipe.schedule.steps) == 2
    assert shrunk.tries.accepted


@pytest.mark.parametrize("seed", SEEDS)
def test_four_shards_come_down_to_n_and_1_at_once(seed):
    shrunk, _ = reduced(Shards, Recipe(seconds((0, 40)), connections=40), seed)
    assert requests(shrunk) == [N + 1]
    assert 2 <= shrunk.recipe.connections <= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bucket_comes_down_to_n_and_1(seed):
    steps = [(0, 5), *((1.01 * drip, 1) for drip in range(1, 5))]
    shrunk, _ = reduced(Bucket, Recipe(seconds(*steps)), seed)
    assert shrunk.recipe.requests == N + 1
    assert len(shrunk.recipe.schedule.steps) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_store_that_forgets_keeps_the_others_it_needs(seed):
    start = Recipe(seconds((0, 5), (4, 5)), others=seconds((0.5, 4_000)))
    shrunk, _ = reduced(Forgetful, start, seed)
    assert 1_000 <= shrunk.recipe.other_clients <= 1_100
    assert shrunk.recipe.requests == N + 1


@pytest.mark.parametrize("kind", [FirstHit, Bucket, Shards])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_beside_the_point_goes(kind, seed):
    cause = {
        FirstHit: ((0, 1), (4.9, 4), (5.1, 5)),
        Bucket: ((0, 5), (3, 3)),
        Shards: ((0, 40), (0.1, 5)),
    }[kind]
    later = [(at + 6, count) for at, count in cause]
    start = Recipe(seconds(*NOISE, *later), connections=40 if kind is Shards else 1)
    shrunk, oracle = reduced(kind, start, seed)
    assert shrunk.recipe.requests <= N + 2
    assert oracle.rounds <= 14


def test_nothing_below_the_least_is_tried():
    _, oracle = reduced(FirstHit, Recipe(seconds((0, 1), (4.9, 4), (5.1, 5))), 1)
    assert min(candidate.requests for candidate in oracle.asked) >= N + 1


def test_what_does_not_happen_again_is_told_as_it_is():
    start = Recipe(seconds((0, 5), (2, 5)))
    shrunk, oracle = reduced(Log, start, 1)
    assert shrunk.recipe == start
    assert shrunk.tries.reproduced == 0
    assert shrunk.tries.tries >= 3
    assert oracle.rounds == 1


@pytest.mark.parametrize(("start_always", "least"), [(True, 7), (False, 6)])
def test_what_only_may_happen_is_given_for_what_may_but_not_for_what_always_does(
    start_always, least
):
    def mostly(candidates, tries):
        always = [start_always and each.requests >= 7 for each in candidates]
        often = [each.requests >= 6 for each in candidates]
        return [
            Tries(tries if sure else (tries - 1) * good, tries)
            for sure, good in zip(always, often, strict=True)
        ]

    assert shrink(Recipe(seconds((0, 10))), mostly, window_ns=W).recipe.requests == least


def test_an_end_of_time_leaves_the_smallest_so_far():
    rounds = iter([True, True, False, False, False])
    start = Recipe(seconds((0, 1), (4.9, 4), (5.1, 9)))
    shrunk, oracle = reduced(FirstHit, start, 1, go_on=lambda: next(rounds))
    assert shrunk.recipe.requests < start.requests
    assert not shrunk.complete
    assert oracle.rounds == 3


def test_a_stop_during_the_first_tries_leaves_nothing_tried():
    start = Recipe(seconds((0, 1), (4.9, 4), (5.1, 9)))
    shrunk = shrink(start, lambda candidates, _: [None] * len(candidates), window_ns=W)
    assert shrunk.tries == Tries(0, 0)
