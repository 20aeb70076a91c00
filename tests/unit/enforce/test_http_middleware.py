"""The middleware decides before the application, and says what it decided."""

import functools
import io
import itertools
import json
import logging
import re

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.http import ClientAddress, RateLimitMiddleware, middleware
from rateproof.enforce.limiter import Limiter
from rateproof.errors import InvalidArgument, StoreError
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy

KEY = KeySpec.parse("query:clientId|ip")


class Recorder:
    """A WSGI application that remembers what reached it."""

    def __init__(self):
        self.seen = []

    def __call__(self, environ, start_response):
        self.seen.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]


class Broken:
    """A limiter whose storage always fails."""

    decides = False
    policy = Policy.parse("5 per 5s")

    def room(self, _=None):
        return None

    def hit(self, *_, **__):
        raise StoreError("the disk is on fire")


def ask(app, query="clientId=a", method="GET", path="/", **variables):
    answer = {}

    def start_response(status, fields, exc_info=None):
        answer.update(status=status, fields=dict(fields), exc_info=exc_info)
        assert len(fields) == len(answer["fields"]), "a field given twice"

    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(),
    }
    body = b"".join(app(environ | variables, start_response))
    return answer["status"], answer["fields"], body


@pytest.fixture
def limiter():
    with Limiter("2 per 5s", clock=ManualClock()) as limiter:
        yield limiter


def test_a_denial_never_reaches_the_application(limiter):
    app = Recorder()
    guarded = RateLimitMiddleware(app, limiter, key=KEY)
    statuses = [ask(guarded)[0] for _ in range(4)]
    assert statuses == ["200 OK"] * 2 + ["429 Too Many Requests"] * 2
    assert len(app.seen) == 2


def test_every_limited_answer_says_what_remains(limiter):
    guarded = RateLimitMiddleware(Recorder(), limiter, key=KEY, status=503)
    answers = [ask(guarded) for _ in range(3)]
    assert [fields["RateLimit"] for _, fields, _ in answers] == [
        '"default";r=1;t=5',
        '"default";r=0;t=5',
        '"default";r=0;t=5',
    ]
    assert {fields["RateLimit-Policy"] for _, fields, _ in answers} == {'"default";q=2;w=5'}
    assert ["Retry-After" in fields for _, fields, _ in answers] == [False, False, True]
    assert answers[0][1]["Content-Type"] == "text/plain"
    assert json.loads(answers[2][2])["status"] == 503


def test_clients_do_not_share_a_quota(limiter):
    guarded = RateLimitMiddleware(Recorder(), limiter, key=KEY)
    for client in ("a", "b"):
        assert [ask(guarded, f"clientId={client}")[0][:3] for _ in range(3)] == [
            "200",
            "200",
            "429",
        ]


def test_an_exempt_path_is_neither_limited_nor_counted(limiter):
    guarded = RateLimitMiddleware(Recorder(), limiter, key=KEY)
    for _ in range(9):
        status, fields, _ = ask(guarded, path="/healthz")
        assert (status, "RateLimit" in fields) == ("200 OK", False)
    assert ask(guarded)[1]["RateLimit"] == '"default";r=1;t=5'
    assert "RateLimit" in ask(guarded, path="/healthz/")[1]


def test_the_answer_to_head_has_no_body_but_its_length(limiter):
    guarded = RateLimitMiddleware(Recorder(), limiter, key=KEY)
    full = [ask(guarded) for _ in range(3)][2]
    status, fields, body = ask(guarded, method="HEAD")
    assert (status, fields, body) == (full[0], full[1], b"")


def test_an_application_that_starts_over_is_passed_its_error(limiter):
    seen = []

    def app(_, start_response):
        start_response("200 OK", [])
        start_response("500 Oops", [], ("kind", "error", "traceback"))
        return []

    def start_response(status, fields, exc_info=None):
        seen.append((status, [name for name, _ in fields], exc_info))

    RateLimitMiddleware(app, limiter, key=KEY)({"PATH_INFO": "/"}, start_response)
    names = ["RateLimit-Policy", "RateLimit"]
    assert seen == [
        ("200 OK", names, None),
        ("500 Oops", names, ("kind", "error", "traceback")),
    ]


def test_a_failed_storage_denies_and_is_logged_once_a_second(monkeypatch, caplog):
    clock = ManualClock(10**12)
    monkeypatch.setattr(middleware, "SystemClock", lambda: clock)
    app = Recorder()
    guarded = RateLimitMiddleware(app, Broken(), key=KEY, status=429)
    with caplog.at_level(logging.ERROR, logger="rateproof"):
        for _ in range(10):
            status, fields, body = ask(guarded)
            clock.advance(250_000_000)
    assert status == "503 Service Unavailable"
    assert (fields["Retry-After"], fields["RateLimit-Policy"]) == ("1", '"default";q=5;w=5')
    assert json.loads(body)["violated-policies"] == []
    assert app.seen == []
    assert [record.getMessage() for record in caplog.records] == [
        "1 denied without a decision: the disk is on fire",
        "4 denied without a decision: the disk is on fire",
        "4 denied without a decision: the disk is on fire",
    ]


