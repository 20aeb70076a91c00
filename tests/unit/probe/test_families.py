"""The automata against limiters that were written apart from them."""

import random

import pytest
from proving.simulated import fixed_window
from proving.unlisted import bucket_and_window

from rateproof.probe.families import FAMILIES, LAST
from rateproof.probe.family import admissions, explains, foreseen
from rateproof.probe.inference import Hypotheses, Recovery
from rateproof.probe.seen import GRANULARITY_NS, Box, Seen, volleys

MS, S = 1_000_000, 1_000_000_000
BEGIN_NS = 10**15
EVERY = (*FAMILIES, *LAST)
NAMES = [family.name for family in EVERY]
CASES = 60


def _case(family, seed, simulated):
    rng = random.Random(seed)
    limit, window_ns = rng.randint(1, 6), rng.randrange(50 * MS, 2000 * MS)
    if family.other == "tick":
        window_ns = rng.randint(1, 4) * S
    window_ns -= window_ns % (12 * limit)
    phase_ns = rng.randrange(S if family.other == "tick" else window_ns)
    limiter = (
        simulated.blocks(limit, window_ns, phase_ns, number=family.number)
        if family.number > 1
        else bucket_and_window(limit, window_ns)
        if family.other == "window"
        else fixed_window(limit, window_ns, phase_ns, per_key=True)
        if family.other == "own phase"
        else simulated.make(family.name, limit, window_ns, phase_ns)
    )
    time_ns = window_ns // limit if family.refills else window_ns
    other_ns = {
        "": 0,
        "own phase": 0,
        "phase": BEGIN_NS - (BEGIN_NS - phase_ns) % window_ns,
        "tick": phase_ns,
        "block": window_ns * 4 // 3,
        "window": 3 * window_ns,
    }[family.other]
    second = 2 * limit if family.other == "window" else 0
    box = Box(limit, time_ns, time_ns, other_ns, other_ns, second, second)
    return limiter(), box, window_ns, rng


