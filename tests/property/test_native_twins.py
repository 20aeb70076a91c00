"""The native core does for every request what the specification says."""

import gc
import pickle
import resource
import sys
import threading
import time
import weakref
from collections import Counter
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof import KeySpec, Limiter, ManualClock, Policy, RateLimitMiddleware, _native
from rateproof.enforce.counters import Count
from rateproof.enforce.decision import Answer, Decision, QuotaState
from rateproof.enforce.http.addresses import DIRECT
from rateproof.enforce.http.keys import key_of, plain_reader
from rateproof.enforce.http.views import WsgiRequest
from rateproof.enforce.stores.redis.denials import CAPACITY, Denials
from rateproof.errors import StoreError
from tests.samples import samples

KEYS = (
    "query:clientId|header:X-Client-Id|ip",
    "query:a+cookie:b|path+method",
    "header:Content-Type+ip",
    "cookie:clientId",
)
texts = st.text(st.sampled_from("ab=&;%+ \t20Fé/☃1.:"), max_size=12)
environs = st.dictionaries(
    st.sampled_from(
        [
            "QUERY_STRING",
            "HTTP_X_CLIENT_ID",
            "HTTP_COOKIE",
            "REMOTE_ADDR",
            "SCRIPT_NAME",
            "PATH_INFO",
            "REQUEST_METHOD",
            "CONTENT_TYPE",
        ]
    ),
    st.one_of(
        texts,
        texts.map(lambda text: f"x=1&clientId={text}"),
        texts.map(lambda text: f"a={text}; b = {text} ;clientId=7"),
        st.sampled_from(["127.0.0.1", "::1", "clientId=a&clientId=b", "%63lientId=%C3%A9+%zz%4"]),
    ),
)


@given(environ=environs, key=st.sampled_from(KEYS))
@settings(max_examples=samples(25))
def test_a_key_is_read_as_specified_or_left_to_the_specification(environ, key):
    expected = key_of(WsgiRequest(environ), KeySpec.parse(key))
    found = plain_reader(key, WsgiRequest, DIRECT).read(environ)
    assert found in {None, expected}


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        ("query:clientId", b"query:clientId=1:a"),
        ("header:X-Id|ip", b"header:x-id=3:7 7"),
        ("cookie:b+method", b"cookie:b=1:2method=4:POST"),
        ("path|ip", b"path=5:/m/at"),
        ("query:none|ip", b"ip=9:127.0.0.1"),
        ("query:none", b"ip=9:127.0.0.1"),
    ],
)
def test_plain_requests_are_not_left_to_the_specification(key, plain):
    environ = {
        "QUERY_STRING": "x=&clientId=a&clientId=b",
        "HTTP_X_ID": " 7 7\t",
        "HTTP_COOKIE": "a=1; b = 2 ;b=3",
        "REQUEST_METHOD": "post",
        "SCRIPT_NAME": "/m",
        "PATH_INFO": "/at",
        "REMOTE_ADDR": "127.0.0.1",
    }
    assert plain_reader(key, WsgiRequest, DIRECT).read(environ) == plain
    assert key_of(WsgiRequest(environ), KeySpec.parse(key)) == plain


class Plain(Limiter):
    """A limiter that decides in Python: with a `hit` of its own it is given no decider."""

    def hit(self, key, cost=1, *, policy=None):
        return super().hit(key, cost, policy=policy)


calls = st.lists(
    st.tuples(st.sampled_from(["a", b"a", "b", "é"]), st.integers(1, 3), st.booleans()),
    max_size=30,
)
OTHER = "2 per 1h"


@given(
    policy=st.sampled_from(
        [
            "3 per 1h",
            "5 per 1h",
            "4 per 1h; 6 per 2h",
            "token-bucket 1 per 1h burst 4",
            "5 per 1h; 5 per 1h",
        ]
    ),
    calls=calls,
    shadow=st.booleans(),
    on_full=st.sampled_from(["deny", "admit"]),
)
@settings(max_examples=samples(20))
def test_hit_and_peek_decide_and_count_as_the_limiter_in_python_does(
    policy, calls, shadow, on_full
):
    make = partial(Limiter, policy, shadow=shadow, on_full=on_full, capacity=64)
    spelled = partial(Plain, policy, shadow=shadow, on_full=on_full, capacity=64)
    with make() as limiter, spelled() as plain:
        assert not plain.decides
        several = len(set(limiter.policy.quotas)) > 1
        assert limiter.decides == (not several or on_full == "deny")
        for key, cost, other in calls:
            options = {"policy": OTHER} if other else {}
            most = 2 if other else 3
            for method in ("peek", "hit", "peek"):
                native, spelt = (getattr(each, method) for each in (limiter, plain))
                decided = native(key, min(cost, most), **options)
                assert seen(decided) == seen(spelt(key, cost=min(cost, most), **options))
        assert limiter.stats().counts == plain.stats().counts
        assert sum(limiter.stats().counts[c] for c in (Count.ADMITTED, Count.DENIED)) == len(calls)


