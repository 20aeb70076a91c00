"""Shrinking against simulated limiters: it finds the shortest schedules that are known."""

import itertools
import random
from collections import OrderedDict, defaultdict, deque
from dataclasses import replace

import pytest

from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.shrinking.reproduction import Tries
from rateproof.hunt.shrinking.search import shrink
from rateproof.hunt.shrinking.trace import book as attacks
from rateproof.policy import Policy
from rateproof.simulate.behaviours.schedule import Schedule

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
    """Exact, for the hundred clients it saw last."""

    def __init__(self, _rng):
        self.known = OrderedDict()

    def hit(self, at, key, lane):
        log = self.known.pop(key, None) or Log(None)
        self.known[key] = log
        if len(self.known) > 100:
            self.known.popitem(last=False)
        return log.hit(at, key, lane)


def violated(kind, recipe, rng):
    """Say whether the recipe makes one fresh client of such a limiter get more than N in W."""
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


class Whole:
    """A bucket of N whose clock knows whole seconds only: it is full again at the next one."""

    def __init__(self, _rng):
        self.second, self.level = None, N

    def hit(self, at, _key, _lane):
        if at // SECOND != self.second:
            self.second, self.level = at // SECOND, N
        self.level -= 1
        return self.level >= 0


class Chance:
    """An oracle for which 7 at once suffice in two of three tries, whenever they come."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def __call__(self, candidates, tries):
        return [
            Tries(sum(self.rng.random() < (each.requests > N) * 2 / 3 for _ in range(tries)), tries)
            for each in candidates
        ]


BOOK = attacks(Policy.parse("5 per 5s"), W, N + 1)


def saturating(seed, seconds=1.5):
    """Requests of a client who sent as fast as it was answered."""
    rng, at, steps = random.Random(seed), 0, []
    while at < seconds * SECOND:
        steps.append((at, rng.randrange(1, 60)))
        at += rng.randrange(50_000_000, 150_000_000)
    return Recipe(Schedule(tuple(steps)), phase=Phase(rng.randrange(W), W))


def seconds(*steps):
    return Schedule(tuple((round(at * SECOND), count) for at, count in steps))


def reduced(kind, start, seed, **options):
    oracle = Simulated(kind, seed)
    return shrink([start], oracle, window_ns=W, least=N + 1, **options), oracle


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
    start = Recipe(seconds((0, 5), (4, 5)), others=seconds((0.5, 400)))
    shrunk, _ = reduced(Forgetful, start, seed)
    assert 100 <= shrunk.recipe.other_clients <= 110
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


@pytest.mark.parametrize("book", [[], BOOK])
def test_what_does_not_happen_again_is_told_as_it_is(book):
    start = Recipe(seconds((0, 5), (2, 5)), phase=Phase(1, W))
    shrunk, oracle = reduced(Log, start, 1, book=book)
    assert shrunk.recipe == start
    assert shrunk.tries.reproduced == 0
    assert shrunk.tries.tries >= 3
    assert oracle.rounds == 1


@pytest.mark.parametrize(("start_always", "least"), [(True, 7), (False, 6)])
def test_what_only_may_happen_is_not_given_for_what_always_does(start_always, least):
    def mostly(candidates, tries):
        always = [start_always and each.requests >= 7 for each in candidates]
        often = [each.requests >= 6 for each in candidates]
        return [
            Tries(tries if sure else (tries - 1) * good, tries)
            for sure, good in zip(always, often, strict=True)
        ]

    assert shrink([Recipe(seconds((0, 10)))], mostly, window_ns=W).recipe.requests == least


def test_what_was_tried_before_others_were_is_told_as_tried():
    start = Recipe(seconds((0, N + 1)))
    among = replace(start, others=Schedule(((0, 200),)))
    shrunk = shrink([start, among], Simulated(Log, 1), window_ns=W)
    assert (shrunk.recipe, shrunk.tries) == (start, Tries(0, 6))


def test_what_had_no_room_beside_others_is_tried_after_them_if_these_do_nothing():
    large, small = Recipe(seconds((0, 5), (4.9, 900))), Recipe(seconds((0, 5)))

    def oracle(recipes, tries):
        rest = [None if recipe == large else recipe.requests > N for recipe in recipes[1:]]
        seen = [recipes[0].requests > N, *rest]
        return [None if each is None else Tries(tries * each, tries) for each in seen]

    shrunk = shrink([large, small], oracle, window_ns=W)
    assert shrunk.recipe.requests == N + 1
    assert shrunk.tries.always


def test_an_end_of_time_leaves_the_smallest_so_far_confirmed():
    start = Recipe(seconds((0, 1), (4.9, 4), (5.1, 9)))
    oracle = Simulated(FirstHit, 1)

    def two_rounds(candidates, tries):
        return oracle(candidates, tries) if oracle.rounds < 2 else [None] * len(candidates)

    shrunk = shrink([start], two_rounds, window_ns=W, least=N + 1)
    assert shrunk.recipe.requests < start.requests
    assert not shrunk.complete
    assert shrunk.tries == Tries(6, 6)


def test_a_stop_during_the_first_tries_leaves_nothing_tried():
    start = Recipe(seconds((0, 1), (4.9, 4), (5.1, 9)))
    shrunk = shrink([start], lambda candidates, _: [None] * len(candidates), window_ns=W)
    assert shrunk.tries == Tries(0, 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kind", "shortest"),
    [
        (Bucket, ["5 at 0 s, 1 at 1.1 s"]),
        (Epoch, ["5 at 0 s, 1 at 4.9 s", "4 at 0 s, 2 at 4.9 s"]),
        (Whole, ["5 at 0 s, 1 at 1.1 s"]),
    ],
)
def test_what_saturating_clients_found_is_told_as_one_would_tell_it(kind, shortest, seed):
    """A token bucket and GCRA decide alike."""
    shrunk, oracle = reduced(kind, saturating(seed), seed, book=BOOK)
    assert str(shrunk.recipe) in shortest
    assert shrunk.tries.tries >= 6
    assert shrunk.complete
    assert oracle.rounds <= 5


@pytest.mark.parametrize("seed", SEEDS)
def test_others_who_change_nothing_are_not_told(seed):
    start = replace(saturating(seed), others=seconds((0.5, 400)))
    shrunk, oracle = reduced(Bucket, start, seed, book=BOOK)
    assert str(shrunk.recipe) == "5 at 0 s, 1 at 1.1 s"
    assert oracle.rounds <= 5


class Crowded:
    """An oracle of a store that knows 20 clients: those of other candidates are others, too."""

    def __call__(self, candidates, tries):
        others = [each.other_clients + tries * len(candidates) for each in candidates]
        return [
            Tries(tries * (many > 20 and each.requests > N and each.span_ns > 0), tries)
            for many, each in zip(others, candidates, strict=True)
        ]


def test_what_happens_only_among_the_clients_of_other_candidates_is_given_others():
    start = Recipe(seconds((0, 5), (4, 5)), others=seconds((0.5, 400)))
    shrunk = shrink([start], Crowded(), window_ns=W, book=BOOK)
    assert shrunk.recipe.other_clients > 20 - 6
    assert shrunk.tries.always


def test_what_is_rare_for_a_moment_is_not_taken_for_what_needs_others():
    """A busy machine, say: one try of six, once."""
    asked = []

    def busy_once(candidates, tries):
        asked.append(candidates)
        return [
            Tries(1 if len(asked) == 2 else tries, tries)
            if each.others is None
            else Tries(0, tries)
            for each in candidates
        ]

    start = Recipe(seconds((0, 3), (4, 3)), others=seconds((0.5, 80)))
    shrunk = shrink([start], busy_once, window_ns=W, least=6)
    assert str(shrunk.recipe) == "6 at 0 s"


def test_fewer_others_are_enough_only_if_they_are_every_time():
    tried = set()

    def reproduced(recipe, tries):
        again, others = recipe in tried, recipe.other_clients
        tried.add(recipe)
        often = 4 if again and others < 80 else tries
        return Tries(often * (others >= 40), tries)

    start = Recipe(seconds((0, 3), (4, 3)), others=seconds((0.5, 80)))
    shrunk = shrink(
        [start],
        lambda some, tries: [reproduced(each, tries) for each in some],
        window_ns=W,
        least=6,
    )
    assert shrunk.recipe.other_clients == 80
    assert shrunk.tries.always


def test_the_book_has_what_theory_names_for_any_quota_and_nothing_below_the_least():
    book = attacks(Policy.parse("10 per 1s, 100 per 60s, 100 per 1h"), 1 * SECOND, 11)
    told = [str(recipe) for recipe in book]
    assert "10 at 0 s, 1 at 0.11 s" in told, "a bucket refills one in a tenth of the window"
    assert "10 at 0 s, 1 at 0.98 s" in told
    assert "1 at 0 s, 9 at 0.98 s, 2 at 1.02 s" in told
    assert "11 at 0 s; on 11 connections" in told
    assert all(recipe.requests >= 11 for recipe in book)
    book = attacks(Policy.parse("100 per 60s"), 60 * SECOND, 150)
    assert min(recipe.requests for recipe in book) == 150


@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_that_needs_its_phase_keeps_it(seed):
    start = Recipe(seconds((0, 5), (0.23, 5)), phase=Phase(W - 123_456_789, W))
    shrunk, _ = reduced(Epoch, start, seed)
    assert shrunk.recipe.phase is not None


@pytest.mark.parametrize("seed", range(12))
def test_a_phase_that_changes_nothing_is_not_told(seed):
    """Four shards: which of them a connection gets is chance, and so is what is reproduced."""
    rng = random.Random(seed)
    start = Recipe(seconds((0, 7)), connections=7, phase=Phase(rng.randrange(W), W))
    for book in (BOOK, []):
        oracle = Chance(seed)
        shrunk = shrink([start], oracle, window_ns=W, least=N + 1, book=book)
        assert shrunk.recipe.phase is None


@pytest.mark.parametrize("mine", range(7))
@pytest.mark.parametrize("theirs", range(7))
def test_rarer_is_what_chance_alone_would_do_in_one_of_200_cases(mine, theirs):
    outcomes = [
        sum(chosen < 6 for chosen in drawn) <= mine
        for drawn in itertools.combinations(range(12), mine + theirs)
    ]
    rare = sum(outcomes) / len(outcomes) <= 0.005
    assert Tries(mine, 6).rarer(Tries(theirs, 6)) == rare
