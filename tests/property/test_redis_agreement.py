"""The script answers as the specification does, and breaks no envelope, at any time of the server."""

from contextlib import closing
from hashlib import sha1

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rateproof.enforce.algorithms import RULES
from rateproof.enforce.stores import distinct_quotas, open_store
from rateproof.enforce.stores.redis import command
from rateproof.enforce.stores.redis.scripts import EXACT, Script, figures, script_for
from rateproof.policy import Policy, Quota
from rateproof.testing import StoreAgreement, StoreRaces
from tests.samples import samples

SECOND_US = 1_000_000
EPOCH_US = 1_800_000_000 * SECOND_US

BOUNDED = settings(
    max_examples=samples(10),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def told_the_time(quotas):
    """The script as it is, but for its time, which a list tells: states expire by another."""
    text = script_for(quotas).text
    for old, new in [
        (b'redis.call("TIME")', b'redis.call("LRANGE", "clock", 0, 1)'),
        (b"return math.ceil((free_at - read) / 1000) + 1", b"return 3600000"),
    ]:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return Script(text, sha1(text).hexdigest().encode())


def set_clock(client, now_us):
    client.delete("clock")
    client.rpush("clock", now_us // SECOND_US, now_us % SECOND_US)


def whole_us(wait_ns):
    """A wait as a server that counts in microseconds can say it: not too short."""
    return -(-wait_ns // 1000) * 1000


class Told:
    """A store whose server's time is told, and that remembers no denial."""

    def __init__(self, valkey, monkeypatch):
        monkeypatch.setattr(command, "script_for", told_the_time)
        self.store = open_store(valkey.store)
        self.client = valkey.client

    def begin(self, policy):
        self.client.flushall()
        self.quotas = distinct_quotas(policy)
        self.ledger = self.store.ledger(self.quotas)
        self.now_us = EPOCH_US
        self.states = {quota: (0,) * RULES[quota.algorithm].width(quota) for quota in self.quotas}

    def ask(self, mode, cost):
        """Admitted, and each quota's figures, of the server at the time told."""
        set_clock(self.client, self.now_us)
        self.store.denials.clear()
        ruling = getattr(self.ledger, mode)(b"key", cost, None)
        assert ruling.reason == "quota"
        return ruling.admitted, [answer[2:] for answer in ruling.answers]

    def expect(self, mode, cost):
        """The same of the specification."""
        now_ns = self.now_us * 1000
        rules = [(RULES[quota.algorithm], quota) for quota in self.quotas]
        waits = [rule.retry_after_ns(q, self.states[q], now_ns, cost) for rule, q in rules]
        admitted = not any(waits)
        if admitted and mode == "hit":
            for rule, q in rules:
                self.states[q] = rule.charged(q, self.states[q], now_ns, cost)
        return admitted, [
            (
                rule.remaining(q, self.states[q], now_ns),
                whole_us(wait),
                whole_us(rule.reset_after_ns(q, self.states[q], now_ns)),
            )
            for wait, (rule, q) in zip(waits, rules, strict=True)
        ]


class TestRedis(StoreAgreement):
    """The script decides as the reference does, by a server whose clock the tests set."""

    step_ns = 1000
    shared = True
    schedules = 3

    @pytest.fixture(autouse=True)
    def server(self, start_valkey, monkeypatch):
        monkeypatch.setattr(command, "script_for", told_the_time)
        self.valkey = start_valkey()

    def open_store(self, name, capacity):
        return open_store(f"{self.valkey.store}&prefix={name}", capacity)

    def remove_store(self, name):  # noqa: ARG002 - one at a time
        self.valkey.client.flushall()

    def tell_time(self, store, now_ns):
        set_clock(self.valkey.client, now_ns // 1000)
        store.denials.clear()


@pytest.mark.slow
class TestRedisAtLength(TestRedis):
    schedules = 40


class TestRedisRaces(StoreRaces):
    """The server as it is, with what is remembered of its denials."""

    shared = True
    rounds = 80

    @pytest.fixture(autouse=True)
    def server(self, start_valkey):
        self.valkey = start_valkey()

    def open_store(self, name, capacity):
        return open_store(f"{self.valkey.store}&prefix={name}", capacity)


@pytest.fixture
def told(valkey, monkeypatch):
    told = Told(valkey, monkeypatch)
    with closing(told.store):
        yield told


@st.composite
def large_quotas(draw):
    algorithm = draw(
        st.sampled_from(["token-bucket", "fixed-window", "sliding-counter", "sliding-blocks"])
    )
    limit = draw(st.integers(10**5, 2**20 if algorithm == "sliding-counter" else 10**9))
    if algorithm == "sliding-blocks":
        blocks = draw(st.sampled_from([1, 7, 60, 1000]))
        window_ns = draw(st.integers(1, 3600 * SECOND_US)) * blocks * 1000
        return Quota(limit, window_ns, algorithm, parameter=blocks)
    if algorithm != "token-bucket":
        return Quota(limit, draw(st.integers(1, 3600 * SECOND_US)) * 1000, algorithm)
    window_ns = draw(st.integers(1, 4 * SECOND_US)) * limit * 1000
    return Quota(limit, min(window_ns, limit * (2**49 // limit) * 1000), algorithm, limit)


@given(
    quota=large_quotas(),
    steps=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
)
@BOUNDED
def test_large_limits_are_exact_to_the_last_unit(told, quota, steps):
    told.begin(Policy((quota,)))
    for share, advance in steps:
        told.now_us += round(quota.window_ns * advance) // 1000
        cost = max(1, round(quota.burst * share))
        assert told.ask("hit", cost) == told.expect("hit", cost)


@given(
    limit=st.sampled_from([125, 126, 127, 128, 300]),
    steps=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40 * SECOND_US)), max_size=25),
)
@BOUNDED
def test_a_log_of_more_than_a_page_is_one_ring(told, limit, steps):
    """Both sides of the end of what is read at once, and of the ring."""
    told.begin(Policy((Quota(limit, 60 * 10**9),)))
    for wanted, advance in steps:
        told.now_us += advance
        cost = min(wanted, limit)
        assert told.ask("hit", cost) == told.expect("hit", cost)


def test_after_a_step_back_less_than_nothing_is_told_as_nothing(told):
    told.begin(Policy.parse("sliding-counter 4 per 60s"))
    assert told.ask("hit", 4)[0]
    told.now_us += 105 * SECOND_US
    assert told.ask("hit", 3) == (True, [(0, 0, 75 * 10**9)])
    told.now_us -= 40 * SECOND_US
    admitted, ((left, wait_ns, _),) = told.ask("hit", 1)
    assert (admitted, left) == (False, 0)
    assert wait_ns > 0


@given(
    limit=st.integers(1, 10**9),
    window_ns=st.integers(1, 2**59),
    burst=st.integers(1, 10**9),
)
def test_no_figure_outgrows_exact_numbers_or_loosens_a_quota(limit, window_ns, burst):
    if window_ns >= 1000 * limit and burst * -(-window_ns // limit) <= 2**59:
        size, unit, drain = figures(Quota(limit, window_ns, "token-bucket", burst))
        assert size == burst
        assert burst * unit < 2**53
        assert drain >= 1
        assert unit * limit * 1000 >= drain * window_ns
        assert unit * limit * 1000 <= drain * (window_ns + 1000) * (1 + 2**-20)
    if limit <= 2**20:
        limit, window, unit = figures(Quota(limit, window_ns, "sliding-counter"))
        assert window % unit == 0
        assert limit * window // unit <= EXACT
        assert window_ns <= window * 1000 <= (window_ns + 1000) * (1 + 2**-30)