def seen(decision):
    """All but the nanoseconds that pass between two calls."""
    states = [(s.quota, s.remaining, s.retry_after_ns > 0) for s in decision.quotas]
    return decision.admitted, bool(decision), decision.remaining, decision.reason, states


@pytest.mark.parametrize("capacity", [1])
def test_a_full_table_is_told_and_counted_alike(capacity):
    told = []
    for kind in (Limiter, Plain):
        with kind("1 per 1h", capacity=capacity, on_full="admit") as limiter:
            reasons = [limiter.hit(f"k{n}").reason for n in range(50)]
            full = limiter.peek(f"k{reasons.index('full')}")
            assert (full.reason, full.admitted) == ("full", True)
            told.append((reasons.count("full") > 0, limiter.stats().counts[Count.FULL] > 0))
    assert told == [(True, True), (True, True)]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("wrong", [(None,), (7,), ("a", 0), ("a", -1), ("a", 9), ("a", True)])
def test_what_cannot_be_asked_fails_as_in_python(wrong, named):
    errors = []
    args = () if named else wrong
    options = dict(zip(("key", "cost"), wrong, strict=False)) if named else {}
    for kind, method in product((Limiter, Plain), ("hit", "peek")):
        with kind("3 per 1h") as limiter, pytest.raises((TypeError, ValueError)) as error:
            getattr(limiter, method)(*args, **options)
        errors.append((error.type, str(error.value)))
    assert len(set(errors)) == 1


@pytest.mark.parametrize(
    ("args", "named"),
    [((), {}), (("a", 1, None), {}), (("a",), {"key": "a"}), (("a",), {"kost": 1})],
)
def test_a_call_that_python_would_refuse_is_refused_in_its_words(args, named):
    with Limiter("3 per 1h") as limiter:
        for ask in ("hit", "peek"):
            with pytest.raises(TypeError, match=rf"Limiter\.{ask}\(\) (missing|takes|got)"):
                getattr(limiter, ask)(*args, **named)


def test_a_subclass_with_its_own_hit_is_asked_by_all_who_ask_the_limiter():
    class Counting(Limiter):
        asked = 0

        def hit(self, key, cost=1, *, policy=None):
            self.asked += 1
            return super().hit(key, cost, policy=policy)

    with Counting("2 per 1h") as limiter:
        app = RateLimitMiddleware(page, limiter, key="query:clientId|ip")
        ask(app, {"QUERY_STRING": "", "PATH_INFO": "/", "REMOTE_ADDR": "127.0.0.1"})
        assert limiter.hit("a").remaining == 1
        assert limiter.asked == 2


def test_a_decision_stays_as_it_was_for_as_long_as_anybody_has_it():
    with Limiter("9 per 1h") as limiter:
        kept = [limiter.hit("a") for _ in range(9)]
        shown = [(repr(decision), hash(decision)) for decision in kept]
        for _ in range(20):
            last = limiter.hit("b")
        assert [(repr(decision), hash(decision)) for decision in kept] == shown
        assert [decision.remaining for decision in kept] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
        assert limiter.hit("c").remaining == 8
        assert not last.admitted


def test_each_of_many_threads_has_its_own_decisions():
    before, wrong = sys.getswitchinterval(), []
    with Limiter("2000 per 1h", capacity=64) as limiter:

        def call(key):
            for number in range(2000):
                decision = limiter.hit(key)
                if (decision.admitted, decision.remaining) != (True, 1999 - number):
                    wrong.append((key, number, decision))

        threads = [threading.Thread(target=call, args=(str(key),)) for key in range(8)]
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(before)
    assert wrong == []


def test_calls_while_another_thread_closes_decide_or_say_so():
    """The decider that a call has in hand is let go when that call has ended."""
    for _ in range(20):
        limiter, outcomes = Limiter("3 per 1h; 5 per 2h", capacity=1), Counter()

        def call(limiter=limiter, outcomes=outcomes):
            try:
                while True:
                    outcomes[limiter.hit("a").reason] += 1
            except StoreError:
                outcomes["closed"] += 1

        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        limiter.close()
        for thread in threads:
            thread.join()
        assert outcomes["closed"] == 2