@pytest.mark.parametrize("status", [0, 200, 399, 600, -503, "429", 429.5, None, True])
def test_a_status_that_is_no_error_is_refused(limiter, status):
    with pytest.raises(InvalidArgument, match=f"status {status!r} .*400 to 599"):
        RateLimitMiddleware(Recorder(), limiter, key=KEY, status=status)


def test_a_path_alone_is_exempt_and_not_its_letters(limiter):
    guarded = RateLimitMiddleware(Recorder(), limiter, key=KEY, exempt="/healthz")
    assert [ask(guarded, path="/healthz")[0] for _ in range(3)] == ["200 OK"] * 3
    assert [ask(guarded, path="/")[0][:3] for _ in range(3)] == ["200", "200", "429"]


@pytest.mark.parametrize("exempt", [b"/healthz", [b"/healthz"], [7], None, 7])
def test_what_is_no_path_cannot_be_exempt(limiter, exempt):
    with pytest.raises(InvalidArgument, match=r"exempt .*a text, or a list of texts"):
        RateLimitMiddleware(Recorder(), limiter, key=KEY, exempt=exempt)


def test_no_identity_appears_in_a_field_or_a_body(limiter):
    guarded = RateLimitMiddleware(Recorder(), limiter, key=KEY)
    for _, accept in itertools.product(range(3), ("text/plain", "application/json")):
        _, fields, body = ask(guarded, "clientId=s3cr%0d%0aet", HTTP_ACCEPT=accept)
        assert "s3cr" not in repr(fields)
        assert b"s3cr" not in body


def test_a_function_can_say_whose_a_request_is(limiter):
    guarded = RateLimitMiddleware(Recorder(), limiter, key=lambda environ: environ.get("user"))
    assert [ask(guarded, user="ann")[0][:3] for _ in range(3)] == ["200", "200", "429"]
    assert ask(guarded, user=b"ben")[0] == "200 OK"
    assert [ask(guarded)[0][:3] for _ in range(3)] == ["200", "200", "429"], "by the address"
    assert ask(guarded, user="ip=9:127.0.0.1")[0] == "200 OK", "no name is another's address"


def test_a_number_is_a_key_as_its_text_is(limiter):
    guarded = RateLimitMiddleware(Recorder(), limiter, key=lambda environ: environ["user"])
    assert [ask(guarded, user=user)[0][:3] for user in (0, "0", b"0")] == ["200", "200", "429"]


def test_what_no_key_can_be_is_named_with_the_function(limiter):
    def account_of(environ):
        return environ["user"]

    guarded = RateLimitMiddleware(Recorder(), limiter, key=account_of)
    for user, kind in ((True, "bool"), (["a"], "list"), (bytearray(b"a"), "bytearray")):
        with pytest.raises(TypeError, match=f"account_of returned {kind}, not str, bytes"):
            ask(guarded, user=user)


class Waiting:
    """An object that is called, and waited for."""

    async def __call__(self, _):
        return "key"


async def waiting(_):
    return "key"


@pytest.mark.parametrize("key", [waiting, Waiting(), functools.partial(waiting)])
def test_a_coroutine_function_cannot_say_whose_a_request_is(limiter, key):
    with pytest.raises(InvalidArgument, match=r"is a coroutine function \(a function that answers"):
        RateLimitMiddleware(Recorder(), limiter, key=key)


@pytest.mark.parametrize("key", [None, 5, b"ip", ["ip"]])
def test_what_is_no_key_is_named_with_what_would_be(limiter, key):
    with pytest.raises(InvalidArgument, match=f"key {re.escape(repr(key))} .*or a function"):
        RateLimitMiddleware(Recorder(), limiter, key=key)


def test_behind_a_proxy_each_client_of_it_is_one(limiter):
    behind = ClientAddress(proxies=1)
    guarded = RateLimitMiddleware(Recorder(), limiter, key="ip", address=behind)
    for client in ("192.0.2.1", "192.0.2.2"):
        answers = [ask(guarded, HTTP_X_FORWARDED_FOR=f"10.9.9.{n}, {client}") for n in range(3)]
        assert [status[:3] for status, _, _ in answers] == ["200", "200", "429"]


def test_the_older_fields_come_if_asked_for(limiter, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_500_000_000)
    guarded = RateLimitMiddleware(Recorder(), limiter, key=KEY, x_ratelimit=True)
    answers = [ask(guarded)[1] for _ in range(3)]
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    assert [[fields[name] for name in names] for fields in answers] == [
        ["2", "1", "1700000006"],
        ["2", "0", "1700000006"],
        ["2", "0", "1700000006"],
    ]


def test_shadow_mode_lets_pass_and_tells_what_it_would_have_denied():
    app = Recorder()
    with Limiter("1 per 5s", shadow=True, clock=ManualClock()) as limiter:
        guarded = RateLimitMiddleware(app, limiter, key=KEY)
        answers = [ask(guarded) for _ in range(3)]
    assert [status for status, _, _ in answers] == ["200 OK"] * 3
    assert {fields["RateLimit"] for _, fields, _ in answers} == {'"default";r=0;t=5'}
    assert len(app.seen) == 3
