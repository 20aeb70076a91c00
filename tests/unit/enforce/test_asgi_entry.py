"""A WSGI application served over ASGI: the same request, the same answer."""

import asyncio

import pytest

from rateproof.enforce.http import AsgiRequest, WsgiRequest
from rateproof.enforce.server.asgi_entry import AsgiEntry

SCOPE = {
    "type": "http",
    "method": "POST",
    "http_version": "1.1",
    "scheme": "http",
    "raw_path": b"/a%2Fb%ff",
    "query_string": b"q=%ff",
    "server": ("127.0.0.1", 8080),
    "client": ("192.0.2.1", 4711),
    "headers": [
        (b"x_a", b"underscore"),
        (b"x-a", b" \xe9"),
        (b"x-a", b"2"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"content-length", b"4"),
    ],
}


def served(app, scope, parts=(b"bo", b"dy"), *, waits=False):
    """Messages that are sent, and the number of parts of the body that were left."""
    sent, left = [], list(parts)

    async def receive():
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    asyncio.run(AsgiEntry(app, waits=waits)(scope, receive, send))
    return sent, len(left)


@pytest.mark.parametrize("waits", [False, True])
def test_the_application_sees_what_an_asgi_application_would(waits):
    seen = []

    def app(environ, start_response):
        seen.append(WsgiRequest(environ))
        start_response("503 Service Unavailable", [("Retry-After", "5")])
        return [b"a", b"b"]

    sent, left = served(app, SCOPE, waits=waits)
    assert sent == [
        {"type": "http.response.start", "status": 503, "headers": [(b"retry-after", b"5")]},
        {"type": "http.response.body", "body": b"ab"},
    ]
    assert left == 0
    over = AsgiRequest(SCOPE)
    for name in ("x-a", "cookie", "content-length", "nothing"):
        assert seen[0].header(name) == over.header(name)
    for name in ("method", "path", "query", "peer"):
        assert getattr(seen[0], name) == getattr(over, name)


def test_a_body_that_waits_to_be_asked_for_is_left():
    def app(_, start_response):
        start_response("204 No Content", [])
        return []

    scope = SCOPE | {"headers": [(b"content-length", b"4"), (b"expect", b"100-continue")]}
    assert served(app, scope)[1] == 2