def test_a_limiter_that_nobody_holds_goes_at_once():
    gc.disable()
    try:
        limiter = Limiter("3 per 1h")
        limiter.hit("a")
        gone = weakref.ref(limiter)
        del limiter
        assert gone() is None
    finally:
        gc.enable()


def test_a_closed_limiter_decides_no_more():
    limiter = Limiter("3 per 1h")
    hit = limiter.hit
    limiter.close()
    with pytest.raises(Exception, match="closed"):
        hit("a")


def test_a_decision_is_compared_hashed_shown_and_pickled_by_its_fields():
    assert Decision is _native.Decision
    with Limiter("3 per 1h; 9 per 2h") as limiter:
        one = limiter.hit("a")
    states = tuple(QuotaState(*[getattr(s, f) for f in s.__slots__]) for s in one.quotas)
    same = Decision(one.admitted, one.remaining, 0, one.reset_after_ns, states, "quota")
    assert one == same
    assert hash(one) == hash(same)
    assert one != Decision(one.admitted, one.remaining, 1, one.reset_after_ns, states, "quota")
    assert pickle.loads(pickle.dumps(one)) == one
    assert repr(one).startswith("Decision(admitted=True, remaining=2, retry_after_ns=0, reset_")
    assert one != (True, one.remaining)


def ask(app, environ):
    """The whole answer to a request: what the server is told, and the body."""
    answer = []
    body = b"".join(app(environ, lambda *start: answer.extend(start)))
    return answer, body


def page(environ, start_response):
    """Says 200, or what it is told to: fails, or gives the exception of an error page."""
    if environ["QUERY_STRING"] == "fail":
        raise StoreError("not the limiter's")
    try:
        [].pop()
    except IndexError:
        error = sys.exc_info() if environ["QUERY_STRING"] == "error" else None
    start_response("200 OK", [("X-Page", "1")], *filter(None, [error]))
    return [b"hello"]


environs_asked = st.fixed_dictionaries(
    {
        "QUERY_STRING": st.sampled_from(["clientId=a", "clientId=a", "", "error"]),
        "PATH_INFO": st.sampled_from(["/", "/", "/healthz"]),
        "REQUEST_METHOD": st.sampled_from(["GET", "HEAD"]),
        "REMOTE_ADDR": st.sampled_from(["127.0.0.1", "::1", "☃"]),
    },
    optional={"HTTP_ACCEPT": st.sampled_from(["*/*", "text/plain", "application/json"])},
)


@given(asked=st.lists(environs_asked), policy=st.sampled_from(["2 per 1h", "2 per 1h; 3 per 2h"]))
@settings(max_examples=samples(15))
def test_the_middleware_answers_alike_with_and_without_the_native_desk(asked, policy):
    with Limiter(policy) as limiter, Plain(policy) as plain:
        fast = RateLimitMiddleware(page, limiter, key="query:clientId|ip")
        slow = RateLimitMiddleware(page, plain, key="query:clientId|ip")
        for environ in asked:
            (said, body), (other, other_body) = ask(fast, environ), ask(slow, environ)
            assert (said[:2], body) == (other[:2], other_body)
            errors = [[error[0] for error in start[2:] if error] for start in (said, other)]
            assert errors[0] == errors[1]
            said[1].append(("X-Server", "a list of its own"))


@pytest.mark.parametrize("kind", [Limiter, Plain])
def test_an_error_of_the_application_is_not_the_stores(kind):
    with kind("2 per 1h") as limiter:
        app = RateLimitMiddleware(page, limiter, key="query:clientId|ip")
        with pytest.raises(StoreError, match="not the limiter's"):
            ask(app, {"QUERY_STRING": "fail", "PATH_INFO": "/", "REMOTE_ADDR": "127.0.0.1"})


HOUR = 3_600_000_000_000
DENIED = (False, False, 0, HOUR, HOUR)
answers = st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(3, 5)).map(
    lambda a: Answer._make((False, False, a[0], a[1] * HOUR, a[2] * HOUR))
)
operations = st.lists(
    st.tuples(
        st.sampled_from(["keep", "keep", "answers", "answers", "forget", "clear"]),
        st.sampled_from([b"", b"a", bytes(5000), bytes(5001)]),
        st.integers(0, 2),
        st.integers(1, 2),
        st.lists(answers, min_size=1, max_size=2),
    ),
    max_size=30,
)


