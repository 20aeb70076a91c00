"""A limiter in front of web applications: whose request it is, and what is answered.

`wsgi` and `asgi` are the middlewares; `keys` finds the client in a `request`,
`addresses` its address behind proxies, `answers` writes what a client is told.
"""

from rateproof.enforce.http.addresses import ClientAddress
from rateproof.enforce.http.asgi import AsgiRateLimitMiddleware
from rateproof.enforce.http.flooding import check_flood_exempt
from rateproof.enforce.http.keys import key_of
from rateproof.enforce.http.views import AsgiRequest, WsgiRequest
from rateproof.enforce.http.wsgi import RateLimitMiddleware

__all__ = [
    "AsgiRateLimitMiddleware",
    "AsgiRequest",
    "ClientAddress",
    "RateLimitMiddleware",
    "WsgiRequest",
    "check_flood_exempt",
    "key_of",
]
