"""The WSGI applications that `http.py` serves."""

import flask

from rateproof import Limiter, RateLimitMiddleware

_REFUSAL = b"slow down\n"
_FIELDS = [("Content-Type", "text/plain"), ("Content-Length", str(len(_REFUSAL)))]

_BODY = (
    b'{"type": "https://iana.org/assignments/http-problem-types#quota-exceeded", "title": '
    b'"Quota Exceeded", "status": 429, "detail": "at most 5 per 1h; try again in 3600 s", '
    b'"violated-policies": ["default"]}\n'
)
_SAME = [
    ("Content-Type", "application/problem+json"),
    ("Content-Length", str(len(_BODY))),
    ("Cache-Control", "no-store"),
    ("Vary", "Accept"),
    ("Retry-After", "3600"),
    ("RateLimit-Policy", '"default";q=5;w=3600'),
    ("RateLimit", '"default";r=0;t=3600'),
]


def bare(_environ: object, start_response: object) -> list[bytes]:
    """A constant 503: the ceiling of the server."""
    start_response("503 Service Unavailable", _FIELDS)
    return [_REFUSAL]


def same(_environ: object, start_response: object) -> list[bytes]:
    """A constant 503 with the fields and the body of a denial: what is left is deciding."""
    start_response("503 Service Unavailable", _SAME)
    return [_BODY]


def page() -> flask.Flask:
    """A Flask application without a limiter."""
    app = flask.Flask("page", static_folder=None)

    @app.route("/")
    def greet() -> flask.Response:
        return flask.Response('{"message": "hello"}\n', mimetype="application/json")

    return app


def limited(policy: str) -> RateLimitMiddleware:
    """The same behind our middleware."""
    return RateLimitMiddleware(page(), Limiter(policy), key="query:clientId|ip")


def flask_limiter() -> flask.Flask:
    """The same with Flask-Limiter, its exact strategy in memory."""
    from flask_limiter import Limiter as FlaskLimiter

    app = page()
    FlaskLimiter(
        lambda: flask.request.args.get("clientId", ""),
        app=app,
        default_limits=["5 per 5 seconds"],
        strategy="moving-window",
        storage_uri="memory://",
        headers_enabled=True,
    )
    return app


plain = page()
denying = limited("5 per 1h")
admitting = limited("50 per 1ms")  # never used up, of a client that has just been here
newcomers = limited("5 per 1us")  # every request is the first of a window
rival = flask_limiter()