@given(operations=operations)
@settings(max_examples=samples(20))
def test_denials_are_remembered_as_specified(operations):
    specified, native = Denials(), _native.Denials()
    for name, key, ledger, cost, said in operations:
        told = []
        for denials in (specified, native):
            if name == "keep":
                denials.keep(key, ledger, cost, time.monotonic_ns(), tuple(said))
            elif name == "answers":
                told.append(rounded(denials.answers(key, ledger, cost)))
            elif name == "forget":
                denials.forget(key)
            else:
                denials.clear()
        assert told[:1] == told[1:]
        assert specified.resets == native.resets


def rounded(answers):
    """To a minute: the two look at the clock one after the other."""
    return answers and [(*a[:3], round(a[3] / 6e10), round(a[4] / 6e10)) for a in answers]


@pytest.mark.parametrize("twin", [Denials, _native.Denials])
def test_the_oldest_denial_is_forgotten_for_a_new_one(twin):
    denials, said = twin(), (Answer._make(DENIED),)
    for number in range(CAPACITY + 3):
        denials.keep(b"%d" % number, 0, 1, time.monotonic_ns(), said)
        denials.keep(b"again", 0, 1, time.monotonic_ns(), said)
    known = [denials.answers(b"%d" % number, 0, 1) is not None for number in (0, 3, 4, CAPACITY)]
    assert known == [False, False, True, True]
    assert denials.answers(b"again", 0, 1) is not None


@pytest.mark.parametrize("twin", [Denials, _native.Denials])
def test_the_denial_of_a_long_key_takes_no_more_memory_than_another(twin):
    denials, said = twin(), (Answer._make(DENIED),)
    before = resident_bytes()
    for number in range(100):
        denials.keep(b"%d" % number * 2**20, 0, 1, time.monotonic_ns(), said)
        assert denials.answers(b"%d" % number * 2**20, 0, 1)
    assert resident_bytes() - before < 20 * 2**20


def test_denials_that_are_forgotten_take_no_memory_for_long():
    native, said = _native.Denials(), (Answer._make(DENIED),)
    before = resident_bytes()
    for number in range(20 * CAPACITY):
        native.keep(b"%d" % number, 0, 1, time.monotonic_ns(), said)
        native.forget(b"%d" % number)
    assert resident_bytes() - before < 10 * 2**20


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_remembered_denial_ends_in_time():
    native, second = _native.Denials(), 10**9
    for key, left in ((b"ended", second), (b"lasting", HOUR)):
        native.keep(key, 0, 1, time.monotonic_ns() - second, [(False, False, 0, left, left)])
    assert native.answers(b"ended", 0, 1) is None
    assert native.answers(b"lasting", 0, 1) is not None


@given(cost=st.integers(1, 3), shadow=st.booleans(), known=st.booleans())
@settings(max_examples=samples(25))
def test_a_denial_that_is_remembered_is_told_and_all_else_is_left_to_python(cost, shadow, known):
    counters, denials = _native.Counters(None), _native.Denials()
    quotas = Policy.parse("4 per 1h; 6 per 2h").quotas
    if known:
        said = [(True, False, 5, 0, 9 * HOUR), (False, False, 1, HOUR, 2 * HOUR)]
        denials.keep(b"a", 7, cost, time.monotonic_ns(), said)
    with Limiter("4 per 1h; 6 per 2h", clock=ManualClock()) as limiter:
        order = [(quotas[0], 1), (quotas[1], 0)]
        make = partial(_native.Decider, skip_full=False, shadow=shadow)
        limiter.decide_by(make((denials, 7), counters, order))
        peeked, decision = limiter.peek("a", cost), limiter.hit("a", cost)
    if known:
        for each in (peeked, decision):
            assert (each.admitted, each.reason) == (shadow, "shadow" if shadow else "cached")
            assert [state.remaining for state in each.quotas] == [1, 5]
            assert 0 < each.retry_after_ns <= HOUR
    else:
        assert (peeked.remaining, decision.remaining, decision.reason) == (4, 4 - cost, "quota")
    totals = dict(zip(Count, counters.totals(), strict=True))
    expected = {Count.ADMITTED, Count.SHADOW} if shadow else {Count.DENIED}
    assert {c for c in Count if totals[c]} == (expected | {Count.CACHED} if known else set())
