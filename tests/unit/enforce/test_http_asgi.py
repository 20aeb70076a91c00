"""The ASGI middleware decides and answers as the WSGI one does, and waits for nobody."""

import asyncio
import json

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.http import AsgiRateLimitMiddleware, RateLimitMiddleware
from rateproof.enforce.limiter import Limiter
from rateproof.errors import StoreError
from rateproof.policy import Policy


class Recorder:
    """An ASGI application that remembers what reached it."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        self.seen.append(scope["type"])
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            return
        fields = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"hello"})


class Broken:
    """A limiter whose storage always fails."""

    policy = Policy.parse("5 per 5s")

    def room(self, _=None):
        return None

    async def ahit(self, *_, **__):
        raise StoreError("the disk is on fire")


def converse(app, kind="http", **scope):
    """Messages that the application sends to one request."""
    sent = []
    base = {"path": "/", "query_string": b"", "headers": [], "client": ("127.0.0.1", 1)}
    if kind == "http":
        base["method"] = "GET"

    async def receive():
        return {"type": "websocket.connect" if kind == "websocket" else "http.request"}

    async def send(message):
        sent.append(message)

    asyncio.run(app({"type": kind} | base | scope, receive, send))
    return sent


def ask(app, **scope):
    """The status, fields and body of the answer."""
    start, body = converse(app, **scope)
    assert len(start["headers"]) == len(dict(start["headers"])), "a field given twice"
    assert all(name == name.lower() for name, _ in start["headers"]), "as ASGI wants them"
    fields = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], fields, body["body"]


@pytest.fixture
def limiter():
    with Limiter("2 per 5s", clock=ManualClock()) as limiter:
        yield limiter


def test_a_denial_never_reaches_the_application(limiter):
    app = Recorder()
    guarded = AsgiRateLimitMiddleware(app, limiter, key="ip")
    assert [ask(guarded)[0] for _ in range(4)] == [200, 200, 429, 429]
    assert len(app.seen) == 2


def test_every_limited_answer_says_what_remains(limiter):
    guarded = AsgiRateLimitMiddleware(Recorder(), limiter, key="ip", status=503, x_ratelimit=True)
    answers = [ask(guarded) for _ in range(3)]
    assert [fields["ratelimit"] for _, fields, _ in answers] == [
        '"default";r=1;t=5',
        '"default";r=0;t=5',
        '"default";r=0;t=5',
    ]
    assert [fields["x-ratelimit-remaining"] for _, fields, _ in answers] == ["1", "0", "0"]
    assert ["retry-after" in fields for _, fields, _ in answers] == [False, False, True]
    assert answers[0][1]["content-type"] == "text/plain"
    assert json.loads(answers[2][2])["status"] == 503


def test_both_middlewares_answer_alike_and_count_together(limiter):
    """One quota, by turns, whichever interface a request comes by."""

    def app(_, start_response):
        start_response("200 OK", [])
        return []

    answer = {}

    def start_response(status, fields, _=None):
        answer.update(status=int(status[:3]), fields=fields)

    by_wsgi = RateLimitMiddleware(app, limiter, key="header:X-Key")
    by_asgi = AsgiRateLimitMiddleware(Recorder(), limiter, key="header:X-Key")
    scope = {"headers": [(b"x-key", b"k"), (b"accept", b"text/plain")]}
    environ = {"PATH_INFO": "/", "HTTP_X_KEY": "k", "HTTP_ACCEPT": "text/plain"}
    for _ in range(2):
        by_wsgi(environ, start_response)
        status, fields, body = ask(by_asgi, **scope)
    denied = by_wsgi(environ, start_response)
    assert status == answer["status"] == 429
    assert fields == {name.lower(): value for name, value in answer["fields"]}
    assert denied == [body]
    assert body.startswith(b"Quota Exceeded")


def test_an_exempt_path_is_neither_limited_nor_counted(limiter):
    guarded = AsgiRateLimitMiddleware(Recorder(), limiter, key="ip")
    for _ in range(9):
        status, fields, _ = ask(guarded, path="/healthz")
        assert (status, "ratelimit" in fields) == (200, False)
        assert ask(guarded, path="/mounted/healthz", root_path="/mounted")[0] == 200
    assert [ask(guarded, path="/healthz/")[0] for _ in range(3)] == [200, 200, 429]


def test_the_answer_to_head_has_no_body_but_its_length(limiter):
    guarded = AsgiRateLimitMiddleware(Recorder(), limiter, key="ip")
    full = [ask(guarded) for _ in range(3)][2]
    assert ask(guarded, method="HEAD") == (full[0], full[1], b"")


def test_a_failed_storage_denies(caplog):
    app = Recorder()
    status, fields, body = ask(AsgiRateLimitMiddleware(app, Broken(), key="ip"))
    assert (status, fields["retry-after"]) == (503, "1")
    assert fields["ratelimit-policy"] == '"default";q=5;w=5'
    assert json.loads(body)["violated-policies"] == []
    assert app.seen == []
    assert caplog.messages == ["1 denied without a decision: the disk is on fire"]


def test_lifespan_passes(limiter):
    app = Recorder()
    guarded = AsgiRateLimitMiddleware(app, limiter, key="ip")
    asyncio.run(guarded({"type": "lifespan"}, None, lambda _: asyncio.sleep(0)))
    assert app.seen == ["lifespan"]


def test_the_handshake_of_a_websocket_is_a_request(limiter):
    app = Recorder()
    guarded = AsgiRateLimitMiddleware(app, limiter, key="ip")
    able = {"extensions": {"websocket.http.response": {}}}
    (accepted,) = converse(guarded, "websocket", extensions=None)
    assert dict(accepted["headers"])[b"ratelimit"] == b'"default";r=1;t=5'
    assert ask(guarded)[0] == 200
    start, body = converse(guarded, "websocket", **able)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 429)
    assert dict(start["headers"])[b"retry-after"] == b"5"
    assert (body["type"], json.loads(body["body"])["status"]) == (
        "websocket.http.response.body",
        429,
    )
    assert converse(guarded, "websocket") == [{"type": "websocket.close", "code": 1013}]
    assert app.seen == ["websocket", "http"]


def test_while_a_store_is_waited_for_other_requests_go_on():
    """The slow store of one client does not hold up another's."""
    together = asyncio.Barrier(2)

    class Slow:
        policy = Policy.parse("5 per 5s")

        def room(self, _=None):
            return None

        async def ahit(self, key, *_, **__):
            await together.wait()  # returns only if both requests are decided at once
            return limiter.hit(key)

    async def both(app):
        scope = {"type": "http", "path": "/", "headers": [], "client": ("127.0.0.1", 1)}
        sent = []

        async def send(message):
            sent.append(message)

        async with asyncio.timeout(60):
            await asyncio.gather(*(app(dict(scope), None, send) for _ in range(2)))
        return sent

    with Limiter("5 per 5s") as limiter:
        sent = asyncio.run(both(AsgiRateLimitMiddleware(Recorder(), Slow(), key="ip")))
    assert [message["status"] for message in sent if "status" in message] == [200, 200]
