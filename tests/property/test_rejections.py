"""The rule for wrong rejections against every choice of instants and outcomes."""

import random
from itertools import product

import pytest

from rateproof.policy import Policy, Quota
from rateproof.prove.models import EXACT, Tolerance
from rateproof.prove.rejections import Occupancy, covered_from_ns, has_rule, wrong_rejections

NEVER = 10**6
LAST = 14


def some_log(rng, admissions, rejections):
    """Intervals below LAST; an admission that never ended may have been none."""

    def interval():
        sent = rng.randrange(LAST - 3)
        return sent, sent + rng.randrange(2)

    admitted = [interval() for _ in range(rng.randint(0, admissions))]
    unended = [(sent, None) for sent, _ in (interval() for _ in range(rng.choice([0, 0, 1])))]
    return admitted, unended, [interval() for _ in range(rng.randint(1, rejections))]


def choices(admitted, unended):
    """All instants of all admissions; an unended one may be at any later time, or none."""
    known = [range(sent, received + 1) for sent, received in admitted]
    open_ended = [(*range(sent, LAST), NEVER) for sent, _ in unended]
    return product(*known, *open_ended)


def full(instants, at, quota):
    """Whether a sliding log may deny: one at exactly W is excused, and so is any tie."""
    return sum(at - quota.window_ns <= t <= at for t in instants) >= quota.limit


def holds(instants, quotas):
    for quota in quotas:
        ordered = sorted(t for t in instants if t != NEVER)
        n = quota.limit
        if any(ordered[k] - ordered[k - n] < quota.window_ns for k in range(n, len(ordered))):
            return False
    return True


def compare(rng, instances):
    wrong_ones = right_ones = only_jointly = 0
    for _ in range(instances):
        quotas = tuple(
            Quota(rng.randint(1, 3), rng.randint(1, 5)) for _ in range(rng.choice([1, 1, 2]))
        )
        admitted, unended, rejected = some_log(rng, 4, 1)
        found = {w.index for w in wrong_rejections(rejected, admitted + unended, Policy(quotas))}
        for index, (sent, received) in enumerate(rejected):
            every = list(choices(admitted, unended))
            excused = [
                instants
                for instants in every
                if any(
                    full(instants, at, quota)
                    for at in range(sent, received + 1)
                    for quota in quotas
                )
            ]
            assert (index in found) == (not excused), (quotas, admitted, unended, rejected)
            wrong_ones += index in found
            right_ones += index not in found
            if index not in found and any(holds(instants, quotas) for instants in every):
                only_jointly += not any(holds(instants, quotas) for instants in excused)
    return wrong_ones, right_ones, only_jointly


def test_a_rejection_is_wrong_exactly_when_no_choice_fills_a_window():
    """Each admission may be anywhere in its interval, whatever the others do.

    So no choice that keeps the limit excuses it either: the rule gives no
    false alarm. It does miss some that only a joint search would find.
    """
    wrong_ones, right_ones, only_jointly = compare(random.Random(1), 12_000)
    assert wrong_ones > 2_000
    assert right_ones > 2_000
    assert only_jointly > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2))
def test_a_rejection_is_wrong_exactly_when_no_choice_fills_a_window_at_length(seed):
    wrong_ones, _, _ = compare(random.Random(100 + seed), 150_000)
    assert wrong_ones > 20_000


def test_the_sweep_counts_as_by_hand():
    rng = random.Random(2)
    for _ in range(3_000):
        admitted, unended, _ = some_log(rng, 9, 1)
        window, limit = rng.randint(1, 5), rng.randint(1, 4)
        occupancy = Occupancy(admitted + unended, window, limit)

        def at(t, everyone=(*admitted, *unended), window=window):
            return sum(s <= t and (r is None or t <= r + window) for s, r in everyone)

        for first in range(-2, LAST):
            last = rng.randint(first, LAST + 5)
            most = max(map(at, range(first, last + 1)))
            assert occupancy.at(first) == at(first)
            assert occupancy.may_be_full(first, last) == (most >= limit)
            assert len(occupancy.fullest(first, last)) == most


def test_a_rejection_at_exactly_a_window_is_excused_and_a_nanosecond_later_is_wrong():
    policy = Policy.parse("1 per 10ns")
    assert wrong_rejections([(10, 10)], [(0, 0)], policy) == []
    assert [w.index for w in wrong_rejections([(11, 11)], [(0, 0)], policy)] == [0]


def test_tolerance_and_granularity_lengthen_the_window():
    policy = Policy.parse("1 per 1000000ns")
    for tolerance, longest in ((Tolerance(500), 1_000_501), (Tolerance(500, 7), 1_000_508)):
        assert wrong_rejections([(longest, longest)], [(0, 0)], policy, tolerance) == []
        assert wrong_rejections([(longest + 1, longest + 1)], [(0, 0)], policy, tolerance)


def test_with_several_quotas_a_rejection_is_wrong_only_if_all_had_room():
    policy = Policy.parse("1 per 10ns; 2 per 1000ns")
    assert wrong_rejections([(500, 500)], [(0, 0), (20, 20)], policy) == []
    found = wrong_rejections([(500, 500)], [(0, 0)], policy)
    assert [(w.quota, w.most, w.counted) for w in found] == [(0, 0, ())]


def test_other_algorithms_have_no_rule():
    policy = Policy.parse("5 per 10ns; token-bucket 1 per 1s")
    assert not has_rule(policy)
    assert wrong_rejections([(0, 0)], [], policy) == []


def test_the_longest_window_and_the_longest_request_must_have_passed_since_the_first():
    assert covered_from_ns(100, 7, Policy.parse("5 per 10ns; 9 per 50ns"), EXACT) == 157


def test_a_long_log_is_judged_in_far_less_than_quadratic_time():
    """Forty thousand overlapping intervals, all rejections right but one."""
    admitted = [(i, i + 40_000) for i in range(40_000)]
    rejected = [(i, i + 40_000) for i in range(0, 40_000, 2)] + [(-100_000, -90_000)]
    found = wrong_rejections(rejected, admitted, Policy.parse("2 per 10ns"))
    assert [wrong.index for wrong in found] == [20_000]
