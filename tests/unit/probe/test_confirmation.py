"""Evidence for a name, and what is none."""

import random

import pytest
from proving import unknown
from proving.simulated import LIMITERS

from rateproof.probe.confirmation import (
    EDGES,
    EDGES_OF_LOG,
    EXCLUDING,
    PREDICTIONS,
    Confirmation,
    count_excluded,
    count_predictions,
    guessed,
)
from rateproof.probe.course import Course
from rateproof.probe.families import FAMILIES, LAST
from rateproof.probe.family import explains
from rateproof.probe.inference import Hypotheses, Kind, Recovery
from rateproof.probe.seen import Box, Seen, condensed
from rateproof.probe.standing_keys import always
from rateproof.probe.variation import unseen_variation

MS, S = 1_000_000, 1_000_000_000
BEGIN_NS = 10**15
OF = {family.name: family for family in FAMILIES}
LOG, FIRST_HIT = OF["sliding-log"], OF["first-hit-window"]
KIND = Kind(LOG, 5, S, S, [Box(5, S, S)])
CLOCK = Kind(OF["fixed-window"], 5, S, S, [Box(5, S, S)])


def _seen(*rows):
    """(ms, admitted, denied), decided within 5 ms."""
    return [
        Seen(BEGIN_NS + ms * MS, BEGIN_NS + (ms + 5) * MS, admitted, denied)
        for ms, admitted, denied in rows
    ]


def test_admissions_of_fewer_than_the_limit_are_no_predictions():
    proof = Confirmation((LOG, 5))
    count_predictions(proof, KIND, [_seen((0, 1, 0), (300, 3, 0), (600, 1, 0))])
    assert (proof.true, proof.keys) == (0, 0)


def test_a_denial_and_what_comes_back_are_predictions():
    proof = Confirmation((LOG, 5))
    count_predictions(proof, KIND, [_seen((0, 5, 0), (900, 0, 1), (1100, 5, 0))])
    assert (proof.true, proof.keys) == (2, 1)


@pytest.mark.parametrize(("back_ms", "edges"), [(24_000, 0), (22_050, 1)])
def test_an_edge_of_a_clock_of_whole_seconds_is_as_close_as_a_tick_and_four_are_needed(
    back_ms, edges
):
    ticking = OF["token-bucket, its clock in whole seconds"]
    kind = Kind(ticking, 3, 22 * S, 22 * S, [Box(3, 22 * S, 22 * S, 0, 0)])
    proof = Confirmation((ticking, 3))
    count_predictions(proof, kind, [_seen((100, 3, 0), (21_950, 0, 1), (back_ms, 1, 0))])
    assert proof.edges == edges
    assert proof.missing_edges == EDGES_OF_LOG - edges


def test_what_is_guessed_is_the_likeliest_of_the_windows_that_are_not_much_longer_than_the_shortest():
    kinds = [
        Kind(OF[name], 5, seconds * S, seconds * S + 5 * MS, [])
        for name, seconds in (
            ("fixed-window", 40),
            ("window that each request pushes on", 12),
            ("window that each denial pushes on", 10),
        )
    ]
    assert guessed(kinds) is kinds[1]
    short = [Kind(LOG, 5, S, S, []), Kind(FIRST_HIT, 5, MS, MS, [])]
    assert guessed(short) is short[0]


def test_what_is_strained_is_guessed_only_where_all_are():
    """Its window is known to 2 ms by answers of 5 ms."""
    strained, other = (
        Kind(OF[name], 5, low_ns, S, [], 5 * MS)
        for name, low_ns in (("sliding-log", S - 2 * MS), ("token-bucket", S - 2 * MS))
    )
    assert strained.strained
    assert guessed([strained, other]) is other
    assert guessed([strained]) is strained


@pytest.mark.parametrize(("least_ms", "closely"), [(91, False), (98, True)])
def test_a_window_is_known_closely_only_where_that_is_enough_for_a_name(least_ms, closely):
    """Two tokens within three answers of 9 ms, and to 11 or 3 parts in 100."""
    kind = Kind(OF["token-bucket"], 2, least_ms * MS, 101 * MS, [], 9 * MS)
    assert (kind.narrow, kind.tight) == (closely, closely)


def test_no_name_before_the_keys_that_every_name_has_to_stand():
    proof = Confirmation((LOG, 5), true=PREDICTIONS, excluded={FIRST_HIT: EXCLUDING})
    assert not proof.done
    proof.stood = proof.closely = True
    assert proof.done