def _steps(window_ns, rng):
    """(at_ns, requests) of some volleys, close to each other or not."""
    at_ns, steps = BEGIN_NS, []
    for _ in range(rng.randint(1, 8)):
        at_ns += rng.choice((rng.randrange(1, window_ns // 4), rng.randrange(1, 2 * window_ns)))
        steps.append((at_ns, rng.randint(1, 5)))
    return steps


# When a phase begins that nobody knows cannot be foretold, so a number may be any of many.
@pytest.mark.parametrize("family", [each for each in EVERY if each.other != "own phase"])
def test_a_point_admits_as_the_limiter_itself_does(family, simulated):
    for seed in range(CASES):
        admits, point, window_ns, rng = _case(family, seed, simulated)
        steps = _steps(window_ns, rng)
        expected = [sum(admits(at_ns) for _ in range(count)) for at_ns, count in steps]
        allowed = admissions(family, point, steps)
        assert all(one in of for one, of in zip(expected, allowed, strict=False)), seed
        assert len(allowed[0]) == 1, seed


@pytest.mark.parametrize(
    "family",
    [each for each in EVERY if each.other not in {"own phase", "window"}],
    ids=lambda each: each.name,
)
def test_of_a_point_whose_answers_so_far_are_known_one_number_is_possible(family, simulated):
    for seed in range(CASES):
        admits, point, window_ns, rng = _case(family, seed, simulated)
        history = []
        for at_ns, count in _steps(window_ns, rng):
            admitted = sum(admits(at_ns) for _ in range(count))
            history.append(Seen(at_ns, at_ns, admitted, count - admitted))
        told = [*foreseen(family, point, history, knowing=True)]
        assert told == [[seen.admitted] for seen in history], seed


@pytest.mark.parametrize("family", EVERY, ids=NAMES)
def test_a_box_around_the_truth_is_never_refuted(family, simulated):
    for seed in range(CASES):
        admits, point, window_ns, rng = _case(family, seed, simulated)
        at_ns, sent = BEGIN_NS, []
        for _ in range(rng.randint(1, 10)):
            at_ns += rng.choice((rng.randrange(1, window_ns // 4), rng.randrange(1, 2 * window_ns)))
            for _ in range(rng.randint(1, 6)):
                took_ns = rng.randrange(
                    1, rng.choice((window_ns // 20, window_ns // 3, 2 * window_ns))
                )
                sent.append((at_ns + rng.randint(0, took_ns), at_ns, at_ns + took_ns))
        history = []
        for decided_ns, sent_ns, received_ns in sorted(sent):
            admitted = admits(decided_ns)
            history.append(
                Seen(sent_ns - GRANULARITY_NS, received_ns + GRANULARITY_NS, admitted, not admitted)
            )
        slack_ns = rng.choice((0, point.low_ns // 100, point.low_ns // 3))
        if family.other == "tick":
            slack_ns = 0
        box = Box(
            point.limit,
            point.low_ns - rng.randint(0, slack_ns),
            point.high_ns + rng.randint(0, slack_ns),
            point.other_low_ns - rng.randint(0, slack_ns),
            point.other_high_ns + rng.randint(0, slack_ns),
            point.second_low - rng.randint(0, point.second_low // 2),
            point.second_high + rng.randint(0, point.second_low // 2),
        )
        assert explains(family, box, [volleys(history)]), seed


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES if family.at_first is None], ids=lambda each: each.name
)
def test_another_limit_is_refuted_by_a_burst(family):
    burst = [Seen(BEGIN_NS, BEGIN_NS + 5, 5, 1)]
    for limit, right in ((4, False), (5, True), (6, False)):
        box = Box(limit, S, S, BEGIN_NS - MS, BEGIN_NS - MS)
        assert explains(family, box, [burst]) == right


@pytest.mark.parametrize(("window_ns", "right"), [(S, True), (9 * S // 10, False)])
def test_a_key_has_one_phase_for_good(window_ns, right):
    """Edges at 400 ms of each second: full until 1.4 s and 2.4 s, whenever it was filled."""
    family = next(family for family in LAST if family.other == "own phase")
    instants = ((0, 5, 1), (500, 5, 1), (1390, 0, 1), (1410, 5, 1), (2390, 0, 1), (2410, 5, 0))
    key = [
        Seen(BEGIN_NS + ms * MS, BEGIN_NS + (ms + 5) * MS, admitted, denied)
        for ms, admitted, denied in instants
    ]
    assert explains(family, Box(5, window_ns, window_ns), [key]) == right
    once_more = Seen(BEGIN_NS + 2500 * MS, BEGIN_NS + 2505 * MS, 1, 0)
    assert not explains(family, Box(5, S, S), [[*key, once_more]])


@pytest.mark.parametrize(
    ("first", "limit"), [("token-bucket", 50), ("of which a fresh key has one", 1)]
)
def test_the_first_token_of_a_drained_bucket_is_foretold_as_closely_as_one_token(first, limit):
    """All 50 are back after 45 to 55 s, the first of them after 0.9 to 1.1 s."""
    bucket = next(family for family in FAMILIES if family.name.endswith(first))
    steps = [(BEGIN_NS, limit), (BEGIN_NS + 800 * MS, 1), (BEGIN_NS + 1200 * MS, 1)]
    told = admissions(bucket, Box(50, 900 * MS, 1100 * MS), steps, 20 * MS)
    assert told == ((limit,), (0,), (1,))


@pytest.mark.parametrize("ticking", [True, False])
def test_a_token_in_a_whole_number_of_ticks_is_told_from_one_that_takes_a_little_longer(ticking):
    """Of 5 s, the next comes 5 ticks later, of a nanosecond more 6: no box may have both."""
    family = next(family for family in FAMILIES if family.refills and family.other == "tick")
    keys = []
    for phase_ns in range(0, S, 100 * MS):
        at_ns = BEGIN_NS + phase_ns
        back_ns = at_ns + 5 * S if not ticking else (at_ns // S + 5) * S
        for poll_ns, one in ((back_ns - 60 * MS, 0), (back_ns + 20 * MS, 1)):
            answers = ((at_ns, 1), (poll_ns, one))
            keys.append([Seen(ns, ns + 40 * MS, let, 1 - let) for ns, let in answers])
    found = Hypotheses(Recovery(1, 0, 0, 4 * S, 6 * S), 10 * S, [family])
    found.learn(keys, careful=1)
    assert (family in found.boxes) == ticking


def test_a_fresh_key_that_has_one_is_admitted_its_first_request():
    family = next(each for each in FAMILIES if each.at_first is not None)
    for admitted, right in ((0, False), (1, True), (2, False)):
        burst = [Seen(BEGIN_NS, BEGIN_NS + 5, admitted, 3)]
        assert explains(family, Box(4, S, S), [burst]) == right


def test_answers_that_overlap_are_one_volley_and_later_ones_their_own():
    alone = Seen(40 * MS, 50 * MS, 0, 1)
    seen = [Seen(0, 10 * MS, 1, 0), Seen(2 * MS, 30 * MS, 1, 0), Seen(4 * MS, 9 * MS, 0, 1), alone]
    assert volleys(seen) == [Seen(0, 30 * MS, 2, 1), alone]


@pytest.mark.parametrize("more", [0, 1])
def test_a_token_is_looked_for_from_the_last_instant_at_which_the_bucket_was_full(more):
    """60 requests took 20 ms; the first was decided after 15, so 100 ms later, at 115, one is back."""
    bucket = next(family for family in FAMILIES if family.name == "token-bucket")
    recovery = Recovery(60 + more, 0, 20 * MS, 112 * MS, 127 * MS)
    boxes = Hypotheses(recovery, S, [bucket]).boxes[bucket]
    each_ns = 100 * MS // (1 + more)
    assert any(box.limit == 60 and box.low_ns <= each_ns <= box.high_ns for box in boxes)


@pytest.mark.parametrize(
    "family", [each for each in FAMILIES if each.other == "phase"], ids=lambda each: each.name
)
def test_windows_of_a_clock_are_looked_for_wherever_the_first_key_was_filled(family, simulated):
    """It may come back later than a window, and not at an edge."""
    for seed in range(CASES):
        admits, point, window_ns, _ = _case(family, seed, simulated)
        assert all(admits(BEGIN_NS) for _ in range(point.limit))
        polls = range(BEGIN_NS + 1, BEGIN_NS + 3 * window_ns, window_ns // 50)
        back_ns = next(at_ns for at_ns in polls if admits(at_ns))
        recovery = Recovery(point.limit, BEGIN_NS, BEGIN_NS, back_ns - window_ns // 50, back_ns)
        (box,) = Hypotheses(recovery, 10 * S, [family]).boxes[family]
        edges = range(point.other_low_ns, back_ns + 1, window_ns // family.number)
        assert box.low_ns <= window_ns <= box.high_ns
        assert any(box.other_low_ns <= at_ns <= box.other_high_ns for at_ns in edges)
