"""Quart-Rate-Limiter: 5 per 5 s of each `clientId`."""

from datetime import timedelta

from quart import Quart, request
from quart_rate_limiter import RateLimiter, rate_limit


async def _client() -> str:
    return request.args.get("clientId", "")


app = Quart(__name__)
RateLimiter(app, key_function=_client)


@app.get("/")
@rate_limit(5, timedelta(seconds=5))
async def index() -> str:
    """The only page."""
    return "hello\n"