def test_a_rival_that_too_few_keys_exclude_forbids_the_name():
    proof = Confirmation(
        (LOG, 5), PREDICTIONS, excluded={FIRST_HIT: EXCLUDING - 1}, stood=True, closely=True
    )
    assert not proof.done


@pytest.mark.parametrize(
    "name",
    ["sliding-log", "first-hit-window", "windows that follow each other from the first request"],
)
def test_a_volley_that_outlasts_the_window_does_not_hide_later_denials(name):
    volley = Seen(BEGIN_NS, BEGIN_NS + 20 * MS, 84, 4)
    later = Seen(BEGIN_NS + 40 * MS, BEGIN_NS + 60 * MS, 7, 87)
    short = Box(84, 4 * MS, 5 * MS)
    assert not explains(OF[name], short, [[volley, later]])
    assert explains(OF[name], short, [[volley]])


@pytest.mark.parametrize(
    ("name", "edges"), [("blocks of 1/4", EDGES_OF_LOG), ("fixed-window", EDGES)]
)
def test_a_clock_is_named_when_its_edges_were_foretold(name, edges):
    """A log is like blocks of some phase, as long as nobody looks closely when a key comes back."""
    proof = Confirmation((OF[name], 5), PREDICTIONS, stood=True, closely=True)
    proof.edges = edges - 1
    assert not proof.done
    proof.edges = edges
    assert proof.done


def test_an_edge_is_a_denial_and_an_admission_close_to_each_other():
    window = Box(5, S, S, BEGIN_NS + 700 * MS, BEGIN_NS + 700 * MS)
    kind = Kind(OF["fixed-window"], 5, S, S, [window])
    proof = Confirmation((kind.family, 5))
    count_predictions(proof, kind, [_seen((0, 5, 0), (400, 0, 1), (900, 1, 0))])
    assert proof.edges == 0
    count_predictions(proof, kind, [_seen((0, 5, 0), (680, 0, 1), (710, 1, 0))])
    assert proof.edges == 1


@pytest.mark.parametrize(("denied_ms", "edges"), [(500, 0), (530, 1)])
def test_an_edge_of_blocks_is_told_within_one_of_them(denied_ms, edges):
    """Answers of 50 ms are long beside blocks of 150: a denial and an admission further apart are of any."""
    family, window_ns = OF["blocks of 1/4"], 600 * MS
    kind = Kind(family, 5, window_ns, window_ns, [Box(5, window_ns, window_ns, BEGIN_NS, BEGIN_NS)])
    asked = ((10, 5, 0), (denied_ms, 0, 1), (610, 1, 0))
    key = [
        Seen(BEGIN_NS + ms * MS, BEGIN_NS + (ms + 50) * MS, admitted, denied)
        for ms, admitted, denied in asked
    ]
    proof = Confirmation((family, 5))
    count_predictions(proof, kind, [key])
    assert (proof.true, proof.edges) == (2, edges)


def test_answers_that_are_alike_are_joined_and_no_others():
    history = _seen(*((10 * n, 1, 0) for n in range(40)), *((400 + 10 * n, 0, 1) for n in range(8)))
    joined = condensed(history, 8)
    assert sum(seen.admitted for seen in joined) == 40
    assert sum(seen.denied for seen in joined) == 8
    assert not any(seen.admitted and seen.denied for seen in joined)
    assert len(joined) <= 12
    assert joined[0].sent_ns == history[0].sent_ns
    assert joined[-1].received_ns == history[-1].received_ns


def test_among_the_keys_are_20_denials_in_a_row_fillings_and_one_request_alone():
    busy, late, _ = always(KIND)
    assert [count for _, count in busy] == [5, 10, 10, 6, 6, 6, 6]
    assert late[0] == (0, 1)
    assert late[1][0] > S


def test_a_window_that_now_and_then_admits_one_more_is_not_as_foretold():
    """A key that is asked for exactly the limit cannot tell."""
    kind = KIND._replace(family=FIRST_HIT)
    busy, *_ = always(kind)
    admits = unknown.UNKNOWN["a window every third of which admits one more"](5, S, 0)()
    history = []
    for at_ns, count in busy:
        admitted = sum(admits(at_ns) for _ in range(count))
        history.append(Seen(at_ns, at_ns + MS, admitted, count - admitted))
    assert explains(FIRST_HIT, kind.boxes[0], [history[:4]])
    assert not explains(FIRST_HIT, kind.boxes[0], [history[:5]])


