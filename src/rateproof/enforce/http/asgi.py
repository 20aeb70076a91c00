"""A limiter in front of an ASGI application: denials never reach it."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from rateproof.enforce.http.answers import Fields, Refusal, joined
from rateproof.enforce.http.middleware import Middleware
from rateproof.enforce.http.views import AsgiRequest, Scope
from rateproof.errors import StoreError

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
TRY_AGAIN_LATER = 1013  # a close code registered for RFC 6455


class AsgiRateLimitMiddleware(Middleware[AsgiApplication, Scope]):
    """An ASGI application that asks a limiter before each request to another one.

    It decides, counts and answers as `RateLimitMiddleware` does, and finds the
    same key in the same request: both can share a store. The limiter is asked
    without blocking the event loop. The handshake of a WebSocket is a request,
    and what is said on it afterwards is not: denied, it is answered as any
    request is where the server can (extension `websocket.http.response`), and
    otherwise closed, which clients see as 403. `lifespan` passes.
    `Middleware` says what the arguments are.
    """

    _view = AsgiRequest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope (ASGI 3)."""
        if scope["type"] not in {"http", "websocket"} or _path_within(scope) in self._exempt:
            await self._app(scope, receive, send)
            return
        try:
            key = self._key(scope)
            decision = await self._flooding.ahit(key, scope)
        except StoreError as error:
            await _answer(scope, receive, send, *self._failed(error, _accept(scope)))
            return
        if decision.admitted:
            await self._app(scope, receive, announcing(send, lambda: self._fields(decision)))
        else:
            await _answer(scope, receive, send, *self._denied(decision, _accept(scope)))


def announcing(send: Send, fields: Callable[[], Fields]) -> Send:
    """A `send` that adds header fields to the answer; see `joined`."""

    async def sending(message: Message) -> None:
        if message["type"] in _STARTS:
            answered = list(map(tuple, message.get("headers", ())))
            message = {**message, "headers": joined(answered, _encoded(fields()))}
        await send(message)

    return sending


async def _answer(
    scope: Scope, receive: Receive, send: Send, denial: Refusal, fields: Iterable[tuple[str, str]]
) -> None:
    prefix = ""
    if scope["type"] == "websocket":
        await receive()  # the message websocket.connect, which comes first
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
            return
        prefix = "websocket."
    start = {"type": f"{prefix}http.response.start", "status": denial.status}
    body = b"" if scope.get("method") == "HEAD" else denial.body
    await send({**start, "headers": _encoded(fields)})
    await send({"type": f"{prefix}http.response.body", "body": body})


def _encoded(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in fields]


def _path_within(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root else path


def _accept(scope: Scope) -> str | None:
    return AsgiRequest(scope).header("accept").decode("latin-1") or None
