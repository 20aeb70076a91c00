"""The rules for wrong rejections against every choice of instants and outcomes."""

import random
import time
from dataclasses import replace
from itertools import product

import pytest

from rateproof.clock import EXACT, Tolerance
from rateproof.policy import Policy, Quota
from rateproof.prove.keys import KeyLog
from rateproof.prove.wrong_rejection.fullness import BucketRule, Maxima, WindowRule, rules_of
from rateproof.prove.wrong_rejection.rules import Judgement, covered_from_ns, has_rule

NEVER = 10**6
LAST = 14
WINDOWS = ("sliding-log", "fixed-window", "first-hit-window", "sliding-counter", "sliding-blocks")


def wrong_rejections(rejections, admissions, policy, tolerance=EXACT, **options):
    """Rejections of a fresh key that are wrong; an admission that never ended is one of unknown outcome."""
    key = KeyLog(
        b"k",
        0,
        admitted=[job for job in admissions if job[1] is not None],
        rejected=list(rejections),
        unknown=[job for job in admissions if job[1] is None],
    )
    judgement = Judgement(policy, fresh=True, **options)
    return judgement.wrong(key, judgement.judged(key, tolerance), tolerance)


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
    """Say whether the quota may be full, by the instants of what was taken; any tie is excused."""
    if quota.algorithm == "token-bucket":
        # Full at best at x; 1 ns of refill is excused.
        return any(
            quota.burst - sum(x <= t <= at for t in instants)
            + max(0, quota.limit * (at - x - 1)) / quota.window_ns < 1
            for x in {at, *instants} if x <= at
        )  # fmt: skip
    longer = {
        "sliding-counter": quota.window_ns,
        "sliding-blocks": 3 * -(-quota.window_ns // 2) - quota.window_ns,
    }
    window_ns = quota.window_ns + longer.get(quota.algorithm, 0)
    return sum(at - window_ns <= t <= at for t in instants) >= quota.limit


def some_quota(rng):
    algorithm = rng.choice((*WINDOWS, "token-bucket", "token-bucket", "sliding-log"))
    # Windows that are a power of 2 keep the fractions above exact.
    burst, window_ns = 0, rng.randint(1, 5)
    if algorithm == "token-bucket":
        burst, window_ns = rng.randint(1, 4), rng.choice((1, 2, 4))
    blocks = 2 if algorithm == "sliding-blocks" else 0
    return Quota(rng.randint(1, 3), window_ns, algorithm, burst, blocks)


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
        quotas = tuple(some_quota(rng) for _ in range(rng.choice([1, 1, 2])))
        denied_count = rng.random() < 0.3
        admitted, unended, rejected = some_log(rng, 4, 2 if denied_count else 1)
        wrong = wrong_rejections(
            rejected, admitted + unended, Policy(quotas), denied_count=denied_count
        )
        found = {w.index for w in wrong}
        for index, (sent, received) in enumerate(rejected):
            others = rejected[:index] + rejected[index + 1 :] if denied_count else []
            every = list(choices(admitted + others, unended))
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
            only_logs = all(quota.algorithm == "sliding-log" for quota in quotas)
            if index not in found and only_logs and not denied_count:
                joint = any(holds(instants, quotas) for instants in every)
                only_jointly += joint and not any(holds(instants, quotas) for instants in excused)
    return wrong_ones, right_ones, only_jointly


def test_a_rejection_is_wrong_exactly_when_no_choice_fills_a_quota():
    """Each admission may be anywhere in its interval, whatever the others do.

    So no choice that keeps the limit excuses it either: the rule gives no
    false alarm. It does miss some that only a joint search would find.
    """
    wrong_ones, right_ones, only_jointly = compare(random.Random(1), 4_000)
    assert wrong_ones > 600
    assert right_ones > 600
    assert only_jointly > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_rejection_is_wrong_exactly_when_no_choice_fills_a_quota_at_length(seed):
    wrong_ones, _, _ = compare(random.Random(100 + seed), 60_000)
    assert wrong_ones > 8_000


def test_the_sweep_counts_as_by_hand():
    rng = random.Random(2)
    for _ in range(1_000):
        admitted, unended, _ = some_log(rng, 9, 1)
        rule = WindowRule(rng.randint(1, 4), rng.randint(1, 5))
        occupancy = rule.occupancy(admitted + unended)

        def at(t, everyone=(*admitted, *unended), window=rule.lasts_ns):
            return sum(s <= t and (r is None or t <= r + window) for s, r in everyone)

        for first in range(-2, LAST):
            last = rng.randint(first, LAST + 5)
            most = max(map(at, range(first, last + 1)))
            assert occupancy.used_at(first) == at(first)
            assert occupancy.may_be_full(first, last) == (most >= rule.limit)
            assert occupancy.most(first, last) == len(occupancy.counted(first, last)) == most


def test_a_bucket_is_at_its_lowest_where_every_instant_says_so():
    """The level by simulation, with each request decided as late as it can be."""
    rng = random.Random(3)
    for _ in range(1_000):
        admitted, unended, _ = some_log(rng, 9, 1)
        rule = BucketRule(
            rng.randint(1, 5), rng.randint(1, 4), rng.randint(1, 9), rng.randint(0, 3)
        )
        empty = rng.choice((None, 3))
        occupancy = rule.occupancy(admitted + unended, empty)

        def level(t, everyone=(*admitted, *unended), rule=rule, empty=empty):
            """In units; what flows in is rounded over every stretch by itself."""
            taken = [min(t, t if r is None else r) for s, r in everyone if s <= t]
            stretches = {(x, rule.limit * rule.cost, x) for x in {t, *taken}}
            if empty is not None:
                stretches.add((empty + 1, 0, empty))
            return min(
                full - rule.cost * sum(x <= at for at in taken)
                + max(0 if full else -rule.slack, rule.gain * (t - since) - rule.slack)
                for x, full, since in stretches
            )  # fmt: skip

        for first in range(4, LAST):
            last = rng.randint(first, LAST + 5)
            least = min(map(level, range(first, last + 1)))
            assert occupancy.may_be_full(first, last) == (least < rule.cost)
            if least >= rule.cost:
                held = rule.limit - occupancy.most(first, last)
                assert 1 <= held <= least // rule.cost


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
    assert [(w.quota, w.most) for w in found] == [(0, 0)]


def test_a_bucket_of_one_is_empty_until_its_token_has_come_again():
    policy = Policy.parse("token-bucket 1 per 10ns burst 1")
    assert wrong_rejections([(10, 10)], [(0, 0)], policy) == []
    assert [w.index for w in wrong_rejections([(11, 11)], [(0, 0)], policy)] == [0]
    assert [w.most for w in wrong_rejections([(0, 0)], [], policy)] == [0]


def test_where_denied_requests_count_a_client_who_keeps_asking_may_be_denied_for_ever():
    policy = Policy.parse("1 per 10ns")
    asking = [(t, t) for t in range(5, 100, 5)]
    found = wrong_rejections(asking, [(0, 0)], policy)
    assert [w.index for w in found] == [index for index, (t, _) in enumerate(asking) if t > 10]
    assert wrong_rejections(asking, [(0, 0)], policy, denied_count=True) == []
    pause = [*asking, (106, 106)]
    assert [w.index for w in wrong_rejections(pause, [(0, 0)], policy, denied_count=True)] == [19]


def test_one_quota_without_a_rule_leaves_all_without():
    policy = Policy.parse("5 per 10ns; leaky-queue 1 per 1s burst 2")
    assert not has_rule(policy)
    assert wrong_rejections([(0, 0)], [], policy) == []


def test_the_longest_window_and_the_longest_request_must_have_passed_since_the_first():
    rules = rules_of(Policy.parse("5 per 10ns; sliding-counter 9 per 25ns"))
    assert covered_from_ns(107, rules) == 157
    (bucket,) = rules_of(Policy.parse("token-bucket 2 per 10ns burst 3"))
    assert bucket.horizon_ns == 16


def test_what_a_bucket_lost_before_the_log_began_may_be_missing_for_ever():
    """A steady client whom the bucket lets pass as fast as it fills stays at its bottom."""
    policy = Policy.parse("token-bucket 1 per 10ns burst 2")
    steady = [(t, t) for t in range(0, 1_000, 10)]
    key = KeyLog(b"k", 0, admitted=steady, rejected=[(995, 995)])
    judgement = Judgement(policy, fresh=False, longest_ns=0)
    assert judgement.judged(key, EXACT) == [0]
    assert judgement.wrong(key, [0], EXACT) == []
    assert replace(judgement, fresh=True).wrong(key, [0], EXACT)
    rarely = replace(key, admitted=[(t, t) for t in range(0, 1_000, 12)])
    assert judgement.wrong(rarely, [0], EXACT)


def test_a_bucket_from_which_denials_take_too_is_judged_only_on_fresh_keys():
    policy = Policy.parse("token-bucket 1 per 10ns burst 2")
    key = KeyLog(b"k", 0, admitted=[(0, 0)], rejected=[(900, 900)])
    for fresh, judged in ((True, [0]), (False, [])):
        judgement = Judgement(policy, fresh=fresh, longest_ns=0, denied_count=True)
        assert judgement.judged(key, EXACT) == judged


@pytest.mark.parametrize("policy", ["2 per 10ns", "token-bucket 2 per 10ns"])
def test_a_long_log_is_judged_in_far_less_than_quadratic_time(policy):
    """Forty thousand overlapping intervals, all rejections right but one."""
    admitted = [(i, i + 40_000) for i in range(40_000)]
    rejected = [(i, i + 40_000) for i in range(0, 40_000, 2)] + [(-100_000, -90_000)]
    found = wrong_rejections(rejected, admitted, Policy.parse(policy))
    assert [wrong.index for wrong in found] == [20_000]


def test_the_greatest_of_any_stretch_is_found_at_its_first_place():
    rng = random.Random(8)
    for _ in range(2_000):
        values = [rng.randrange(5) for _ in range(rng.randint(1, 40))]
        low, high = sorted(rng.sample(range(len(values) + 1), 2))
        most = max(values[low:high])
        assert Maxima(values).first(low, high) == (most, values.index(most, low))


def test_many_wrong_rejections_under_way_together_cost_far_less_than_quadratic_time():
    """Each may have been decided at any start: 512 million looks if each is looked at for each."""
    jobs = [(i, 10**9 + i) for i in range(32_000)]
    policy = Policy((Quota(len(jobs), 10**6),))
    began = time.process_time()
    wrong = wrong_rejections(jobs[::2], jobs[1::2], policy)
    assert len(wrong) == 16_000
    assert {one.most for one in wrong} == {16_000}
    assert time.process_time() - began < 20
