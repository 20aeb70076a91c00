"""Blocks: never more than a log, each admission back a block late at most, on every core; what wraps."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rateproof._native import Table
from rateproof.enforce.algorithms import RULES
from rateproof.events import Event, EventLog
from rateproof.policy import Policy, Quota
from rateproof.policy.sliding_blocks import SLIDING_BLOCKS
from rateproof.prove import OVER_ADMISSION, VIOLATED, WRONG_REJECTION, judge
from tests.native_table import hit
from tests.samples import samples

S = 1_000_000_000
NAME = SLIDING_BLOCKS.name
RULE = RULES[NAME]
laws = settings(max_examples=samples(50))
attempts = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=5, max_size=60)
quotas = st.builds(
    lambda limit, window_ns, blocks: Quota(limit, window_ns, NAME, parameter=blocks),
    st.integers(1, 9),
    st.integers(20, 120),
    st.integers(1, 12),
)


def decided(quota, attempts):
    """Each outcome, with its instant, its cost, and the admissions before it."""
    state, now, past = (0,) * RULE.width(quota), 0, []
    for after, wanted in attempts:
        now += after
        cost = min(wanted, quota.limit)
        admitted = RULE.retry_after_ns(quota, state, now, cost) == 0
        yield admitted, now, cost, tuple(past)
        if admitted:
            state = RULE.charged(quota, state, now, cost)
            past.append((now, cost))


def admitted_since(past, begin):
    """The admissions after an instant: those that a window has that ends at a decision."""
    return sum(cost for at, cost in past if at > begin)


@given(quota=quotas, attempts=attempts)
@laws
def test_what_is_admitted_a_log_of_the_window_has_room_for(quota, attempts):
    for admitted, now, cost, past in decided(quota, attempts):
        in_window = admitted_since(past, now - quota.window_ns) + cost
        assert not admitted or in_window <= quota.limit


@given(quota=quotas, attempts=attempts)
@laws
def test_what_is_denied_a_log_a_block_longer_has_no_room_for(quota, attempts):
    """This is what `check` calls a wrong rejection by, given the same past."""
    for admitted, now, cost, past in decided(quota, attempts):
        in_memory = admitted_since(past, now - quota.memory_ns) + cost
        assert admitted or in_memory > quota.limit


@given(quota=quotas)
@laws
def test_no_shorter_memory_would_do(quota):
    """Admitted as a block begins, a permit is away for the whole of the memory."""
    begin = 100 * quota.memory_ns // (quota.parameter + 1)
    state = RULE.charged(quota, (0,) * RULE.width(quota), begin, quota.limit)
    assert RULE.retry_after_ns(quota, state, begin + quota.memory_ns - 1, 1) == 1
    assert RULE.retry_after_ns(quota, state, begin + quota.memory_ns, 1) == 0


@pytest.mark.parametrize("blocks", [1, 4, 60])
def test_who_takes_all_there_is_gets_k_of_k_and_one_of_the_rate(blocks):
    quota = Quota(1_000, 60 * S, NAME, parameter=blocks)
    state, now, admitted = (0,) * RULE.width(quota), 0, 0
    while now < 1_000 * 60 * S:
        free = RULE.remaining(quota, state, now)
        admitted += free
        state = RULE.charged(quota, state, now, free)
        now += RULE.retry_after_ns(quota, state, now, 1)
    assert admitted / (1_000 * 1_000) == pytest.approx(blocks / (blocks + 1), rel=0.01)


@given(
    blocks=st.integers(1, 60),
    turns=st.integers(1, 3),
    early=st.integers(0, 200),
    attempts=st.lists(
        st.tuples(st.integers(0, 2_500), st.integers(1, 10**9)), min_size=5, max_size=80
    ),
)
@example(blocks=60, turns=1, early=0, attempts=[(1_000, 10**9)] * 130)
@laws
def test_where_the_numbers_of_blocks_and_totals_begin_again_nothing_changes(
    blocks, turns, early, attempts
):
    """A limit of 10**9 has 30 bits of total, and 33 of index: a multiple of blocks + 1 below."""
    quota = Quota(10**9, 1_000 * blocks, NAME, parameter=blocks)
    table = Table(None, NAME, 10**9, quota.window_ns, 10**9, 1, blocks)
    state = (0,) * RULE.width(quota)
    indices = 2**33 - 2**33 % (blocks + 1)
    now = (turns * indices - early - blocks - 2) * 1_000
    # The first hit is far enough from there for a new key to be told apart.
    for after, cost in [(0, 1), *attempts]:
        now += after
        told = hit(table, b"a", cost, now)
        wait = RULE.retry_after_ns(quota, state, now, cost)
        if wait == 0:
            state = RULE.charged(quota, state, now, cost)
        left = RULE.remaining(quota, state, now)
        assert told == (wait == 0, False, left, wait, RULE.reset_after_ns(quota, state, now))


def test_who_returns_when_the_numbers_do_finds_the_old_count_or_a_whole_quota():
    """Stricter for 2(K + 1) blocks after hours of blocks of 1 µs, never looser."""
    blocks, limit = 4, 10**9
    indices = 2**33 - 2**33 % (blocks + 1)
    for away in range(indices - 12, indices + 12):
        table = Table(None, NAME, limit, 1_000 * blocks, limit, 1, blocks)
        assert hit(table, b"a", limit, 0)[0]
        admitted = hit(table, b"a", 1, away * 1_000)[0]
        assert admitted is not (-5 <= away - indices <= 4), away - indices
        later = (away + 2 * blocks + 2) * 1_000
        assert hit(table, b"a", limit - 1, later)[0]
        assert hit(table, b"a", 2, later)[0] is False


def judged(text, *, again_ns, admitted):
    """The verdict on 5 requests at once that were admitted, and one some time later."""
    log = EventLog({"fresh_keys": True})
    for number, at_ns in enumerate([S] * 5 + [S + again_ns]):
        passed = number < 5 or admitted
        log.append(
            Event(key=b"a", sent_ns=at_ns, received_ns=at_ns, sequence=number,
                  status=200 if passed else 429, outcome="admitted" if passed else "rejected")
        )  # fmt: skip
    claims = frozenset({OVER_ADMISSION, WRONG_REJECTION})
    return judge(log, Policy.parse(text), claims=claims, tolerance_ppm=0).outcome


@pytest.mark.parametrize("text", ["sliding-blocks 5 per 60s", "sliding-blocks 5 per 60s blocks 6"])
def test_check_allows_from_the_window_on_and_demands_from_a_block_later(text):
    """Between the two nothing is claimed: where blocks begin is the limiter's affair."""
    memory_ns = Policy.parse(text).quotas[0].memory_ns
    assert memory_ns == (61 * S if text.endswith("60s") else 70 * S)
    assert judged(text, again_ns=60 * S - 1, admitted=True) == VIOLATED
    for again_ns in (60 * S, memory_ns):
        assert judged(text, again_ns=again_ns, admitted=True) != VIOLATED
        assert judged(text, again_ns=again_ns, admitted=False) != VIOLATED
    assert judged(text, again_ns=memory_ns + 1, admitted=False) == VIOLATED