def _filled(at_ms, denied_ms, back_ms, width_ms=1):
    """A key filled by 5 long after its first request, at one instant of all keys, and a denial and an admission after it."""
    at_ns = BEGIN_NS + at_ms * MS
    instants = ((-3000 - at_ms, 1, 0), (0, 5, 0), (denied_ms, 0, 1), (back_ms, 1, 0))
    return [
        Seen(at_ns + ms * MS, at_ns + (ms + width_ms) * MS, admitted, denied)
        for ms, admitted, denied in instants
    ]


def test_how_much_may_vary_is_known_of_any_number_of_keys():
    keys = [_filled(137 * number, 990, 1000) for number in range(200)]
    assert unseen_variation(KIND, keys) == unseen_variation(KIND, keys[:17])


def test_keys_that_come_back_after_the_same_time_at_several_phases_exclude_long_blocks():
    same = [_filled(137 * number, 990, 1000) for number in range(4)]
    assert unseen_variation(KIND, same[:1]) is None
    longest = [unseen_variation(KIND, same[:keys]) for keys in (2, 3, 4)]
    assert longest == [1200 * MS, 120 * MS, pytest.approx(55.7 * MS, rel=0.01)]


@pytest.mark.parametrize(
    "key",
    [
        _filled(1, 990, 1000),  # the phase of the first
        [*_filled(137, 990, 1000)[:2], *_filled(137, 990, 1000)[3:]],  # never denied
        [*_filled(137, 990, 1000)[:1], *_filled(137, 990, 1000)[2:]],  # never full
    ],
)
def test_a_key_that_says_nothing_of_blocks_is_left_out(key):
    same = [_filled(137 * number, 990, 1000) for number in (0, 3)]
    assert unseen_variation(KIND, [*same, key]) == unseen_variation(KIND, same)


def test_blocks_that_begin_with_a_keys_first_request_are_not_excluded_by_keys_filled_by_it():
    """Each of those comes back at the end of a block."""
    first = [_filled(137 * number, 990, 1000)[1:] for number in range(4)]
    assert unseen_variation(KIND, first) is None
    later = [_filled(137 * number, 990, 1000) for number in range(1, 3)]
    assert unseen_variation(KIND, [*first, *later]) == 120 * MS


def test_with_a_limit_of_1_a_key_is_filled_by_its_second_request():
    """The first, which no longer counts, is as many as the limit, too."""
    keys = [_filled(137 * number, 990, 1000) for number in range(4)]
    ones = [[seen._replace(admitted=min(1, seen.admitted)) for seen in key] for key in keys]
    assert unseen_variation(KIND._replace(limit=1), ones) == unseen_variation(KIND, keys)


def test_blocks_that_are_excluded_fit_as_well_as_a_log_once_in_a_hundred_times():
    """Blocks of 100 ms: each key comes back at some instant of them, by its phase."""
    rng, fooled = random.Random(1), 0
    for _ in range(4000):
        backs = [rng.randrange(900, 1000) for _ in range(rng.randrange(2, 7))]
        gap = rng.randrange(5, 60)
        early = backs[0] - rng.randrange(gap)
        fits = all(early <= back < early + gap for back in backs)
        keys = [
            _filled(301 * number, early, early + gap, width_ms=0) for number in range(len(backs))
        ]
        fooled += fits and unseen_variation(KIND, keys) < 100 * MS
    assert 0 < fooled <= 0.015 * 4000


def _across(edge_ms, before_ms, after_ms, rows=((5, 1), (5, 0))):
    """A key that is asked before and after an edge of a clock."""
    times = edge_ms - before_ms, edge_ms + after_ms
    return [
        Seen(BEGIN_NS + int(ms * MS), BEGIN_NS + int(ms * MS), admitted, denied)
        for ms, (admitted, denied) in zip(times, rows, strict=True)
    ]


