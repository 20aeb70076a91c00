"""The native table is held to the rules in Python: limits and windows of any size, to the nanosecond."""

import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof._native import Table, hit_all
from rateproof.enforce.algorithms import RULES
from rateproof.enforce.stores.tables import MAX_WINDOW_NS, check_quota
from rateproof.errors import InvalidArgument
from rateproof.policy import ALGORITHMS, Quota
from tests.native_table import hit, peek
from tests.samples import samples

LATEST_NS = 2**60 - 1
PLACES = 8
"""The keys that the smallest table has room for: all of them lie in its only bucket."""


def any_size(most):
    """A number of any magnitude."""
    return st.integers(0, most.bit_length() - 1).flatmap(
        lambda bits: st.integers(1, min(most, (2 << bits) - 1))
    )


def is_kept(quota):
    try:
        check_quota(quota, 1)
    except InvalidArgument:
        return False
    return True


def quotas_of(algorithm, limits, windows):
    record = ALGORITHMS[algorithm]
    bursts = limits if record.has_burst else st.just(0)
    blocks = st.integers(1, 4) | st.just(60) if record.parameter.most else st.just(0)
    drawn = st.tuples(limits, windows, st.just(algorithm), bursts, blocks)
    drawn = drawn.map(lambda drawn: Quota(*drawn))
    return drawn.filter(is_kept)


LARGE = st.sampled_from(sorted(RULES)).flatmap(
    lambda name: quotas_of(
        name,
        any_size(1_000 if name == "sliding-log" else ALGORITHMS[name].max_limit),
        any_size(MAX_WINDOW_NS),
    )
)
SMALL = st.sampled_from(sorted(RULES)).flatmap(
    lambda name: quotas_of(
        name,
        st.integers(1, 12),
        st.integers(4_000, 13_000)
        if name in {"token-bucket", "first-hit-window", "sliding-blocks"}
        else st.integers(1, 200),
    )
)
# A key, a step of the clock in thousandths of the window and in ns, a cost in thousandths of the
# burst, and what is done.
calls = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from([0, 0, 0, 1_000]) | st.integers(0, 400) | st.integers(0, 3_000),
        st.integers(0, 2),
        st.just(0) | st.integers(0, 999),
        st.sampled_from(["hit"] * 6 + ["peek"] * 2 + ["reset"]),
    ),
    min_size=1,
    max_size=120,
)
laws = settings(max_examples=samples(25))


def opened(quota):
    return Table(
        None, quota.algorithm, quota.limit, quota.window_ns, quota.burst, 1, quota.parameter
    )


class Rules:
    """Answers of the rule of a quota, with room for eight keys."""

    def __init__(self, quota):
        self.quota = quota
        self.rule = RULES[quota.algorithm]
        self.states = {}

    def reset_ns(self, state, now_ns):
        return self.rule.reset_after_ns(self.quota, state, now_ns)

    def answer(self, key, cost, now_ns, *, take):
        rests = {each: self.reset_ns(state, now_ns) for each, state in self.states.items()}
        self.states = {each: self.states[each] for each, rest_ns in rests.items() if rest_ns}
        if key not in self.states and len(self.states) == PLACES:
            rest_ns = min(filter(None, rests.values()))
            return False, True, 0, rest_ns, rest_ns
        state = self.states.get(key, (0,) * self.rule.width(self.quota))
        wait_ns = self.rule.retry_after_ns(self.quota, state, now_ns, cost)
        if wait_ns == 0 and take:
            state = self.states[key] = self.rule.charged(self.quota, state, now_ns, cost)
        left = self.rule.remaining(self.quota, state, now_ns)
        return wait_ns == 0, False, left, wait_ns, self.reset_ns(state, now_ns)


@pytest.mark.parametrize("quotas", [LARGE, SMALL], ids=["any size", "small"])
@given(data=st.data(), calls=calls, keys=st.sampled_from([1, 3, 13]), start=st.integers(0, 2**58))
@laws
def test_every_answer_is_the_rule_s(quotas, data, calls, keys, start):
    follow(data.draw(quotas), calls, keys, start)


def follow(quota, calls, keys, start):
    table, rules = opened(quota), Rules(quota)
    now_ns = start
    for key, part, extra, share, what in calls:
        now_ns += part * quota.window_ns // 1_000 + extra
        if now_ns > LATEST_NS:
            break
        name, cost = b"%d" % (key % keys), 1 + share * (quota.burst - 1) // 999
        if what == "reset":
            table.reset(name)
            rules.states.pop(name, None)
            continue
        told = (hit if what == "hit" else peek)(table, name, cost, now_ns)
        assert told == rules.answer(name, cost, now_ns, take=what == "hit")
        live, places = table.census(now_ns)
        held = (rules.reset_ns(state, now_ns) > 0 for state in rules.states.values())
        assert (live, places) == (sum(held), PLACES)


