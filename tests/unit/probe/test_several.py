"""Counters that know nothing of each other, any of which a request of a key may meet."""

import math
import random

import pytest

from rateproof.probe.budget import Budget
from rateproof.probe.families import FAMILIES
from rateproof.probe.finding import named_kind
from rateproof.probe.investigation import run_course
from rateproof.probe.several import Several, denials_beyond_chance, several
from tests.samples import quick_first

S = 1_000_000_000
MS = 1_000_000
NAMES = [family.name for family in FAMILIES if family.number == 1]


def scattered(simulated, name, counters, limit, window_ns, seed, *, sticky=False):
    """A sender whose requests meet any of so many limiters."""
    limiter = simulated.make(name, limit, window_ns, 7 * MS)
    limiters = simulated.several(limiter, counters, seed, sticky=sticky)
    rng = random.Random(seed)
    return simulated.Sender(limiters, seed, begin_ns=10**15 + rng.randrange(10**12), slow=0)


@pytest.mark.parametrize("sticky", [True, False], ids=["sticky", "roaming"])
@pytest.mark.parametrize(
    ("counters", "limit"), quick_first([(4, 3), (2, 10), (4, 10), (2, 30)], quick=2)
)
def test_several_counters_are_never_a_policy(counters, limit, sticky, simulated):
    """However connections stick; what they admit together is found, with a bound for each.

    Not where each key met them so evenly that hardly any was denied before all were full.
    """
    told = 0
    for seed in range(4):
        sender = scattered(simulated, "sliding-log", counters, limit, 2 * S, seed, sticky=sticky)
        course = run_course(sender, Budget())
        assert named_kind(course) is None
        assert sender.requests <= Budget().requests
        if (found := course.several) is None:
            continue
        told += 1
        assert limit <= found.each <= found.together <= counters * limit
        assert found.low_ns < 2 * S < found.high_ns or found.together < counters * limit
    assert told >= 3


@pytest.mark.parametrize("name", NAMES)
def test_one_counter_is_never_taken_for_several(name, simulated):
    """Whatever its window, its phase and the pace: the key before, and the one that is filled."""
    for seed in range(100):
        rng = random.Random(seed)
        limit, window_ns = rng.randint(1, 20), int(5 * MS * 1000 ** rng.random())
        limiter = simulated.make(name, limit, window_ns, rng.randrange(window_ns))
        sender = simulated.Sender(limiter, seed, slow=rng.choice((0, 0.05)))
        before = sender.search(100, [rng.choice((1, MS, 20 * MS)) for _ in range(40)])
        if before[-1].admitted and not all(seen.admitted for seen in before):
            delays_ns = [int(10 * MS * 1.5**n) for n in range(20)]
            hit, end_ns = sender.hitter(fresh=True), sender.now_ns() + 60 * S
            assert several(hit, before, 200, end_ns, delays_ns) is None, seed


def test_shared_evenly_what_they_admit_together_bounds_them():
    """13 before a denial, 40 in all: of counters that are alike none is of 11, 12 or 13."""
    assert Several(13, 40, 40).counters == 4
    assert Several(19, 40, 40).counters == 4
    assert Several(19, 40).counters == 3
    assert Several(20, 40, 40).counters == 2


def test_a_run_of_denials_counts_where_chance_hardly_explains_it():
    """Of a rule that admits one in ten, 66 in a row; of one that admits half, ten."""
    assert 65 < denials_beyond_chance(100, 999) < 66
    assert 9 < denials_beyond_chance(500, 999) < 10
    assert denials_beyond_chance(0, 10) == math.inf
