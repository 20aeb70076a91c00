"""Whole courses against simulated limiters, on a virtual clock."""

import random
from itertools import pairwise, takewhile

import pytest
from proving import unknown
from proving.simulated import LIMITERS, fixed_window, greater_counter
from proving.unlisted import bucket_and_window, late_window, leaky

from rateproof.probe import investigation
from rateproof.probe.budget import Budget, needed
from rateproof.probe.confirmation import Confirmation
from rateproof.probe.confirming import Confirming
from rateproof.probe.course import Course
from rateproof.probe.families import FAMILIES, LAST
from rateproof.probe.finding import named_kind
from rateproof.probe.investigation import run_course
from rateproof.probe.refutation import Refutation
from rateproof.probe.rounds import Rounds
from rateproof.probe.seen import Seen
from tests.samples import quick_first

S, MS = 1_000_000_000, 1_000_000
EVERY = (*FAMILIES, *LAST)
PUT_OFF = "fixed-window, a full one puts off the next"
NAMES = [family.name for family in FAMILIES]
BEGIN_NS = 10**15


def _course(simulated, limiter, seed, budget=None, begin_ns=BEGIN_NS, **options):
    families = options.pop("families", EVERY)
    sender = simulated.Sender(limiter, seed, begin_ns=begin_ns, **options)
    course = run_course(sender, budget or Budget(), families=families)
    return course, sender


def _named(course):
    """Family, limit and window of what is named, in ms, to 10 ms."""
    kind = named_kind(course)
    if kind is None:
        return None
    each_ms = kind.figure.window_ns / kind.figure.limit / MS
    return kind.family.name, kind.limit, 10 * round(each_ms / 10)


