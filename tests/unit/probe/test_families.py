"""The automata against limiters that were written apart from them."""

import random

import pytest

from rateproof.probe.families import FAMILIES
from rateproof.probe.family import admissions, explains
from rateproof.probe.seen import Box, Seen

MS = 1_000_000
BEGIN_NS = 10**15
NAMES = [family.name for family in FAMILIES]
CASES = 60


def _random_schedule(rng, window_ns):
    """Instants within some windows of the beginning, some of them together."""
    at_ns, instants = BEGIN_NS, []
    for _ in range(rng.randint(1, 12)):
        at_ns += rng.choice((0, rng.randrange(window_ns // 4), rng.randrange(2 * window_ns)))
        instants += [at_ns] * rng.randint(1, 4)
    return instants


def _case(family, rng, simulated):
    limit, window_ns = rng.randint(1, 6), rng.randrange(50 * MS, 2000 * MS)
    phase_ns = rng.randrange(window_ns)
    limiter = simulated.make(family.name, limit, window_ns, phase_ns)
    time_ns = window_ns // limit if family.refills else window_ns
    boundary_ns = BEGIN_NS - (BEGIN_NS - phase_ns) % window_ns
    return limiter, Box(limit, time_ns, time_ns, boundary_ns, boundary_ns), rng


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_a_point_admits_as_the_limiter_itself_does(family, simulated):
    for seed in range(CASES):
        limiter, point, rng = _case(family, random.Random(seed), simulated)
        instants = _random_schedule(rng, point.low_ns * 2)
        expected = tuple(int(limiter.admits("key", at_ns)) for at_ns in instants)
        assert admissions(family, point, [(at_ns, 1) for at_ns in instants]) == expected, seed


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_a_box_around_the_truth_is_never_refuted(family, simulated):
    for seed in range(CASES):
        limiter, point, rng = _case(family, random.Random(seed), simulated)
        free_ns, history = 0, []
        for at_ns in _random_schedule(rng, point.low_ns * 2):
            sent_ns = max(free_ns, at_ns)
            received_ns = free_ns = sent_ns + rng.randrange(1, point.low_ns // 3)
            decided_ns = rng.randint(sent_ns, received_ns)
            history.append(Seen(sent_ns, received_ns, limiter.admits("key", decided_ns)))
        slack_ns = rng.choice((0, point.low_ns // 100, point.low_ns // 3))
        box = Box(
            point.limit,
            point.low_ns - rng.randint(0, slack_ns),
            point.high_ns + rng.randint(0, slack_ns),
            point.phase_low_ns - rng.randint(0, slack_ns),
            point.phase_high_ns + rng.randint(0, slack_ns),
        )
        assert explains(family, box, [history]), seed


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_another_limit_is_refuted_by_a_burst(family):
    window_ns = 1000 * MS
    burst = [Seen(BEGIN_NS + n, BEGIN_NS + n, n < 5) for n in range(6)]
    for limit, right in ((4, False), (5, True), (6, False)):
        box = Box(limit, window_ns, window_ns, BEGIN_NS - MS, BEGIN_NS - MS)
        assert explains(family, box, [burst]) == right
