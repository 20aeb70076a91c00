"""Of two limiters in front of one application, the client hears of both."""

import asyncio
from functools import partial

import pytest

from rateproof.clock import ManualClock
from rateproof.enforce.http import AsgiRateLimitMiddleware, RateLimitMiddleware
from rateproof.enforce.limiter import Limiter


def page(_, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


async def apage(_, __, send):
    fields = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"hello"})


def ask_wsgi(app, key):
    answers = []
    environ = {"PATH_INFO": "/", "REMOTE_ADDR": "192.0.2.1", "HTTP_X_KEY": key}
    app(environ, lambda status, fields, *_: answers.append((status, fields)))
    ((status, fields),) = answers
    return int(status[:3]), [(name.lower(), value) for name, value in fields]


def ask_asgi(app, key):
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"x-key", key.encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(app(scope | {"client": ("192.0.2.1", 1)}, None, send))
    fields = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return sent[0]["status"], fields


@pytest.fixture(params=["wsgi", "asgi"])
def nested(request):
    """A limit of each key behind one of each address: asked by key, with options for both."""
    make, app, ask = {
        "wsgi": (RateLimitMiddleware, page, ask_wsgi),
        "asgi": (AsgiRateLimitMiddleware, apage, ask_asgi),
    }[request.param]
    limiter = partial(Limiter, clock=ManualClock(10**12))
    with limiter("1 per 5s") as inner, limiter("3 per 1h; 9 per 1d") as outer:

        def build(**options):
            behind = make(app, inner, key="header:X-Key", **options)
            before = make(behind, outer, key="ip", name="address", **options)
            return partial(ask, before)

        yield build


def lines(fields, name):
    return [value for found, value in fields if found == name]


def test_each_tells_what_remains_by_its_own_name(nested):
    status, fields = nested()("a")
    assert status == 200
    assert lines(fields, "ratelimit-policy") == [
        '"default";q=1;w=5',
        '"address-3-per-1h";q=3;w=3600, "address-9-per-1d";q=9;w=86400',
    ]
    assert lines(fields, "ratelimit") == [
        '"default";r=0;t=5',
        '"address-3-per-1h";r=2;t=3600, "address-9-per-1d";r=8;t=86400',
    ]


def test_what_the_inner_one_denies_is_told_with_its_figures(nested):
    ask = nested(x_ratelimit=True)
    ask("a")
    status, fields = ask("a")
    assert status == 429
    assert lines(fields, "ratelimit") == [
        '"default";r=0;t=5',
        '"address-3-per-1h";r=1;t=3600, "address-9-per-1d";r=7;t=86400',
    ]
    assert lines(fields, "retry-after") == ["5"]
    assert lines(fields, "x-ratelimit-limit") == ["1"]
    assert lines(fields, "x-ratelimit-remaining") == ["0"]


def test_what_the_outer_one_denies_never_reaches_the_inner(nested):
    ask = nested()
    assert [ask(key)[0] for key in "abc"] == [200] * 3
    status, fields = ask("d")
    assert (status, lines(fields, "retry-after")) == (429, ["3600"])
    assert lines(fields, "ratelimit") == [
        '"address-3-per-1h";r=0;t=3600, "address-9-per-1d";r=6;t=86400'
    ]