@pytest.mark.parametrize(
    "name",
    [
        "sliding-log that counts denied requests",
        pytest.param("sliding-log", marks=pytest.mark.slow),
        pytest.param("fixed-window", marks=pytest.mark.slow),
    ],
)
def test_limit_window_and_family_are_named(name, simulated):
    course, sender = _course(simulated, simulated.make(name, 5, S, 7 * S // 10), seed=1)
    assert _named(course) == (name, 5, 1000)
    assert course.proof.true >= 12
    assert all(keys >= 3 for keys in course.proof.excluded.values() if keys) or course.proof.alike
    assert sender.requests <= Budget().requests


@pytest.mark.parametrize(
    ("name", "limit", "window_ns"),
    [
        ("token-bucket", 2, S // 5),
        pytest.param("sliding-log", 1, 5 * S, marks=pytest.mark.slow),
        pytest.param("first-hit-window", 17, S, marks=pytest.mark.slow),
        pytest.param("sliding-log", 20, 5 * S, marks=pytest.mark.slow),
        pytest.param("sliding-log", 20, 10 * S, marks=pytest.mark.slow),
    ],
)
def test_a_name_takes_no_more_requests_and_time_than_it_may(name, limit, window_ns, simulated):
    """The rate from what comes back in all, an edge from many polls, what a key saves once its window is known."""
    limiter = simulated.make(name, limit, window_ns)
    course, sender = _course(simulated, limiter, seed=1, took_ns=(2 * MS, 10 * MS))
    kind = named_kind(course)
    assert (kind.family.name, kind.limit) == (name, limit)
    assert sender.requests <= needed(limit).requests
    assert sender.now_ns() - BEGIN_NS <= needed(limit, window_ns).time_ns


def test_a_bucket_that_saved_all_of_an_idle_time_is_not_named(simulated):
    """A token in 100 ms, and 200 of them in 20 s, of which there are 15."""
    limiter = simulated.make("token-bucket, of which a fresh key has one", 200, 20 * S)
    course, _ = _course(simulated, limiter, 1, Budget(2100, 15 * S))
    assert course.proof is None
    assert course.surprises == 0


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_key_that_saves_what_it_does_not_use_is_left_alone_until_it_saves_no_more(
    seed, simulated
):
    """Fresh keys have one permit of 5: a limit of 1 at first sight."""
    name = "token-bucket, of which a fresh key has one"
    course, _ = _course(simulated, simulated.make(name, 5, 2 * S), seed)
    assert _named(course) == (name, 5, 400)
    assert course.surprises == 0


@pytest.mark.parametrize(("wrong", "rounds"), [(0, 1), (1, 2), (2, 2)])
def test_a_first_surprise_leads_back_to_refutation_and_a_second_forbids_any_name(
    wrong, rounds, simulated, monkeypatch
):
    refuted, predicted = [], []

    def confirm(confirming, left):
        course = confirming._course
        predicted.append(left)
        course.proof = Confirmation((left.kinds()[0].family, left.limit))
        course.surprises += len(predicted) <= wrong
        return len(predicted) > wrong

    monkeypatch.setattr(Refutation, "run", lambda _, left: refuted.append(left))
    monkeypatch.setattr(Confirming, "run", confirm)
    course, _ = _course(simulated, simulated.make("sliding-log", 5, S), seed=1)
    assert len(refuted) == len(predicted) == rounds
    assert course.surprises == wrong
    assert (course.proof is None) == (wrong == 2)


@pytest.mark.slow
def test_of_thirty_limiters_none_is_named_wrongly_and_most_are_named():
    """A sample of `benchmarks/probe.py`, which has more of them, and dearer ones."""
    tally = unknown.simulated(range(30), seed=3, note=lambda _: None, cheap=True)
    assert [str(run) for run in tally.runs if run.wrong] == []
    known = [run for run in tally.runs if run.known]
    assert sum(run.named for run in known) >= len(known) // 2


@pytest.mark.slow
def test_blocks_of_a_tenth_are_part_of_the_name_of_a_log_or_forbid_it(simulated):
    """Blocks of 20 ms: a key comes back after 180 to 200 ms. Finer ones of 1/100 are named."""
    blocks = []
    for limit, window_ns, number, seed in (
        (1, S // 5, 10, 4),
        (1, S // 5, 10, 8),
        (5, 2 * S, 100, 1),
        (5, 2 * S, 100, 2),
    ):
        limiter = simulated.blocks(limit, window_ns, 7777777 * seed, number=number)
        course, _ = _course(simulated, limiter, seed, begin_ns=BEGIN_NS + 123456789 * seed)
        if kind := named_kind(course):
            assert kind.low_ns <= window_ns <= kind.high_ns + course.proof.varies_ns
            assert course.proof.varies_ns >= window_ns // number
            blocks.append(number)
    assert 100 in blocks


@pytest.mark.slow
def test_ticks_at_which_a_window_ends_are_part_of_its_name_or_forbid_it(simulated):
    """Ticks of 125 ms: a key comes back after 1 s to 1.125 s. Finer ones of 25 ms are named."""
    ticks = []
    for window_ns, number, seed in (
        (S, 8, 0),
        (S, 8, 1),
        (S, 8, 2),
        (2 * S, 80, 4),
        (2 * S, 80, 5),
    ):
        tick_ns = window_ns // number
        limiter = simulated.rounded_up(5, window_ns, 7777777 * seed, tick_ns=tick_ns)
        course, _ = _course(simulated, limiter, seed, begin_ns=BEGIN_NS + 123456789 * seed)
        if kind := named_kind(course):
            assert kind.family.name == "first-hit-window"
            assert course.proof.varies_ns >= tick_ns
            ticks.append(number)
    assert 80 in ticks


@pytest.mark.slow
def test_how_late_the_windows_of_a_clock_begin_is_part_of_its_name(simulated):
    """Unless it is said that it is not known."""
    said = []
    for percent, seed in ((1, 1), (2, 2)):
        limiter = late_window(5, S, 7777777 * seed, percent=percent)
        course, _ = _course(simulated, limiter, seed, begin_ns=BEGIN_NS + 123456789 * seed)
        if named_kind(course) and course.proof.varies_ns is not None:
            assert course.proof.varies_ns >= percent * S // 100
            said.append(percent)
    assert said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sliding-log", "fixed-window", "token-bucket"])
def test_a_family_that_is_not_in_the_list_is_not_named_as_another(name, simulated):
    families = [family for family in FAMILIES if family.name != name]
    if name == "fixed-window":  # a clock in whole seconds is the same, for a window of 1 s
        families = [family for family in families if family.other != "tick"]
    limiter = simulated.make(name, 5, 13 * S // 10, 7 * S // 10)
    course, _ = _course(simulated, limiter, 2, families=families)
    assert named_kind(course) is None


@pytest.mark.parametrize(
    "name",
    quick_first(
        [
            "a window that the last admission starts anew",
            "a window that admissions push on once half is used",
            "a log that forgets all once it was full",
            "a log that forgets all unless it was full",
            "a chain of windows that ends when idle",
            "a window that each denial makes a little longer",
            "blocks of 1/10 from a key's first request",
            "a log of groups that are gone with their first",
            "a log of groups that are gone with their newest",
            "a window every third of which admits one more",
            "windows that grow while a key is busy",
            "a window that is longer if it was filled at once",
            "a log that blocks after 5 denials",
            "a log that idle keys reset",
            "a window in whose last tenth nobody is admitted",
            "a log whose window wavers by 2 %",
            "a bucket a quarter of which is slower",
            "a bucket in which 20 denials cost a token",
        ]
    ),
)
def test_what_a_key_does_that_is_not_full_or_idle_or_denied_often_tells_limiters_apart(
    name, simulated
):
    course, _ = _course(simulated, unknown.UNKNOWN[name](5, S, 0), seed=1)
    assert named_kind(course) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "a sliding counter whose clock ticks 30 times in a window",
        "a window that wavers by 1 %",
        "a window that each denial makes a thousandth longer",
        "a log, and 20 times as many of all keys together",
        "a log, and 7 times as many in ten windows",
    ],
)
def test_what_is_said_of_a_name_leaves_room_for_what_was_not_reached(name):
    """By how much its window may vary, and up to where other limits were looked for."""
    number = [*LIMITERS, *unknown.UNKNOWN].index(name)
    told = unknown.tell(number, 3, cheap=True)
    assert not told.wrong, told


@pytest.mark.slow
def test_with_a_limit_of_1_a_log_a_window_and_a_bucket_are_one(simulated):
    course, _ = _course(simulated, simulated.make("sliding-log", 1, S), seed=3)
    assert _named(course) in {None, ("sliding-log", 1, 1000)}
    left = {kind.family.name for kind in course.hypotheses.kinds()}
    assert {"sliding-log", "first-hit-window", "token-bucket"} <= left


@pytest.mark.slow
def test_a_wrong_hint_changes_no_finding(simulated):
    sender = simulated.Sender(simulated.make("sliding-log", 3, S), 5)
    course = run_course(sender, Budget(), hints_ns=(S // 2, 7 * S, 3600 * S))
    assert _named(course) == ("sliding-log", 3, 1000)


def test_a_second_quota_behind_the_first_is_no_name_of_the_first_alone(simulated):
    """Both limits deny, and neither alone explains when."""
    both = simulated.together(
        simulated.make("sliding-log", 4, S), simulated.make("sliding-log", 6, 2 * S)
    )
    course, _ = _course(simulated, both, 2)
    assert named_kind(course) is None


def test_a_bucket_and_a_window_together_are_said_to_explain_all_answers_and_never_named(simulated):
    course, _ = _course(simulated, bucket_and_window(5, S), 1)
    assert named_kind(course) is None
    (kind,) = course.hypotheses.kinds()
    least, most, low_ns, high_ns = kind.beside
    assert (kind.family.name, kind.limit) == ("token-bucket, and a window beside it", 5)
    assert (least, most) == (10, 10)
    assert kind.low_ns <= S // 5 <= kind.high_ns
    assert low_ns <= 3 * S <= high_ns


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_clock_of_each_keys_own_is_named_once_a_key_was_followed_for_windows(seed, simulated):
    """Only what a key did before foretells when it comes back: after denials, and idle for three windows."""
    limiter = fixed_window(5, S, seed, per_key=True)
    course, sender = _course(simulated, limiter, seed)
    kind = named_kind(course)
    assert (kind.family.other, kind.limit) == ("own phase", 5)
    assert kind.low_ns <= S <= kind.high_ns
    assert course.proof.edges >= 2
    assert min(course.proof.excluded.values()) >= 3
    assert sender.now_ns() - BEGIN_NS < needed(5, S).time_ns


def test_what_surprised_of_other_families_is_nothing_against_a_clock_of_each_keys_own(
    simulated, monkeypatch
):
    """It is looked at only once they are refuted, and all of its own predictions are made afterwards."""
    monkeypatch.setattr(investigation, "SURPRISES", 1)
    course, _ = _course(simulated, fixed_window(5, S, 5, per_key=True), 5)
    assert course.surprises == 1
    assert named_kind(course).family.other == "own phase"


@pytest.mark.parametrize("phase_ns", quick_first(range(0, S, S // 4)))
def test_a_clock_that_all_keys_share_is_none_of_each_keys_own(phase_ns, simulated):
    """A phase for each key explains it as well, but no two keys show different ones."""
    course, _ = _course(simulated, fixed_window(4, S, phase_ns), 1, families=LAST)
    assert course.hypotheses.kinds()[0].family.other == "own phase"
    assert named_kind(course) is None


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_bucket_whose_clock_ticks_is_drained_at_ticks_until_its_rate_is_known(seed, simulated):
    """2 tokens in each second, or in every other second one more: only what comes back in all tells."""
    name = "token-bucket, its clock in whole seconds"
    course, _ = _course(simulated, simulated.make(name, 6, 3 * S, 7 * S // 10), seed)
    kind = named_kind(course)
    assert (kind.family.name, kind.limit) == (name, 6)
    assert kind.low_ns <= S // 2 <= kind.high_ns


def test_a_bucket_is_drained_no_more_often_than_there_is_time_for():
    """4 tokens in 10 s: 4 times would take longer than what is left of the time."""
    run = unknown.probe_one(14, 83)
    assert run.name == "token-bucket, its clock in whole seconds"
    assert run.named.family.name == run.name


def test_a_bucket_is_drained_before_it_is_foretold_when_it_is_full():
    """The last quarter comes back at 0.7 of the speed: a rate that is hardly known explains that."""
    run = unknown.probe_one(53, 2034)
    assert run.name == "a bucket a quarter of which is slower"
    assert run.named is None


def test_a_window_that_is_not_known_at_all_is_timed_between_two_instants_at_which_a_key_comes_back(
    simulated,
):
    """As where nothing but the first key has come back yet: it may be as long as the time."""
    limiter = fixed_window(5, 2 * S, 1, per_key=True)
    course, _ = _course(simulated, limiter, 1, families=LAST)
    kind = named_kind(course)
    assert kind.low_ns <= 2 * S <= kind.high_ns


@pytest.mark.parametrize(
    "name",
    quick_first(
        [
            "windows that grow while a key is busy",
            "a chain of windows that ends when idle",
            "blocks of 1/10",
            "a window that the last admission starts anew",
            "a log that forgets all unless it was full",
        ]
    ),
)
def test_what_a_phase_for_each_key_explains_at_first_is_not_named_so(name, simulated):
    course, _ = _course(simulated, unknown.UNKNOWN[name](4, S, 7 * S // 10), seed=1)
    kind = named_kind(course)
    assert kind is None or kind.family.other != "own phase"


@pytest.mark.parametrize(("limit", "seed"), [(6, 1), pytest.param(12, 1, marks=pytest.mark.slow)])
def test_a_window_that_a_full_one_puts_off_is_no_clock_of_each_keys_own(limit, seed, simulated):
    """A key that is full each time comes back W/N after the clock's edge, as if at a phase of its own."""
    families = [family for family in EVERY if family.name != PUT_OFF]
    course, _ = _course(simulated, greater_counter(limit, S, 7 * S // 10), seed, families=families)
    assert named_kind(course) is None
    assert course.surprises


@pytest.mark.parametrize("seed", quick_first(range(4)))
def test_a_window_that_a_full_one_puts_off_by_one_request_is_no_fixed_one(seed, simulated):
    """A 30th of a window later: the edge is known more closely than that before it is foretold."""
    limiter = greater_counter(30, 5 * S, 7 * S // 10)
    families = [family for family in EVERY if family.name != PUT_OFF]
    course, _ = _course(simulated, limiter, seed, families=families)
    assert named_kind(course) is None


@pytest.mark.parametrize(
    ("limit", "window_ns", "took_ns", "name", "seed"),
    quick_first(
        [
            (30, 2 * S, (2 * MS, 3 * MS), PUT_OFF, 1),
            (30, S // 2, (20 * MS, 30 * MS), "fixed-window", 1),
            (5, S, (10 * MS, 30 * MS), PUT_OFF, 1),
        ]
    ),
)
def test_a_window_that_a_full_one_puts_off_is_named_or_said_to_be_like_a_fixed_one(
    limit, window_ns, took_ns, name, seed, simulated
):
    """A window by its limit is 67 ms, or less than an answer takes."""
    limiter = greater_counter(limit, window_ns, 7 * S // 10)
    course, _ = _course(simulated, limiter, seed, took_ns=took_ns)
    assert _named(course) == (name, limit, window_ns // MS)
    alike = [family.name for family in course.proof.alike]
    assert alike == ([] if name == PUT_OFF else [PUT_OFF])


@pytest.mark.parametrize("seed", quick_first(range(4)))
def test_a_counter_of_one_is_no_clock_of_two_windows_where_it_is_not_in_the_list(seed, simulated):
    """Only a key used at the end of its window, and at once in the next, tells that the time is counted from its use."""
    limiter = greater_counter(1, S, 7 * S // 10)
    course, _ = _course(simulated, limiter, seed, Budget(3000, 200 * S), families=LAST)
    assert named_kind(course) is None


@pytest.mark.parametrize(
    ("number", "sticky"), quick_first([(2, True), (4, False), (2, False), (4, True)], quick=2)
)
def test_several_counters_are_told_from_one_and_by_the_connection_or_not(number, sticky, simulated):
    """A key may fill all of them at once, and the next some of them."""
    for seed in range(4):
        limiter = simulated.several(simulated.sliding_log(5, S), number, seed, sticky=sticky)
        course, _ = _course(simulated, limiter, seed)
        assert named_kind(course) is None
        assert course.several is not None, seed
        assert course.several.sticky == sticky
        assert 2 <= course.several.counters <= number


@pytest.mark.parametrize(
    ("limit", "window_ns", "seed"),
    [
        (2, S // 2, 0),
        pytest.param(2, S // 2, 1, marks=pytest.mark.slow),
        (2, 5 * S, 6),  # by the connection, as it seems
        pytest.param(18, 15 * S, 5, marks=pytest.mark.slow),  # all denied, for a while
        pytest.param(18, S, 7, marks=pytest.mark.slow),
        pytest.param(30, 15 * S, 9, marks=pytest.mark.slow),
        pytest.param(30, 15 * S, 11, marks=pytest.mark.slow),
    ],
)
def test_a_limiter_that_lets_some_through_is_no_number_of_counters(
    limit, window_ns, seed, simulated
):
    """One in ten, at random: together they admit another number each time."""
    limiter = leaky(simulated.sliding_log(limit, window_ns), 0.1, seed)
    course, _ = _course(simulated, limiter, seed)
    assert (course.several, named_kind(course)) == (None, None)


def test_no_limit_takes_the_budget_and_no_more(simulated):
    limiter = simulated.make("sliding-log", 1000, S)
    course, sender = _course(simulated, limiter, seed=1, budget=Budget(requests=90))
    assert (course.limit, course.hypotheses) == (0, None)
    assert sender.requests == 90


def test_a_window_beyond_the_horizon_leaves_the_limit_alone(simulated):
    budget = Budget(requests=90, time_ns=2 * S)
    limiter = simulated.make("sliding-log", 4, 3600 * S)
    course, _ = _course(simulated, limiter, seed=1, budget=budget)
    assert (course.limit, course.hypotheses) == (4, None)
    assert S < course.held_ns <= 2 * S


@pytest.mark.slow
def test_too_few_requests_name_nothing(simulated):
    budget = Budget(requests=needed(5).requests // 4)
    course, sender = _course(simulated, simulated.make("sliding-log", 5, S), 1, budget)
    assert named_kind(course) is None
    assert sender.requests <= budget.requests


class Changing:
    """Another limiter from some request on, as after a reload of its policy."""

    def __init__(self, one, other, after):
        self.one, self.other, self.left = one, other, after

    def __call__(self):
        one, other = self.one(), self.other()

        def admits(now_ns):
            self.left -= 1
            return (one if self.left >= 0 else other)(now_ns)

        return admits


@pytest.mark.parametrize("after", quick_first([60, 30, 120]))
def test_what_the_named_policy_does_not_explain_forbids_the_name(after, simulated):
    changing = Changing(
        simulated.make("sliding-log", 5, S // 2), simulated.make("sliding-log", 5, S), after
    )
    course, _ = _course(simulated, changing, 5)
    assert named_kind(course) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_fresh_key_that_is_denied_shares_the_count_of_others(seed, simulated):
    """Whoever has a limit of his own is admitted at first; a number that is named is right."""
    limiter = simulated.make("sliding-log", 5, S // 2)
    course, _ = _course(simulated, limiter, seed, shared=True)
    assert course.shared
    assert _named(course) in {None, ("sliding-log", 5, 500)}


@pytest.mark.slow
def test_answers_of_fifty_milliseconds_and_slow_ones_mislead_nobody(simulated):
    rng = random.Random(4)
    for seed in range(2):
        limiter = simulated.make("first-hit-window", 5, 2 * S, rng.randrange(S))
        course, _ = _course(simulated, limiter, seed, took_ns=(10 * MS, 50 * MS), slow=0.02)
        if kind := named_kind(course):
            assert (kind.family.name, kind.limit) == ("first-hit-window", 5)
            assert kind.low_ns <= 2 * S <= kind.high_ns


@pytest.mark.parametrize("name", ["first-hit-window", "fixed-window"])
def test_one_key_is_reused_after_three_idle_windows_and_denied_often_then(name, simulated):
    """One key stands for both, where each took one of its own."""
    course, _ = _course(simulated, simulated.make(name, 20, S, S // 3), 1, took_ns=(MS, 2 * MS))
    assert _named(course) == (name, 20, 1000)
    key = course.first
    idle_ns = [after.sent_ns - before.received_ns for before, after in pairwise(key)]
    again = 1 + next(place for place, each_ns in enumerate(idle_ns) if each_ns > 3 * S)
    assert any(seen.denied for seen in key[:again])
    assert (key[again].admitted, key[again].denied) == (20, 2)
    before_back = takewhile(lambda seen: not seen.admitted, key[again + 1 :])
    assert sum(seen.denied for seen in before_back) >= 20
    assert sum(key is course.first for key in course.planned) == 1


def test_a_bucket_s_first_key_is_reused_once(simulated):
    """Intervals are widened, so that it was idle for a little less than nothing was asked for."""
    limiter = simulated.make("token-bucket", 13, 10 * S, 10 * S // 3)
    course, _ = _course(simulated, limiter, 2, took_ns=(MS, 2 * MS))
    assert _named(course)
    assert course.first
    assert sum(seen.admitted + seen.denied > 13 for seen in course.first[1:]) == 1


def test_a_key_that_is_asked_one_by_one_does_not_tell_how_closely_a_schedule_knows_an_instant():
    course = Course(keys=[[Seen(0, S, 30, 1)] * 9])
    assert course.width_ns == S
    course.take([((0, 1),)], [[Seen(2 * S, 2 * S + 5 * MS, 1, 0)]], 2 * S)
    assert course.width_ns == 5 * MS


def test_an_edge_of_a_clock_is_known_as_closely_as_one_request():
    """All 55 of a volley take long, one of them always being slow: not those that ask when they are back."""
    course = Course()
    course.keys.append([Seen(0, 50 * MS, 55, 0), Seen(S, S + 4 * MS, 1, 0)])
    assert (course.width_ns, course.single_ns) == (50 * MS, 4 * MS)
    run = unknown.probe_one(171, 1)
    assert run.limit == 55
    assert run.named.family.name == run.name == "sliding-counter, its weight rounded to the nearest"


@pytest.mark.parametrize(("name", "seed"), [("sliding-counter", 3), ("fixed-window", 6)])
def test_no_name_is_given_while_a_key_is_to_be_asked_more(simulated, monkeypatch, name, seed):
    """Rounds of long windows are cut short, and what comes later counts for a name, too."""
    made = []
    begin = Rounds.__init__
    monkeypatch.setattr(Rounds, "__init__", lambda *of: made.append(of[0]) or begin(*of))
    limiter = simulated.make(name, 5, 20 * S)
    course, _ = _course(simulated, limiter, seed, Budget(400, 200 * S))
    assert named_kind(course).family.name == name
    assert not made[0].going
    assert course.proof.keys >= 3


@pytest.mark.parametrize(("seed", "time_s"), [(3, 90), (4, 90), (5, 130)])
def test_what_is_asked_of_a_key_that_is_full_still_ends_in_time(simulated, seed, time_s):
    budget = Budget(400, time_s * S)
    _, sender = _course(simulated, simulated.make("fixed-window", 5, 20 * S), seed, budget)
    assert sender.now_ns() - BEGIN_NS <= time_s * S + 100 * MS
    assert sender.requests <= 400
