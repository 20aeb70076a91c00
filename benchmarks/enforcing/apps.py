"""The WSGI applications that `http.py` serves."""

import flask

from rateproof import Limiter, RateLimitMiddleware

_REFUSAL = b"slow down\n"
_FIELDS = [("Content-Type", "text/plain"), ("Content-Length", str(len(_REFUSAL)))]


def bare(_environ: object, start_response: object) -> list[bytes]:
    """A constant 503: the ceiling of the server."""
    start_response("503 Service Unavailable", _FIELDS)  # type: ignore[operator]
    return [_REFUSAL]


def page() -> flask.Flask:
    """A Flask application without a limiter."""
    app = flask.Flask("page", static_folder=None)

    @app.route("/")
    def greet() -> flask.Response:
        return flask.Response('{"message": "hello"}\n', mimetype="application/json")

    return app


def limited(policy: str, capacity: int = 65_536) -> RateLimitMiddleware:
    """The same behind our middleware."""
    return RateLimitMiddleware(page(), Limiter(policy, capacity=capacity), key="query:clientId|ip")


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
admitting = limited("60000 per 1s", capacity=16)
rival = flask_limiter()
