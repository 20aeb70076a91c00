"""A breach: the fewest requests that show it, all of them needed."""

from dataclasses import replace

from rateproof.clock import Tolerance
from rateproof.policy import Policy
from rateproof.prove.over_admission.breach import Breach, find_breach
from rateproof.prove.over_admission.families import Model
from rateproof.prove.over_admission.feasible import feasible
from rateproof.prove.over_admission.gaps import Exhausted, Feasible, Infeasible

UNCOUNTED = [(0, 200), (300, 300), (600, 600), (200, 400)]
TWO = Model.of(Policy.parse("2 per 400ns"))


def shorter(model, by_ns):
    return Model(tuple(replace(stair, slack_ns=stair.slack_ns + by_ns) for stair in model.stairs))


def test_counting_names_the_fewest_windows_and_their_tightest_requests():
    jobs = [(0, 0), (10, 10), (20, 20), (5_000, 5_000), (5_001, 5_001), (5_002, 5_002)]
    assert find_breach(jobs, TWO, 0) == (Breach((3, 4, 5), 0, 1, 398), 0)


def test_the_quota_that_is_broken_is_named():
    model = Model.of(Policy.parse("9 per 400ns; 2 per 100ns"))
    found, _ = find_breach([(0, 0), (1, 1), (2, 2)], model, 0)
    assert found == Breach((0, 1, 2), 1, 1, 98)


def test_two_windows_are_named_where_one_shows_nothing():
    """Five in less than two windows of two, no three of them certainly in one."""
    jobs = [(t, t + 30) for t in (0, 85, 170, 255, 340)]
    found, _ = find_breach(jobs, Model.of(Policy.parse("2 per 190ns")), 10**6)
    assert found == Breach((0, 1, 2, 3, 4), 0, 2, 10)


def test_the_slack_of_a_searched_core_is_the_most_that_keeps_it_impossible():
    found, _ = find_breach(UNCOUNTED, TWO, 10**6)
    assert isinstance(found, Breach)
    assert (sorted(found.core), found.stair) == ([0, 1, 2, 3], None)
    assert isinstance(feasible(UNCOUNTED, shorter(TWO, found.slack_ns).stairs, 10**6), Infeasible)
    assert isinstance(feasible(UNCOUNTED, shorter(TWO, found.slack_ns + 1).stairs, 10**6), Feasible)


def test_one_segment_out_of_budget_does_not_hide_a_breach_in_the_next():
    jobs = [(0, 1000), (100, 100)]
    later = [(10_000 + sent, 10_000 + received) for sent, received in UNCOUNTED]
    one = Model.of(Policy.parse("1 per 400ns"))
    assert isinstance(find_breach(jobs, one, 0)[0], Exhausted)
    assert isinstance(find_breach(jobs + later, one, 0)[0], Breach)
    found, spent = find_breach(jobs, one, 10**6)
    assert found is None
    assert spent > 0


def test_fewer_requests_of_another_quota_are_shown_before_more_of_the_first():
    model = Model.of(Policy.parse("2 per 400ns; 3 per 2000ns"))
    apart = [(0, 0), (500, 500), (1_000, 1_000), (1_500, 1_500)]
    assert find_breach(apart, model, 0)[0] == Breach((0, 1, 2, 3), 1, 1, 500)
    close = [(5_000, 5_000), (5_100, 5_100), (5_399, 5_399)]
    assert find_breach([*apart, *close], model, 0)[0] == Breach((4, 5, 6), 0, 1, 1)


def test_a_counter_needs_fewer_requests_than_its_gap_says():
    """Eleven in a window of 5 are never right, and neither are seven at once."""
    model = Model.of(Policy.parse("sliding-counter 5 per 400ns"), Tolerance())
    burst = [(t, t + 1) for t in range(11)]
    found, _ = find_breach(burst, model, 0)
    assert isinstance(found, Breach)
    assert (len(found.core), found.stair, found.minimal) == (7, None, True)
    unreduced, _ = find_breach(burst, model, 0, effort=0)
    assert unreduced == Breach(tuple(range(11)), 0, 1, 388, minimal=False)


def test_what_was_needed_before_another_was_left_out_is_tried_again():
    """A counter that may have begun anew is searched in parts, which are others without one request."""
    model = Model.of(Policy.parse("sliding-counter 3 per 30ns"))
    core = [(0, 15), (3, 9), (11, 12), (22, 25), (24, 24), (27, 38), (34, 40)]
    extra = [(18, 44), (33, 51), (57, 59), (68, 68), (77, 85), (79, 87)]
    found, _ = find_breach([*core, *extra], model, 10**6)
    assert isinstance(found, Breach)
    assert found.minimal
    kept = [[*core, *extra][i] for i in found.core]
    for left_out in range(len(kept)):
        fewer = kept[:left_out] + kept[left_out + 1 :]
        assert find_breach(fewer, model, 10**6)[0] is None