@given(quotas=st.lists(SMALL, min_size=2, max_size=6), calls=calls, keys=st.sampled_from([1, 13]))
@laws
def test_several_tables_admit_all_or_nothing(quotas, calls, keys):
    tables = [opened(quota) for quota in quotas]
    every = [Rules(quota) for quota in quotas]
    most = min(quota.burst for quota in quotas)
    now_ns = 0
    for key, part, extra, share, _ in calls:
        now_ns += part * quotas[0].window_ns // 1_000 + extra
        name, cost = b"%d" % (key % keys), 1 + share * (most - 1) // 999
        fits = all(rules.answer(name, cost, now_ns, take=False)[0] for rules in every)
        told = hit_all(tables, name, cost, now_ns)
        wanted = [rules.answer(name, cost, now_ns, take=fits) for rules in every]
        assert told == (fits, wanted, False)


@given(quota=LARGE, calls=calls, start=st.integers(0, 2**58))
@laws
def test_who_waits_as_told_and_comes_again_at_once_keeps_to_the_envelope(quota, calls, start):
    table = opened(quota)
    now_ns = start
    admitted = []
    for _, part, extra, share, _ in calls:
        cost = 1 + share * (quota.burst - 1) // 999
        step_ns = part * quota.window_ns // 1_000 + extra
        now_ns += step_ns or peek(table, b"a", cost, now_ns)[3]
        if now_ns > LATEST_NS:
            break
        if hit(table, b"a", cost, now_ns)[0]:
            admitted.append((now_ns, cost))
            count = 0
            for earlier_ns, each in reversed(admitted):
                count += each
                assert now_ns - earlier_ns >= quota.gap(count)


def test_the_log_of_every_limit_is_a_deque_of_stamps():
    draw = random.Random(1)
    for limit in range(1, 1_001):
        window_ns = draw.randint(1, 2 ** draw.randint(1, 50))
        table, stamps = opened(Quota(limit, window_ns)), deque()
        now_ns = draw.randrange(2**40)
        for _ in range(150):
            now_ns += draw.choice(
                [0, draw.randint(0, -(-2 * window_ns // limit)), draw.randint(0, window_ns // 9)]
            )
            while stamps and stamps[0] + window_ns <= now_ns:
                stamps.popleft()
            free = limit - len(stamps)
            cost = draw.choice([1, 1, draw.randint(1, min(3, limit)), draw.randint(1, limit)])
            wait_ns = stamps[cost - free - 1] + window_ns - now_ns if cost > free else 0
            if wait_ns == 0:
                stamps.extend([now_ns] * cost)
            reset_ns = stamps[-1] + window_ns - now_ns
            left = limit - len(stamps)
            assert hit(table, b"a", cost, now_ns) == (not wait_ns, False, left, wait_ns, reset_ns)


def test_the_largest_limit_is_exact():
    table = opened(Quota(65_536, 1_000_000))
    asked = [(65_535, 0), (2, 5), (1, 5), (1, 6), (65_536, 6), (65_535, 10**6)]
    told = [hit(table, b"a", cost, now_ns) for cost, now_ns in asked]
    assert [each[0] for each in told] == [True, False, True, False, False, True]
    assert [each[3] for each in told[3:5]] == [999_994, 999_999]
    assert not hit(table, b"a", 1, 10**6 + 4)[0]
    assert hit(table, b"a", 1, 10**6 + 5)[0]


def test_a_table_holds_as_many_keys_as_its_capacity():
    table = Table(None, "sliding-log", 1, 1_000, 1, 10_000)
    assert all(hit(table, b"%d" % key, 1, 0)[0] for key in range(10_000))


def test_keys_of_any_length_are_told_apart():
    table = Table(None, "sliding-log", 1, 1_000, 1, 100)
    long = bytes(65_536)
    for key in (b"", b"\0", b"\0\0", long, long[1:], b"\xff\xfe"):
        assert [hit(table, key, 1, 0)[0] for _ in range(2)] == [True, False]


def test_the_extremes_of_time_do_not_overflow():
    table = Table(None, "sliding-log", 2, MAX_WINDOW_NS, 2, 8)
    answers = [hit(table, b"a", 1, now_ns) for now_ns in (0, LATEST_NS, LATEST_NS, LATEST_NS, 0)]
    assert [each[0] for each in answers] == [True, True, True, False, False]
    # Going back in time is stricter, never looser.
    waits = [each[3] for each in answers[3:]]
    assert waits == [MAX_WINDOW_NS, LATEST_NS + MAX_WINDOW_NS]
    with pytest.raises(InvalidArgument):
        hit(table, b"a", 1, LATEST_NS + 1)