@pytest.mark.parametrize(
    ("key", "counts"),
    [
        (_across(3000, 5, 5), True),
        (_across(3000, 5, 5, ((3, 0), (3, 0))), True),  # more than one window has
        (_across(3000, 5, 5, ((3, 0), (2, 0))), False),
        (_across(3000, 5, 5, ((5, 0), (0, 1))), False),  # never back
        (_across(2000, 5, 4), False),  # an edge that was seen
    ],
)
def test_edges_of_a_clock_but_for_two_tell_how_late_they_may_be(key, counts):
    """Phase and period are fitted to the closest two; each other one falls into 10 ms by chance."""
    edges = [_across(number * S // MS, 5, 5) for number in range(3)]
    assert unseen_variation(CLOCK, edges[:2]) is None
    assert unseen_variation(CLOCK, edges) == 1000 * MS
    assert unseen_variation(CLOCK, [*edges, key]) == (100 if counts else 1000) * MS


COUNTER = CLOCK._replace(family=OF["sliding-counter"])


@pytest.mark.parametrize("seed", range(40))
def test_ticks_at_which_a_counter_weighs_are_no_longer_than_is_said(seed):
    """Each denial and the next admission are on two sides of a tick, at any phase of it."""
    rng = random.Random(seed)
    tick_ms = rng.randrange(30, 500)
    phase_ms = rng.randrange(tick_ms)
    keys = [
        _across(phase_ms + tick_ms * number, rng.uniform(0, 20), rng.uniform(0, 20))
        for number in rng.sample(range(200), rng.randrange(2, 20))
    ]
    assert unseen_variation(COUNTER, keys) >= tick_ms * MS


def test_long_ticks_do_not_end_at_instants_that_are_no_multiples_apart():
    edges = [_across(edge_ms, 5, 5) for edge_ms in (0, 137, 401, 1000, 2203, 4507, 8111)]
    assert unseen_variation(COUNTER, edges) < 50 * MS
    assert unseen_variation(COUNTER, edges[:2]) > 130 * MS
    assert unseen_variation(COUNTER, edges[:1]) is None
    assert unseen_variation(COUNTER, []) is None


def test_where_each_key_has_a_phase_of_its_own_it_is_not_known_how_late_edges_are():
    """A clock that all keys share, and that is late, looks like such phases."""
    own = CLOCK._replace(family=next(each for each in LAST if each.other == "own phase"))
    assert own.on_clock
    assert not own.clockwise
    assert unseen_variation(own, [_across(number * S // MS, 5, 5) for number in range(4)]) is None


def test_where_a_full_window_puts_off_the_next_only_full_ones_tell():
    """A key that was not full comes back earlier: both are one edge."""
    put_off = CLOCK._replace(family=OF["fixed-window, a full one puts off the next"])
    edges = [_across(number * S // MS, 5, 5) for number in range(3)]
    half = _across(2900, 5, 5, ((3, 0), (3, 0)))
    assert unseen_variation(put_off, [*edges, half]) == unseen_variation(put_off, edges)


def test_edges_that_are_late_by_more_than_is_said_fit_a_clock_once_in_a_hundred_times():
    """Each by another time, up to 100 ms: the first and the last say where to look for the others."""
    rng, fooled = random.Random(2), 0
    for _ in range(4000):
        lates = [rng.uniform(0, 100) for _ in range(rng.randrange(3, 9))]
        keys, fits = [], True
        for number, late in enumerate(lates):
            share, gap = number / (len(lates) - 1), rng.uniform(5, 60)
            if share in {0, 1}:
                gap = 5
            foretold = (1 - share) * lates[0] + share * lates[-1]
            early = foretold - rng.uniform(0, gap)
            fits &= early <= late < early + gap
            keys.append(_across(1000 * number + early, 0, gap))
        fooled += fits and (unseen_variation(CLOCK, keys) or S) < 100 * MS
    assert 0 < fooled <= 0.01 * 4000


@pytest.mark.parametrize(("wide", "varies_ns"), [(5, 100 * MS), (30, 600 * MS), (None, None)])
def test_a_fixed_window_is_named_with_how_late_it_may_begin_or_that_it_is_not_known(
    wide, varies_ns
):
    keys = [_across(number * S // MS, wide, wide) for number in range(4)] if wide else []
    proof = Confirmation(
        (CLOCK.family, 5), PREDICTIONS, stood=True, closely=True, edges=EDGES_OF_LOG
    )
    count_excluded(proof, Hypotheses(Recovery(5, 0, 0, 1, 2), 2, ()), CLOCK, keys)
    assert proof.done
    assert proof.varies_ns == (varies_ns if wide == 5 else None)


@pytest.mark.parametrize("family", [LOG, FIRST_HIT])
def test_no_name_is_said_before_blocks_were_looked_for(family):
    left = Hypotheses(Recovery(5, 0, 0, 1, 2), 2, ())
    proof = Confirmation((family, 5), PREDICTIONS, stood=True, closely=True, edges=EDGES_OF_LOG)
    kind = KIND._replace(family=family)
    count_excluded(proof, left, kind, [])
    assert not proof.done
    proof.edges = 0
    count_excluded(proof, left, kind, [_filled(137 * number, 990, 1000) for number in range(4)])
    assert proof.done
    assert proof.varies_ns == pytest.approx(55.7 * MS, rel=0.01)


@pytest.mark.parametrize(("known_ns", "strained"), [(4 * MS, True), (6 * MS, False)])
def test_a_window_that_is_known_better_than_answers_can_tell_is_named_by_no_rule(
    known_ns, strained
):
    """Two keys, each answer within 5 ms, leave less than that only of another rule."""
    kind = Kind(LOG, 5, S, S + known_ns, [Box(5, S, S + known_ns)], interval_ns=5 * MS)
    assert kind.strained is strained
    clock = kind._replace(family=OF["fixed-window"])
    assert not clock.strained


@pytest.mark.parametrize(
    ("name", "of_five"), [("token-bucket", False), ("window that each admission pushes on", True)]
)
def test_with_a_limit_of_one_what_is_a_log_is_strained_as_one(name, of_five):
    """One name after the other would be given to a window that varies; of five a bucket's box is of one token."""
    kind = Kind(OF[name], 1, S, S + 4 * MS, [Box(1, S, S + 4 * MS)], interval_ns=5 * MS)
    assert kind.strained
    assert kind._replace(limit=5).strained is of_five


@pytest.mark.parametrize(("window_ns", "right"), [(30 * S, True), (31 * S, False)])
def test_a_counter_of_one_is_rightly_named_blocks_of_half_that_answer_as_it_does(window_ns, right):
    """Bounds that lean to one side have no round figure, and their middle is of another limiter."""
    name, phase_ns = "sliding-counter", 7 * S
    family = next(each for each in FAMILIES if each.number == 2)
    box = Box(1, 59_660 * MS, 60_160 * MS, 0, S)
    kind = Kind(family, 1, box.low_ns, box.high_ns, (box,))
    assert _outcome(name, window_ns, kind, phase_ns=phase_ns) is right


def _outcome(name, window_ns, kind, *, phase_ns=0, varies_ns=0):
    """The judgement on a name for a limiter that is not in the list."""
    limiter = (LIMITERS | unknown.UNKNOWN)[name](kind.limit, window_ns, phase_ns)
    course = Course(proof=Confirmation((kind.family, kind.limit), varies_ns=varies_ns))
    drawn = {"known": False, "limiter": limiter, "phase_ns": phase_ns, "course": course}
    return unknown.outcome(
        unknown.Run(0, name, kind.limit, window_ns, **drawn, named=kind, requests=100, took_ns=S)
    )


@pytest.mark.parametrize(("window_ns", "right"), [(15 * S, True), (16 * S, False)])
def test_blocks_of_half_with_a_limit_of_one_are_rightly_named_a_counter_of_half_their_window(
    window_ns, right
):
    low_ns, high_ns = 7_487 * MS, 7_539 * MS
    kind = Kind(OF["sliding-counter"], 1, low_ns, high_ns, (Box(1, low_ns, high_ns, 0, S),))
    assert _outcome("blocks of 1/2", window_ns, kind) is right


@pytest.mark.parametrize(
    ("family", "varies_ns", "right"),
    [
        ("sliding-counter", 3 * S, True),
        ("sliding-counter", None, True),
        ("sliding-counter", S, False),
        ("sliding-counter", 0, False),
        ("sliding-log", 3 * S, False),
        ("fixed-window", 3 * S, False),
    ],
)
def test_a_counter_whose_clock_ticks_is_rightly_named_where_the_name_includes_such_ticks(
    family, varies_ns, right
):
    low_ns, high_ns = 59_500 * MS, 59_800 * MS
    kind = Kind(OF[family], 8, low_ns, high_ns, (Box(8, low_ns, high_ns, 0, S),))
    name = "a sliding counter whose clock ticks 30 times in a window"
    assert _outcome(name, 60 * S, kind, varies_ns=varies_ns) is right


@pytest.mark.parametrize(("varies_ns", "right"), [(3 * S, True), (S // 2, False)])
def test_a_clock_in_whole_seconds_is_rightly_named_where_the_name_includes_such_ticks(
    varies_ns, right
):
    low_ns, high_ns = 59_800 * MS, 59_980 * MS
    kind = Kind(FIRST_HIT, 3, low_ns, high_ns, (Box(3, low_ns, high_ns),))
    name = "first-hit-window, its clock in whole seconds"
    assert _outcome(name, 60 * S, kind, varies_ns=varies_ns) is right
