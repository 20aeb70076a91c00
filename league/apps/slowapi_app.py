"""slowapi as its documentation shows it: 5 per 5 s of each `clientId`, by $STRATEGY or the default."""

import os

from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

limiter = Limiter(
    key_func=lambda request: request.query_params.get("clientId", ""),
    strategy=os.environ.get("STRATEGY", "fixed-window"),
)


@limiter.limit("5/5seconds")
async def index(request: Request) -> PlainTextResponse:
    """The only page."""
    del request  # slowapi wants an argument of this name
    return PlainTextResponse("hello\n")


app = Starlette(routes=[Route("/", index)])
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
