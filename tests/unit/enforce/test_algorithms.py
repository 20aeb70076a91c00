"""The specification by example: "5 per 5s" and its like, by each algorithm."""

import pytest

from rateproof.enforce.algorithms import RULES
from rateproof.policy import ALGORITHMS, Policy

S = 1_000_000_000


class Key:
    """One key under one quota: the state, and the rule that changes it."""

    def __init__(self, text):
        self.quota = Policy.parse(text).quotas[0]
        self.rule = RULES[self.quota.algorithm]
        self.state = (0,) * self.rule.width(self.quota)

    def retry(self, now_ns, cost=1):
        return self.rule.retry_after_ns(self.quota, self.state, now_ns, cost)

    def hit(self, now_ns, cost=1):
        """Say whether it is admitted."""
        admitted = self.retry(now_ns, cost) == 0
        if admitted:
            self.state = self.rule.charged(self.quota, self.state, now_ns, cost)
        return admitted

    def remaining(self, now_ns):
        return self.rule.remaining(self.quota, self.state, now_ns)

    def reset(self, now_ns):
        return self.rule.reset_after_ns(self.quota, self.state, now_ns)


def test_every_algorithm_of_a_policy_has_its_rule_unless_it_delays():
    assert RULES.keys() == {name for name, record in ALGORITHMS.items() if not record.delays}


@pytest.mark.parametrize("algorithm", RULES)
@pytest.mark.parametrize("now", [0, 1, 2**60 - 1])
def test_a_key_never_seen_has_the_whole_quota_at_any_time(algorithm, now):
    key = Key(f"{algorithm} 5 per 5s")
    assert (key.remaining(now), key.reset(now)) == (5, 0)
    assert key.hit(now, cost=5)
    assert (key.remaining(now), key.hit(now)) == (0, False)
    assert max(key.state) < 2**61, "all numbers fit a word"


def test_a_log_frees_each_permit_exactly_a_window_after_it_was_taken():
    key = Key("sliding-log 2 per 5s")
    assert key.hit(10)
    assert key.hit(12)
    assert (key.retry(13), key.retry(13, cost=2), key.reset(13)) == (
        5 * S - 3,
        5 * S - 1,
        5 * S - 1,
    )
    assert not key.hit(5 * S + 9)
    assert key.hit(5 * S + 10)
    assert not key.hit(5 * S + 11)


def test_a_block_gives_back_all_that_it_admitted_a_block_after_its_window():
    key = Key("sliding-blocks 5 per 60s")
    assert key.hit(0, cost=2)
    assert key.hit(S - 1)
    assert key.hit(3 * S // 2, cost=2)
    assert (key.retry(2 * S), key.retry(2 * S, cost=4), key.reset(2 * S)) == (
        59 * S,
        60 * S,
        60 * S,
    )
    assert not key.hit(61 * S - 1)
    assert key.remaining(61 * S) == 3
    assert key.hit(61 * S, cost=3)
    assert (key.retry(61 * S), key.retry(61 * S, cost=3)) == (S, 61 * S)


def test_blocks_are_rounded_up_so_that_a_window_never_shrinks():
    key = Key("sliding-blocks 1 per 10us blocks 3")
    assert key.hit(3334 - 1)
    assert key.retry(3334 - 1) == 4 * 3334 - 3333


def test_a_bucket_gets_a_token_each_interval_and_holds_at_most_its_burst():
    key = Key("token-bucket 1 per 1s burst 3")
    assert key.hit(7, cost=3)
    assert (key.retry(7), key.retry(7, cost=3), key.reset(7)) == (S, 3 * S, 3 * S)
    assert not key.hit(7 + S - 1)
    assert key.hit(7 + S)
    assert key.remaining(100 * S) == 3


def test_the_interval_of_a_bucket_is_rounded_up():
    """A third of a microsecond short of three: never faster than was promised."""
    key = Key("token-bucket 3 per 10us")
    assert key.hit(0, cost=3)
    assert key.retry(0, cost=3) == 3 * 3334


def test_a_fixed_window_begins_at_a_multiple_of_its_length():
    key = Key("fixed-window 5 per 5s")
    assert key.hit(5 * S - 1, cost=5)
    assert (key.retry(5 * S - 1), key.reset(5 * S - 1)) == (1, 1)
    assert key.hit(5 * S, cost=4)
    assert (key.retry(5 * S), key.retry(5 * S, cost=2), key.reset(5 * S)) == (0, 5 * S, 5 * S)


def test_a_first_hit_opens_a_window_and_a_later_one_does_not_extend_it():
    key = Key("first-hit-window 3 per 5s")
    assert key.hit(S + 1)
    assert key.hit(6 * S, cost=2)
    assert (key.retry(6 * S), key.reset(6 * S)) == (1, 1)
    assert key.hit(6 * S + 1, cost=3)
    assert key.retry(6 * S + 1) == 5 * S


@pytest.mark.parametrize(("limit", "unit"), [(3, 1), (5, 2), (65_536, 2**15), (10**9, 2**28)])
def test_the_end_of_an_opened_window_is_rounded_up_to_what_fits_a_word(limit, unit):
    key = Key(f"first-hit-window {limit} per 1h")
    assert key.hit(1)
    longer = key.reset(1) - 3600 * S
    assert 0 <= longer < unit
    assert (1 + 3600 * S + longer) % unit == 0


def test_a_counter_weighs_the_last_window_by_what_still_overlaps():
    key = Key("sliding-counter 5 per 5s")
    assert key.hit(4 * S, cost=5)
    assert key.retry(5 * S) == S, "all five count at the boundary, and four a second later"
    assert not key.hit(6 * S - 1)
    assert key.hit(6 * S)
    assert (key.remaining(7 * S), key.reset(7 * S)) == (1, 8 * S)
    assert key.retry(7 * S, cost=4) == 3 * S, "beside the one of this window, when it is the last"
    assert key.retry(7 * S, cost=5) == 8 * S, "when that one is forgotten"


def test_a_counter_forgets_what_is_two_windows_old():
    key = Key("sliding-counter 5 per 5s")
    assert key.hit(4 * S, cost=5)
    assert (key.remaining(10 * S - 1), key.remaining(10 * S)) == (4, 5)
    assert key.hit(17 * S, cost=5)
    assert key.hit(28 * S, cost=5)
